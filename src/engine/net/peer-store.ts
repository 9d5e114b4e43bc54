/**
 * Peer store: what is known of peers we met. In memory; a host may keep it from one start to the next (`onChange`, `stored`, `load`).
 *
 * Addresses that a peer signed (certified) are kept apart from those merely heard of it. A record counts only if its number is higher
 * than that of the one there is; it takes the place of all addresses known before. What is heard later stands behind it.
 *
 * Lifetimes. What the peer told us itself counts for ADDRESS_LIFE_TOLD since it last did or was connected, what others say of it for
 * ADDRESS_LIFE_HEARD, the peer for PEER_LIFE since it was last seen. What is over is left out when it is asked for. The number of a
 * signed record outlives its addresses, so that an older one is still refused.
 *
 * Bounds: PEER_STORE_MAX peers, of which those go first that are not tagged and were seen least recently; of each
 * PEER_STORE_MAX_ADDRESSES addresses, as many again behind certified ones, and one signed record, which is at most an identify frame.
 */

import { type Multiaddr, withoutPeerId } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { ADDRESS_LIFE_HEARD, ADDRESS_LIFE_TOLD, PEER_LIFE, PEER_STORE_MAX, PEER_STORE_MAX_ADDRESSES } from '../limits.ts'
import type { Identified } from './service.ts'
import type { HeardAddress, SignedAddresses, StoredPeer } from './stored-peer.ts'

export interface PeerRecord {
  readonly id: PeerId
  /** All that are known, the certified ones first. */
  readonly addresses: readonly Multiaddr[]
  /** Those of the newest verified record. */
  readonly certified: readonly Multiaddr[]
  /** Number of the newest verified record, 64 bits, and the record in its envelope, for others to verify. */
  readonly recordSeq: bigint | undefined
  readonly envelope: Uint8Array | undefined
  readonly protocols: readonly string[]
  readonly agent: string | undefined
  /** Name → value above 0, up to 100: how much this peer is worth keeping. */
  readonly tags: Readonly<Record<string, number>>
  /** Unix milliseconds of the last update. */
  readonly seenAt: number
}

/** A record of a peer whose signature was verified. */
export interface CertifiedRecord {
  readonly seq: bigint
  readonly addresses: readonly Multiaddr[]
  readonly envelope: Uint8Array
}

interface Entry {
  readonly peer: StoredPeer
  /** What is left of it, until the first of its lifetimes ends. */
  readonly view: PeerRecord
  readonly until: number
}

export class PeerStore {
  /** Hears of each peer that is known better than before, or no more. */
  onChange: ((id: PeerId) => void) | undefined
  readonly #now: () => number
  readonly #peers = new Map<PeerId, Entry>()

