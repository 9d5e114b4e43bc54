/**
 * The messages (specs: kad-dht/README.md §RPC messages), in frames of an unsigned varint length.
 *
 *   FIND_NODE      key = id of a peer        ─▶ closerPeers
 *   GET_VALUE      key                       ─▶ record, closerPeers
 *   PUT_VALUE      key, record               ─▶ the same
 *   GET_PROVIDERS  key = multihash           ─▶ providerPeers, closerPeers
 *   ADD_PROVIDER   key, providerPeers        ─▶ nothing
 *   PING           dead, but answered        ─▶ the same
 *
 * What a remote lists is cut off, not refused: the first KAD_MAX_CLOSER and KAD_MAX_PROVIDERS peers, each once, and of each the first
 * KAD_MAX_ADDRESSES addresses. Of an address that names its peer the name is taken away; one that names another is left out.
 *
 * Bounds: KAD_MAX_LISTED entries of a list, which are views of the message until they are looked at; ours have KAD_MAX_SENT bytes.
 */

import { remoteFault } from '../../../errors.ts'
import { emptyBytes } from '../../codec/bytes.ts'
import { decodeMultiaddrs, type Multiaddr, peerIdOf, withoutPeerId } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdFromBytes, peerIdToBytes } from '../../codec/peer-id.ts'
import { bytes, message, nested, repeated, string, uint } from '../../codec/protobuf.ts'
import { varintLength } from '../../codec/varint.ts'
import { KAD_MAX_ADDRESSES, KAD_MAX_ADDRESSES_SENT, KAD_MAX_CLOSER, KAD_MAX_LISTED, KAD_MAX_PROVIDERS, KAD_MAX_SENT } from '../../limits.ts'

/** In the order of their numbers on the wire. */
const types = ['PUT_VALUE', 'GET_VALUE', 'ADD_PROVIDER', 'GET_PROVIDERS', 'FIND_NODE', 'PING'] as const
export type MessageType = (typeof types)[number]

/** What the sender's connection to a peer is; on the wire in this order. */
const connections = ['none', 'connected', 'possible', 'impossible'] as const
export type PeerState = (typeof connections)[number]

export interface KadPeer {
  readonly id: PeerId
  /** Without its /p2p. */
  readonly addresses: readonly Multiaddr[]
  readonly connection?: PeerState
}

export interface KadRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** When whoever sends it got it (RFC 3339); it says nothing to anybody else. */
  readonly timeReceived?: string | undefined
}

export interface KadMessage {
  readonly type: MessageType
  readonly key: Uint8Array
  readonly record?: KadRecord | undefined
  readonly closer: readonly KadPeer[]
  readonly providers: readonly KadPeer[]
}

const Peer = message({ id: bytes(1), addrs: repeated(bytes(2), KAD_MAX_LISTED), connection: uint(3) })
const Record = message({ key: bytes(1), value: bytes(2), timeReceived: string(5) })
const wire = message({
  type: uint(1),
  key: bytes(2),
  record: nested(3, Record),
  // Undecoded: of thousands only some are looked at.
  closerPeers: repeated(bytes(8), KAD_MAX_LISTED),
  providerPeers: repeated(bytes(9), KAD_MAX_LISTED),
})

const nobody: readonly KadPeer[] = []

/** A request, or an answer that names nobody. */
export const kadMessage = (type: MessageType, key: Uint8Array, more: Partial<KadMessage> = {}): KadMessage => ({
  type,
  key,
  closer: nobody,
  providers: nobody,
  ...more,
})

/** The message without its length; its bytes are its own. Throws ERR_DECODE, and ERR_PROTOCOL for a type that nobody knows. */
export const decodeMessage = (input: Uint8Array): KadMessage => {
  const read = wire.decode(input)
  // js and go leave out what is 0.
  const type = types[read.type ?? 0]
  if (type === undefined) throw remoteFault('ERR_PROTOCOL', `kad message of type ${read.type}`)
  return {
    type,
    key: (read.key ?? emptyBytes).slice(),
    record: read.record && {
      key: (read.record.key ?? emptyBytes).slice(),
      value: (read.record.value ?? emptyBytes).slice(),
      timeReceived: read.record.timeReceived,
    },
    closer: decodePeers(read.closerPeers, KAD_MAX_CLOSER),
    providers: decodePeers(read.providerPeers, KAD_MAX_PROVIDERS),
  }
}

const decodePeers = (list: readonly Uint8Array[], max: number): readonly KadPeer[] => {
  if (list.length === 0) return nobody
  const peers = new Map<PeerId, KadPeer>()
  for (const each of list.slice(0, max)) {
    const { id, addrs, connection } = Peer.decode(each)
    let peer: PeerId
    try {
      peer = peerIdFromBytes(id ?? emptyBytes)
    } catch {
      // One who is no peer must not cost the others.
      continue
    }
    if (peers.has(peer)) continue
    const addresses = ownAddresses(peer, decodeMultiaddrs(addrs.slice(0, KAD_MAX_ADDRESSES)))
    peers.set(peer, { id: peer, addresses, connection: connections[connection ?? 0] ?? 'none' })
  }
  return [...peers.values()]
}

/** Those that do not lead to somebody else, without the name of `peer`, each once. */
export const ownAddresses = (peer: PeerId, addresses: readonly Multiaddr[]): readonly Multiaddr[] => {
  const own = new Map<string, Multiaddr>()
  for (const address of addresses) {
    const named = peerIdOf(address)
    const bare = named === undefined ? address : named === peer ? withoutPeerId(address) : undefined
    if (bare !== undefined && !own.has(bare.text)) own.set(bare.text, bare)
  }
  return [...own.values()]
}

/**
 * The message behind its length, in at most KAD_MAX_SENT bytes: where it is too long, of each peer only the first addresses are told, and
 * then of peers only the first ones. A record is never cut.
 */
export const frameMessage = (told: KadMessage): Uint8Array => {
  const { type, key, record } = told
  const head = { type: types.indexOf(type), key: key.length > 0 ? key : undefined, record }
  const room = KAD_MAX_SENT - 3 - wire.encode(head).length
  for (let addresses = KAD_MAX_ADDRESSES_SENT; ; addresses >>= 1) {
    let closerPeers = told.closer.map((peer) => encodePeer(peer, addresses))
    let providerPeers = told.providers.map((peer) => encodePeer(peer, addresses))
    const fits = sizeOf(closerPeers) + sizeOf(providerPeers) <= room
    if (!fits && addresses > 2) continue
    if (!fits) {
      // Half for either, and what one leaves for the other.
      closerPeers = fitting(closerPeers, Math.max(room / 2, room - sizeOf(providerPeers)))
      providerPeers = fitting(providerPeers, room - sizeOf(closerPeers))
    }
    return wire.frame({ ...head, closerPeers, providerPeers })
  }
}

const encodePeer = ({ id, addresses, connection }: KadPeer, max: number): Uint8Array =>
  Peer.encode({
    id: peerIdToBytes(id),
    addrs: addresses.slice(0, max).map((address) => address.bytes),
    connection: connection === undefined || connection === 'none' ? undefined : connections.indexOf(connection),
  })

const fieldSize = ({ length }: Uint8Array): number => 1 + varintLength(length) + length
const sizeOf = (list: readonly Uint8Array[]): number => list.reduce((sum, each) => sum + fieldSize(each), 0)

const fitting = (list: readonly Uint8Array[], room: number): Uint8Array[] => {
  let left = room
  const kept: Uint8Array[] = []
  for (const each of list) {
    left -= fieldSize(each)
    if (left < 0) break
    kept.push(each)
  }
  return kept
}
