/**
 * Room: one room that we are in: who is there (members.ts), what we say (voice.ts), the streams to other members (link.ts) and those yet to be
 * found (finder.ts), on a topic of gossipsub.
 *
 *   send ─▶ voice ─┬─ a stream to each member ─▶ by stream ──────────────────────────┐
 *                  └─ else: signed ─▶ gossip, in any order, now and then twice ──────┴─▶ members.ts: each once, in order ─▶ the application
 *
 * Of a small room all members have streams to each other. What is said there goes by these: gossip would have it signed, checked by each, and sent to each by
 * all others as well (eight members: some 40 copies and seven checks for one message). In larger rooms, and until all streams are there, gossip carries it.
 *
 * A peer is a member when it has said something that is sealed with the key of the room; being in the topic is not enough.
 *
 * Bounds: ROOM_LINKS connections are sought, and kept while their peers are members; the rest is that of the parts.
 */

import { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  ROOM_CROWD,
  ROOM_JOIN_PATIENCE,
  ROOM_JOIN_TIMEOUT,
  ROOM_LINKS,
  ROOM_MAX_GONE,
  ROOM_MAX_MESSAGE,
  ROOM_MAX_PART,
  ROOM_MAX_PRESENCE,
  ROOM_MEET_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { FileEvents, FileSource } from './file-sender.ts'
import { Files, type OfferedFile } from './files.ts'
import { Finder, type Found, type Rendezvous } from './finder.ts'
import { Link, type LinkOwner } from './link.ts'
import { Members, type MembersInput, type MembersOutput } from './members.ts'
import {
  type Body,
  decodeBody,
  decodePublished,
  encodePublished,
  encodeWord,
  headOf,
  LIFE,
  type Preamble,
  ROOM_FILE,
  type Word,
} from './messages.ts'
import { hex, type Place } from './place.ts'
import { PrivateTaken } from './private.ts'
import { type Seal, sealOf } from './seal.ts'
import { Voice } from './voice.ts'

/** What a room needs of gossipsub. */
export interface Pubsub {
  /** `done` hears when it is on its way, or can't be signed. */
  publish(topic: string, data: Uint8Array, done?: () => void): unknown
  /** Peers of ours that are in the topic. */
  peers(topic: string): readonly PeerId[]
}

export type RoomEvent =
  | { readonly t: 'join'; readonly peer: PeerId; readonly presence: Uint8Array | undefined }
  /** `left` by its own word, or `lost`. */
  | { readonly t: 'leave'; readonly peer: PeerId; readonly reason: 'left' | 'lost' }
  | { readonly t: 'presence'; readonly peer: PeerId; readonly presence: Uint8Array | undefined }
  /** `data` may be a view of what is passed on: copy it before it is changed or handed over. */
  | { readonly t: 'message'; readonly peer: PeerId; readonly data: Uint8Array; readonly private: boolean }
  | { readonly t: 'file'; readonly peer: PeerId; readonly file: OfferedFile }
  /** Who is there has been met, as far as can be told. Once. */
  | { readonly t: 'ready' }

export interface RoomOwner {
  readonly net: Net
  readonly pubsub: Pubsub
  readonly rendezvous: Rendezvous
  /** Whether rooms may use a connection. */
  allows(connection: Connection): boolean
  /** Rendezvous points that there will be. */
  readonly points: number
  onEvent(event: RoomEvent): void
}

export type Verdict = 'accept' | 'reject' | 'ignore'

/** The worth of a member that we hold a connection with: it is dialled again when that breaks, and never pruned. */
const KEPT = 'keep-alive-room'
const WORTH = 20

export class Room {
  readonly place: Place
  readonly #owner: RoomOwner
  readonly #life: Uint8Array
  readonly #seal: Seal
  readonly #members: Members
  readonly #voice: Voice
  readonly #finder: Finder
  readonly #links = new Map<PeerId, Link>()
  /** Of peers that there is no link with any more. */
  readonly #taken = new Map<PeerId, PrivateTaken>()
  readonly #linkOwner: LinkOwner
  readonly #files: Files
  /** How the gossip of the last authors is sealed. */
  readonly #seals = new Map<string, Seal>()
  /** Whom the finder has found, and who has not greeted yet. */
  readonly #unmet = new Set<PeerId>()
  /** Members that were lost, who may be back when the network is. */
  readonly #missed = new Set<PeerId>()
  readonly #waits = new Set<Cancel>()
  #timer: { readonly at: number; readonly cancel: Cancel } | undefined
  #ready = false
  #patient = true
  #holds = false
  #handling = false
  #left = false

  constructor(place: Place, owner: RoomOwner) {
    const { net } = owner
    const { host, self } = net
    this.place = place
    this.#owner = owner
    this.#life = lifeOf(host.date(), host.random(LIFE))
    this.#seal = sealOf(place.key, host.aead, 'gossip', self, this.#life)
    this.#members = new Members(self)
    this.#voice = new Voice(host.now(), () => fraction(host.random(4)))
    this.#finder = new Finder({
      net,
      rendezvous: owner.rendezvous,
      namespace: place.namespace,
      wants: (peer) => this.#wants(peer),
      onConnected: (peer) => this.#meet(peer),
      onSettled: () => this.#settled(),
    })
    this.#files = new Files({
      net,
      place,
      allows: owner.allows,
      expects: (peer) => this.#members.expects(peer),
      onOffer: (file) => owner.onEvent({ t: 'file', peer: file.peer, file }),
    })
    const holds = (): boolean => this.#holds
    this.#linkOwner = {
      net,
      place,
      allows: owner.allows,
      hello: (first) => this.#hello(first),
      onWord: (peer, word, life) => this.#hear(peer, word, life),
      onPrivate: (peer, data) => owner.onEvent({ t: 'message', peer, data, private: true }),
      onUnlinked: (peer) => this.#unlinked(peer),
      get holds() {
        return holds()
      },
    }
  }

  /** Begins, once the topic is joined; `presence` is what all are told of us from the first word on. */
  start(presence?: Uint8Array): void {
    this.#voice.presence = presence
    const { host } = this.#owner.net
    for (const peer of this.#owner.pubsub.peers(this.place.topic)) this.#meet(peer)
    this.#wait(ROOM_JOIN_PATIENCE, () => {
      this.#patient = false
      this.#settled()
    })
    this.#wait(ROOM_JOIN_TIMEOUT, () => this.#becomeReady())
    host.defer(() => this.#settled())
    this.#run(undefined)
  }

  // ── the application ────────────────────────────────────────────────────────────────────────────────────────

  /** To all members; `done` hears when it is on its way. Throws ERR_INVALID_ARGUMENT. */
  send(data: Uint8Array, done?: () => void): void {
    checkSize(data)
    let at = 0
    do {
      const end = Math.min(data.length, at + ROOM_MAX_PART)
      const ends = end === data.length
      this.#publish({ t: 'message', data: data.subarray(at, end), begins: at === 0, ends }, false, ends ? done : undefined)
      at = end
    } while (at < data.length)
  }

  /** To one member; `done` hears when it has come there, or why it won't. Throws ERR_INVALID_ARGUMENT. */
  sendTo(peer: PeerId, data: Uint8Array, done: (fault: TabmeshError | undefined) => void): void {
    checkSize(data)
    if (!this.#members.has(peer)) return done(notThere(peer))
    const link = this.#link(peer)
    link.send(data, done)
    if (!link.open) this.#reach(peer)
  }

  /** Sends a file to one member; the returned function gives it up. Throws ERR_INVALID_ARGUMENT, ERR_NOT_IN_ROOM. */
  sendFile(peer: PeerId, source: FileSource, events: FileEvents): Cancel {
    if (!this.#members.has(peer)) throw notThere(peer)
    return this.#files.send(peer, source, events)
  }

  /** What all are told of us; JSON. Throws ERR_INVALID_ARGUMENT. */
  tellPresence(presence: Uint8Array | undefined): void {
    if (presence !== undefined && presence.length > ROOM_MAX_PRESENCE)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `a presence of ${presence.length} bytes, where ${ROOM_MAX_PRESENCE} are allowed`)
    this.#voice.tellPresence(presence, this.#now)
    this.#run(undefined)
  }

  /** The application is behind, or has caught up: private messages wait meanwhile. */
  set holds(holds: boolean) {
    this.#holds = holds
    if (!holds) for (const link of this.#links.values()) link.resume()
  }

  /** Says goodbye. The topic is for the caller to leave. */
  leave(): void {
    if (this.#left) return
    this.#publish({ t: 'leave' }, true)
    this.#left = true
    this.#timer?.cancel()
    for (const cancel of this.#waits) cancel()
    this.#finder.stop()
    this.#files.stop()
    for (const link of this.#links.values()) {
      link.say({ t: 'leave' })
      link.stop()
      this.#owner.net.tag(link.peer, this.#tag, undefined)
    }
    this.#links.clear()
  }

  // ── what comes ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A message on the topic, signed by `from`. */
  published(from: PeerId, data: Uint8Array): Verdict {
    if (this.#left || from === this.#owner.net.self) return 'ignore'
    const now = this.#now
    if (!this.#members.admits(from, now)) return 'ignore'
    let body: Body | undefined
    let read: ReturnType<typeof decodePublished>
    try {
      read = decodePublished(data)
      if (read === undefined) return 'ignore'
      const plain = this.#sealOfMember(from, read.life).open(read.number, read.sealed, read.head)
      if (plain === undefined) return 'reject'
      body = decodeBody(plain)
    } catch {
      return 'reject'
    }
    const { life, number } = read
    // What is to come is a number as well: it must not look like a gap.
    if (body === undefined) return 'accept'
    const known = body
    this.#owner.net.host.defer(() => this.#run({ t: 'published', from, life, number, body: known }))
    return 'accept'
  }

  #sealOfMember(from: PeerId, life: Uint8Array): Seal {
    if (this.place.key === undefined) return this.#seal
    const key = `${from}${hex(life)}`
    let seal = this.#seals.get(key)
    if (seal === undefined) {
      seal = sealOf(this.place.key, this.#owner.net.host.aead, 'gossip', from, life)
      // A few members make most of the traffic; of a crowd each is derived anew when its turn comes.
      if (this.#seals.size >= ROOM_CROWD * 4) this.#seals.clear()
      this.#seals.set(key, seal)
    }
    return seal
  }

  /** A peer of ours has come into the topic. */
  subscribed(peer: PeerId): void {
    if (!this.#left && this.#links.size < ROOM_LINKS * 4) this.#meet(peer)
  }

  /** A stream about this room, behind its preamble. */
  accept(stream: Stream, preamble: Preamble): void {
    if (stream.protocol === ROOM_FILE) this.#files.accept(stream, preamble)
    else this.#link(stream.connection.remotePeer).accept(stream, preamble)
  }

  /** One of our relays is connected. */
  point(at: PeerId): void {
    this.#finder.add(at)
    this.#seekMissed()
  }

  #seekMissed(): void {
    const peers = [...this.#missed].map((peer) => ({ peer }))
    this.#missed.clear()
    this.#finder.found(peers)
  }

  /** Somebody says that they are there. */
  found(peers: readonly Found[]): void {
    this.#finder.found(peers)
  }

  /** Whether there is somebody to be found yet: no relay tells of members, or one is heard that no stream connects us with. */
  get seeks(): boolean {
    if (this.#finder.looked === 0) return true
    // In a crowd not all are connected with all, and nobody is missing.
    if (this.#members.size > ROOM_LINKS) return false
    for (const peer of this.#members.peers) if (this.#links.get(peer)?.open !== true) return true
    return false
  }

  connection({ remotePeer }: Connection): void {
    this.#links.get(remotePeer)?.settle()
    this.#files.connection(remotePeer)
  }

  /** The network is there again. */
  online(): void {
    this.#voice.hurry(false, this.#now)
    this.#finder.look()
    this.#seekMissed()
    this.#run(undefined)
  }

  #hear(peer: PeerId, word: Word, life: string): void {
    switch (word.t) {
      case 'hello':
        this.#unmet.delete(peer)
        this.#run({ t: 'hello', peer, hello: word })
        if (this.#members.has(peer)) this.#owner.net.tag(peer, this.#tag, WORTH)
        return this.#settled()
      case 'again': {
        const body = decodeBody(word.body)
        return body === undefined ? undefined : this.#run({ t: 'again', peer, life, number: word.number, body })
      }
      case 'repeat':
        this.#repeat(peer, word.from, word.to)
        return this.#run({ t: 'heard', peer })
      case 'leave':
        return this.#run({ t: 'goodbye', peer })
      case 'private':
      case 'taken':
        return this.#run({ t: 'heard', peer })
    }
  }

  #repeat(peer: PeerId, from: number, to: number): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    const end = Math.min(to, this.#voice.next, from + 1024)
    for (let number = from; number < end; number++) {
      const body = this.#voice.said(number)
      if (body !== undefined && !link.say({ t: 'again', number, body })) return
    }
  }

  // ── who is where ───────────────────────────────────────────────────────────────────────────────────────────

  /** A connection is sought with those found while there are few of them. */
  #wants(peer: PeerId): boolean {
    const { net } = this.#owner
    if (peer === net.self || this.#left) return false
    const link = this.#links.get(peer)
    if (link?.open === true) return false
    let open = 0
    for (const each of this.#links.values()) if (each.open) open += 1
    return open < ROOM_LINKS
  }

  #link(peer: PeerId): Link {
    let link = this.#links.get(peer)
    if (link === undefined) {
      link = new Link(peer, this.#taken.get(peer) ?? new PrivateTaken(), this.#linkOwner)
      this.#taken.delete(peer)
      this.#links.set(peer, link)
    }
    return link
  }

  /** There is a connection with one who may be a member: both greet. */
  #meet(peer: PeerId): void {
    if (this.#left) return
    const link = this.#link(peer)
    link.settle()
    if (!link.open || this.#members.has(peer) || this.#unmet.has(peer)) return
    this.#unmet.add(peer)
    this.#wait(ROOM_MEET_TIMEOUT, () => {
      this.#unmet.delete(peer)
      this.#settled()
    })
  }

  #wait(ms: number, then: () => void): void {
    const cancel = this.#owner.net.host.after(ms, () => {
      this.#waits.delete(cancel)
      then()
    })
    this.#waits.add(cancel)
  }

  #unlinked(peer: PeerId): void {
    this.#unmet.delete(peer)
    this.#run({ t: 'linked', peer, on: false })
    // Later: the connection is just closing.
    if (this.#members.has(peer)) this.#owner.net.host.defer(() => this.#reach(peer))
    else this.#forget(peer)
    this.#settled()
  }

  /** Looks for a member whose connection is gone. */
  #reach(peer: PeerId): void {
    this.#finder.reach(peer, (fault) => {
      if (fault !== undefined) this.#run({ t: 'unreachable', peer })
      else this.#links.get(peer)?.settle()
    })
  }

  #forget(peer: PeerId): void {
    const link = this.#links.get(peer)
    if (link?.idle !== true) return
    this.#links.delete(peer)
    link.stop()
    // Who was away and comes back does not tell twice what came just before.
    link.taken.rest()
    this.#taken.set(peer, link.taken)
    if (this.#taken.size > ROOM_MAX_GONE) for (const first of this.#taken.keys()) if (this.#taken.delete(first)) break
  }

  get #tag(): string {
    return `${KEPT}-${hex(this.place.tag.subarray(0, 8))}`
  }

  #settled(): void {
    if (this.#ready || this.#left) return
    const { points } = this.#owner
    // A relay that is away, or that gives us no slot, keeps nobody waiting for long where one has told who is there.
    const told = this.#patient ? this.#finder.answered >= points : this.#finder.looked >= Math.min(points, 1)
    if (told && this.#finder.quiet && this.#unmet.size === 0) this.#becomeReady()
  }

  #becomeReady(): void {
    if (this.#ready) return
    this.#ready = true
    this.#owner.onEvent({ t: 'ready' })
  }

  // ── the machines ───────────────────────────────────────────────────────────────────────────────────────────

  get #now(): number {
    return this.#owner.net.host.now()
  }

  #hello(first: number): Uint8Array {
    const { next, presence } = this.#voice
    return encodeWord({ t: 'hello', life: this.#life, next, first, interval: this.#voice.interval(this.#members.size), presence })
  }

  /** `wide`: also to those in the topic of whom nothing is known. */
  #publish(body: Body, wide: boolean, done?: () => void): void {
    if (this.#left) return
    const { number, body: plain } = this.#voice.say(body)
    const { topic } = this.place
    const { pubsub, net } = this.#owner
    const reached = pubsub.peers(topic)
    const links = wide ? undefined : this.#linksToAll(reached)
    if (links !== undefined) {
      for (const link of links) link.say({ t: 'again', number, body: plain })
      if (done !== undefined) net.host.defer(done)
      return
    }
    const head = headOf(this.#life, number)
    pubsub.publish(topic, encodePublished(head, this.#seal.seal(number, plain, head)), done)
    // At once, where gossip has no stream yet, or may not have one.
    for (const [peer, link] of this.#links) {
      if (link.open && this.#members.has(peer) && !reached.includes(peer)) link.say({ t: 'again', number, body: plain })
    }
  }

  /**
   * The links to all members, where there are few, each has one that keeps up, and all who are in the topic are members: then nothing needs to be signed, and
   * nobody passes on what the others have.
   */
  #linksToAll(inTopic: readonly PeerId[]): readonly Link[] | undefined {
    const members = this.#members
    if (members.size === 0 || members.size > ROOM_LINKS) return undefined
    for (const peer of inTopic) if (!members.has(peer)) return undefined
    const links: Link[] = []
    for (const peer of members.peers) {
      const link = this.#links.get(peer)
      if (link === undefined || !link.keepsUp) return undefined
      links.push(link)
    }
    return links
  }

  #run(input: MembersInput | undefined): void {
    if (this.#left) return
    const now = this.#now
    if (input !== undefined) this.#members.handle(input, now)
    // What an output brings about comes behind it.
    if (this.#handling) return
    this.#handling = true
    for (let output = this.#members.poll(); output !== undefined; output = this.#members.poll()) this.#act(output, now)
    this.#handling = false
    const beat = this.#voice.beat(now, this.#members.size)
    if (beat !== undefined) this.#publish(beat.body, beat.wide)
    this.#arm()
  }

  #act(output: MembersOutput, now: number): void {
    const { net, onEvent } = this.#owner
    const { peer } = output.t === 'beat' ? { peer: '' } : output
    switch (output.t) {
      case 'beat':
        if (!output.soon || this.#members.size <= ROOM_CROWD) this.#voice.hurry(output.soon, now)
        return
      case 'ask':
        if (this.#links.get(peer)?.say({ t: 'repeat', from: output.from, to: output.to }) !== true) this.#link(peer).settle()
        return
      case 'join':
        onEvent.call(this.#owner, output)
        if (this.#links.get(peer)?.open === true) return
        if (net.connections(peer).length > 0) this.#meet(peer)
        // Heard by way of others: perhaps it can be reached as well.
        else this.#finder.found([{ peer }])
        return
      case 'leave':
        net.tag(peer, this.#tag, undefined)
        if (output.reason === 'lost' && this.#missed.size < ROOM_LINKS) this.#missed.add(peer)
        this.#links.get(peer)?.fail(notThere(peer))
        this.#forget(peer)
        return onEvent.call(this.#owner, output)
      case 'presence':
        return onEvent.call(this.#owner, output)
      case 'message':
        return onEvent.call(this.#owner, { ...output, private: false })
    }
  }

  #arm(): void {
    const at = Math.min(this.#members.deadline, this.#voice.deadline)
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    const { host } = this.#owner.net
    const cancel = host.after(Math.max(0, at - host.now()), () => {
      this.#timer = undefined
      this.#run({ t: 'time' })
    })
    this.#timer = { at, cancel }
  }
}

const checkSize = ({ length }: Uint8Array): void => {
  if (length > ROOM_MAX_MESSAGE)
    throw new TabmeshError(
      'ERR_INVALID_ARGUMENT',
      `a message of ${length} bytes, where ${ROOM_MAX_MESSAGE} are allowed; \`sendFile\` takes more`,
    )
}

const notThere = (peer: PeerId): TabmeshError => new TabmeshError('ERR_NOT_IN_ROOM', `${peer} is not in the room`)

/** The time in milliseconds, and then what is random. */
const lifeOf = (date: number, random: Uint8Array): Uint8Array => {
  const life = random.slice()
  let rest = Math.floor(date)
  for (let i = 5; i >= 0; i--) {
    life[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  return life
}

const fraction = (bytes: Uint8Array): number => {
  let value = 0
  for (const byte of bytes) value = (value + byte) / 256
  return value
}