  /** `now` is Unix milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  get(id: PeerId): PeerRecord | undefined {
    const entry = this.#peers.get(id)
    if (entry === undefined) return undefined
    const now = this.#now()
    if (now < entry.until) return entry.view
    if (now >= entry.peer.seenAt + PEER_LIFE) {
      this.delete(id)
      return undefined
    }
    const left = entryOf(entry.peer, now)
    this.#peers.set(id, left)
    return left.view
  }

  all(): readonly PeerRecord[] {
    return [...this.#peers.keys()].flatMap((id) => this.get(id) ?? [])
  }

  /**
   * Merges what was heard; `addresses` go behind the certified ones and in front of those heard before. A tag of 0 is taken away.
   * `now` is Unix milliseconds, `told` whether the peer itself said so.
   */
  update(
    id: PeerId,
    change: Partial<Pick<PeerRecord, 'addresses' | 'protocols' | 'agent' | 'tags'>>,
    now: number,
    told = false,
  ): PeerRecord {
    const known = this.#known(id, now)
    const signed = new Set(known.signed?.addresses.map(({ text }) => text))
    const heard = (change.addresses ?? []).filter(({ text }) => !signed.has(text)).map((address) => ({ address, at: now, told }))
    return this.#put(
      {
        ...known,
        heard: mergeHeard(heard, known.heard),
        protocols: change.protocols ?? known.protocols,
        agent: change.agent ?? known.agent,
        tags: change.tags === undefined ? known.tags : withTags(known.tags, change.tags),
        seenAt: now,
      },
      now,
    )
  }

  /** Takes a verified record in, if its number is higher than that of the one there is; returns whether it was. */
  certify(id: PeerId, { seq, addresses, envelope }: CertifiedRecord, now: number): boolean {
    const known = this.#known(id, now)
    if (known.signed !== undefined && seq <= known.signed.seq) return false
    this.#put({ ...known, signed: { seq, addresses: merge(addresses), envelope, at: now }, heard: [], seenAt: now }, now)
    return true
  }

  /**
   * Takes in what identify learnt, and returns it with the newest record there is: a peer may repeat an old one. `dialled` is where
   * the peer answered, if we called it: it may not know that name of its own.
   */
  learn(id: PeerId, identified: Identified, now: number, dialled?: Multiaddr): Identified {
    const { addresses, certified, protocols, agent, signedRecord, recordSeq } = identified
    if (certified !== undefined && signedRecord !== undefined && recordSeq !== undefined) {
      this.certify(id, { seq: recordSeq, addresses: certified, envelope: signedRecord }, now)
      const known = this.#known(id, now)
      // It stands by what it signed before.
      if (known.signed?.seq === recordSeq) this.#put({ ...known, signed: { ...known.signed, at: now } }, now)
    }
    const { signed } = this.#known(id, now)
    const stale = recordSeq !== undefined && signed !== undefined && recordSeq < signed.seq
    const told = [...(stale ? [] : addresses)]
    const named = [...told, ...(signed?.addresses ?? [])].map(bare)
    if (dialled !== undefined && !named.includes(bare(dialled))) told.push(dialled)
    this.update(id, { protocols, agent, addresses: told }, now, true)
    if (!stale) return identified
    return {
      ...identified,
      addresses: signed.addresses,
      certified: signed.addresses,
      signedRecord: signed.envelope,
      recordSeq: signed.seq,
    }
  }

  /** The peer was connected until now, and has not taken back what it told. */
  touch(id: PeerId, now: number): void {
    const peer = this.#peers.get(id)?.peer
    if (peer === undefined) return
    const heard = peer.heard.map((each) => (each.told ? { ...each, at: now } : each))
    this.#put({ ...peer, signed: peer.signed && { ...peer.signed, at: now }, heard, seenAt: now }, now)
  }

  delete(id: PeerId): boolean {
    const known = this.#peers.delete(id)
    if (known) this.onChange?.(id)
    return known
  }

  /** What is to be kept of a peer; undefined if that is nothing. */
  stored(id: PeerId): StoredPeer | undefined {
    return this.#peers.get(id)?.peer
  }

  /**
   * Takes in what an earlier start knew, all at once or a part at a time. Those met since are known better. Who was seen too long ago,
   * or is one too many, is forgotten, which `onChange` hears.
   */
  load(peers: readonly StoredPeer[], now: number): void {
    for (const peer of peers) {
      // Clocks are set: what was seen in the future was seen now, or it would never be over.
      const past = upTo(peer, now)
      if (now >= past.seenAt + PEER_LIFE) continue
      const met = this.#peers.get(peer.id)?.peer
      this.#peers.set(peer.id, entryOf(met === undefined ? past : joined(met, past), now))
      if (met !== undefined) this.onChange?.(peer.id)
    }
    const inOrder = [...this.#peers].sort(([, a], [, b]) => a.peer.seenAt - b.peer.seenAt)
    this.#peers.clear()
    for (const [id, entry] of inOrder) this.#peers.set(id, entry)
    while (this.#peers.size > PEER_STORE_MAX) this.#evict()
    for (const { id } of peers) if (!this.#peers.has(id)) this.onChange?.(id)
  }

  #known(id: PeerId, now: number): StoredPeer {
    const peer = this.#peers.get(id)?.peer
    return peer ?? { id, signed: undefined, heard: [], protocols: [], agent: undefined, tags: {}, seenAt: now }
  }

  #put(peer: StoredPeer, now: number): PeerRecord {
    const entry = entryOf(peer, now)
    // Insertion order is the order of last sight.
    this.#peers.delete(peer.id)
    this.#peers.set(peer.id, entry)
    this.onChange?.(peer.id)
    if (this.#peers.size > PEER_STORE_MAX) this.#evict()
    return entry.view
  }

  /** Strangers first: who floods us with peers shall not make us forget those that somebody put a name to. */
  #evict(): void {
    let goes: PeerId | undefined
    for (const [id, { peer }] of this.#peers) {
      goes ??= id
      if (Object.keys(peer.tags).length > 0) continue
      goes = id
      break
    }
    if (goes !== undefined) this.delete(goes)
  }
}

