/**
 * Keeps a peer store over reloads: reads what an earlier start left on the host's shelf, and puts there what changes, in batches.
 *
 *   open ─┬─▶ read: whole ones into the peer store, damaged ones off the shelf, those of a newer version left where they are; what takes
 *         │   longer than LOAD_AHEAD goes on beside the running peer
 *         └─▶ refused, or no answer: a warning, and nothing is kept
 *   change ─▶ (delay of the shelf) ─▶ written ─┬─▶ …
 *                                              └─▶ refused: an error, once, and nothing is kept any more
 *   close ─▶ what is left is written
 *
 * A peer that we meet takes the place of what a newer version knew of it. Bounds: the peer store's; STORED_PEERS_READ on the shelf.
 */

import type { PeerId } from '../engine/codec/peer-id.ts'
import { isKept } from '../engine/net/keep-alive.ts'
import type { Node } from '../engine/net/node.ts'
import type { PeerStore } from '../engine/net/peer-store.ts'
import { decodeStoredPeer, encodeStoredPeer, type StoredPeer } from '../engine/net/stored-peer.ts'
import { asTabmeshError, TabmeshError } from '../errors.ts'

/** Peer id → the bytes of stored-peer.ts; undefined takes it off. */
export type ShelfChanges = ReadonlyMap<string, Uint8Array | undefined>

export interface PeerShelf {
  /** Milliseconds over which changes are gathered. */
  readonly delay: number
  /** At most STORED_PEERS_READ; what is beyond may be dropped. */
  load(): Promise<readonly (readonly [key: string, stored: unknown])[]>
  /** All of it or nothing. */
  write(changes: ShelfChanges): Promise<void>
}

export interface KeptPeers {
  /** Not fatal. */
  readonly warnings: readonly TabmeshError[]
  /** The services of the node run: dials those that are to be kept alive. */
  started(node: Node): void
  /** Writes what is left. */
  close(): Promise<void>
}

/** Storage answers in some 10 ms, or the peer does not wait for it. Milliseconds. */
const SHELF_ANSWERS = 3_000
/** A full store takes hundreds of milliseconds to decode, of which no start waits for more than this. Milliseconds. */
const LOAD_AHEAD = 100
/** The worker is not kept from other work for longer. Milliseconds. */
const LOAD_SLICE = 20

/** Reads the shelf into `store` and keeps it; never rejects. `now` is Unix milliseconds. */
export const keepPeers = async (
  shelf: PeerShelf,
  store: PeerStore,
  now: () => number,
  onError: (error: TabmeshError) => void,
): Promise<KeptPeers> => {
  const dirty = new Set<PeerId>()
  const changes = new Map<string, Uint8Array | undefined>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let writing: Promise<void> = Promise.resolve()
  /** Whether what changes is written. */
  let open = true
  let closed = false

  const write = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    if (!open) return
    try {
      for (const id of dirty) {
        const peer = store.stored(id)
        changes.set(id, peer && encodeStoredPeer(peer))
      }
      const batch = new Map(changes)
      dirty.clear()
      changes.clear()
      if (batch.size > 0) await shelf.write(batch)
    } catch (error) {
      give(asTabmeshError(error, 'ERR_STORE', 'the peers can not be kept'))
    }
  }
  const queue = (): Promise<void> => {
    writing = writing.then(write)
    return writing
  }
  const later = (): void => {
    timer ??= setTimeout(queue, shelf.delay)
  }
  const give = (error: TabmeshError): void => {
    if (open) onError(error)
    open = false
    store.onChange = undefined
  }

  let read: Awaited<ReturnType<PeerShelf['load']>>
  try {
    read = await within(SHELF_ANSWERS, shelf.load())
  } catch (error) {
    const warning = asTabmeshError(error, 'ERR_STORE', 'the peers of earlier can not be read')
    return { warnings: [warning], started: () => {}, close: () => Promise.resolve() }
  }
  const damaged: string[] = []
  let newer = 0
  let at = 0
  /** Deleted while the rest is still being read: not to come back with it. */
  const gone = new Set<string>()
  store.onChange = (id) => {
    if (at < read.length && store.stored(id) === undefined) gone.add(id)
    dirty.add(id)
    later()
  }

  const readSlice = (): void => {
    const until = performance.now() + LOAD_SLICE
    const peers: StoredPeer[] = []
    for (; at < read.length && performance.now() < until; at += 1) {
      const [key, stored] = read[at] as (typeof read)[number]
      const peer = decode(key, stored)
      if (peer === 'damaged') damaged.push(key)
      else if (peer === 'newer') newer += 1
      else if (!gone.has(key)) peers.push(peer)
    }
    store.load(peers, now())
    if (at < read.length) return
    read = []
    gone.clear()
    for (const key of damaged) if (store.stored(key) === undefined) changes.set(key, undefined)
    if (changes.size > 0) later()
  }
  const report = (): TabmeshError[] => (damaged.length + newer === 0 ? [] : [reportOf(damaged.length, newer)])
  const ahead = performance.now() + LOAD_AHEAD
  do readSlice()
  while (at < read.length && performance.now() < ahead)
  const warnings = at < read.length ? [] : report()

  return {
    warnings,
    started(node) {
      redial(node)
      const goOn = (): void => {
        if (closed) return
        readSlice()
        if (at < read.length) return void setTimeout(goOn)
        for (const error of report()) onError(error)
        redial(node)
      }
      if (at < read.length) setTimeout(goOn)
    },
    async close() {
      closed = true
      store.onChange = undefined
      await queue()
      open = false
    },
  }
}

const redial = (node: Node): void => {
  for (const { id, tags } of node.peerStore.all()) if (isKept(tags)) node.tagged(id)
}

const decode = (key: string, stored: unknown): StoredPeer | 'damaged' | 'newer' => {
  if (!(stored instanceof Uint8Array)) return 'damaged'
  try {
    const peer = decodeStoredPeer(stored)
    if (peer === undefined) return 'newer'
    return peer.id === key ? peer : 'damaged'
  } catch {
    return 'damaged'
  }
}

const reportOf = (damaged: number, newer: number): TabmeshError => {
  const said = [
    ...(damaged > 0 ? [`${damaged} damaged and forgotten`] : []),
    ...(newer > 0 ? [`${newer} of a newer version and left alone`] : []),
  ]
  return new TabmeshError('ERR_STORE', `of the stored peers ${said.join(', ')}`)
}

const within = <T>(ms: number, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const late = (): void => reject(new TabmeshError('ERR_STORE', `no answer within ${ms} ms`))
    const timer = setTimeout(late, ms)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