const entryOf = (peer: StoredPeer, now: number): Entry => {
  const { id, signed, heard, protocols, agent, tags, seenAt } = peer
  let until = seenAt + PEER_LIFE
  const lives = (end: number): boolean => {
    if (end <= now) return false
    until = Math.min(until, end)
    return true
  }
  const certified = signed !== undefined && lives(signed.at + ADDRESS_LIFE_TOLD) ? signed.addresses : []
  const others = heard.filter((each) => lives(each.at + (each.told ? ADDRESS_LIFE_TOLD : ADDRESS_LIFE_HEARD)))
  const addresses = merge(
    certified,
    others.map(({ address }) => address),
  )
  const view = { id, addresses, certified, recordSeq: signed?.seq, envelope: signed?.envelope, protocols, agent, tags, seenAt }
  return { peer, view, until }
}

/** What we know now and knew before: the newer record, and with it what was heard beside it. */
const joined = (now: StoredPeer, before: StoredPeer): StoredPeer => {
  const seqs = [now, before].map(({ signed }) => signed?.seq ?? -1n) as [bigint, bigint]
  const heard = seqs[0] > seqs[1] ? now.heard : mergeHeard(now.heard, before.heard)
  return { ...now, signed: seqs[0] < seqs[1] ? before.signed : now.signed, heard, tags: { ...before.tags, ...now.tags } }
}

/** The same with and without the name of its peer. */
const bare = (address: Multiaddr): string | undefined => withoutPeerId(address)?.text

const upTo = (peer: StoredPeer, now: number): StoredPeer => {
  const atMost = <T extends HeardAddress | SignedAddresses>(each: T): T => (each.at > now ? { ...each, at: now } : each)
  return { ...peer, signed: peer.signed && atMost(peer.signed), heard: peer.heard.map(atMost), seenAt: Math.min(peer.seenAt, now) }
}

/** Each once, the first lists first. */
const merge = (...lists: (readonly Multiaddr[])[]): Multiaddr[] => {
  const byText = new Map<string, Multiaddr>()
  for (const list of lists) for (const address of list) if (!byText.has(address.text)) byText.set(address.text, address)
  return [...byText.values()].slice(0, PEER_STORE_MAX_ADDRESSES)
}

/** Each once, the new ones first. What the peer once told is no less so for being heard again. */
const mergeHeard = (fresh: readonly HeardAddress[], before: readonly HeardAddress[]): HeardAddress[] => {
  const byText = new Map<string, HeardAddress>()
  for (const each of fresh) byText.set(each.address.text, each)
  for (const each of before) {
    const again = byText.get(each.address.text)
    if (again === undefined || (each.told && !again.told)) byText.set(each.address.text, each)
  }
  return [...byText.values()].slice(0, PEER_STORE_MAX_ADDRESSES)
}

const withTags = (before: PeerRecord['tags'], change: PeerRecord['tags']): PeerRecord['tags'] => {
  const tags = Object.entries({ ...before, ...change }).filter(([, value]) => value > 0)
  return Object.fromEntries(tags.map(([name, value]) => [name, Math.min(value, 100)]))
}
