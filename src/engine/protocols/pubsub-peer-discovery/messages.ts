/**
 * Announcements on a topic, as npm @libp2p/pubsub-peer-discovery makes them: who is there, and where. There is no specification.
 *
 *   { 1: public key, as in protobuf keys; 2: addresses, each with its /p2p }      on `_peer-discovery._p2p._pubsub`, or topics of one's own
 *
 * They are not signed but by the message that carries them: what it says of anybody but its author is not believed. Where messages are not
 * signed there is no author, and addresses are merely heard of.
 *
 * Bounds: ANNOUNCEMENT_MAX bytes, of ours ANNOUNCEMENT_MAX_ADDRESSES addresses; of others' as many are read, and those beyond are not.
 */

import { remoteFault } from '../../../errors.ts'
import { decodePublicKey, type PublicKey } from '../../codec/keys.ts'
import { decodeMultiaddrs, encapsulate, type Multiaddr, peerIdOf } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../../codec/peer-id.ts'
import { bytes, message, repeated } from '../../codec/protobuf.ts'
import { ANNOUNCEMENT_MAX, ANNOUNCEMENT_MAX_ADDRESSES, MULTIADDR_MAX_BYTES } from '../../limits.ts'

export const DISCOVERY_TOPIC = '_peer-discovery._p2p._pubsub'

const Peer = message({ publicKey: bytes(1), addrs: repeated(bytes(2), ANNOUNCEMENT_MAX) })

export interface Announcement {
  readonly peer: PeerId
  readonly publicKey: PublicKey
  /** Each with the `/p2p` of the peer; those of others are left out. */
  readonly addresses: readonly Multiaddr[]
}

/** Tag and length of one address. */
const AROUND = 3
/** Room for `/p2p` and the longest peer id there is. */
const ROOM_FOR_PEER = 64

/** The first of the addresses, as many as fit. js dials what it is told as it is, so each gets our `/p2p`. */
export const encodeAnnouncement = (publicKey: PublicKey, addresses: readonly Multiaddr[]): Uint8Array => {
  const peer = peerIdFromKey(publicKey)
  let room = ANNOUNCEMENT_MAX - publicKey.encoded.length - AROUND
  const addrs: Uint8Array[] = []
  for (const address of addresses.slice(0, ANNOUNCEMENT_MAX_ADDRESSES)) {
    const whole = complete(address, peer).bytes
    room -= whole.length + AROUND
    if (room < 0) break
    addrs.push(whole)
  }
  return Peer.encode({ publicKey: publicKey.encoded, addrs })
}

/**
 * What a message says; `from` is its author, where it was signed. Throws ERR_FRAME_TOO_LARGE, ERR_DECODE, ERR_INVALID_KEY, and ERR_PROTOCOL for
 * what is about another peer than its author.
 */
export const decodeAnnouncement = (data: Uint8Array, from: PeerId | undefined): Announcement => {
  if (data.length > ANNOUNCEMENT_MAX) throw remoteFault('ERR_FRAME_TOO_LARGE', `an announcement of ${data.length} bytes`)
  const { publicKey: encoded, addrs } = Peer.decode(data)
  if (encoded === undefined) throw remoteFault('ERR_DECODE', 'an announcement without a key')
  const publicKey = received(encoded)
  const peer = peerIdFromKey(publicKey)
  if (from !== undefined && peer !== from) throw remoteFault('ERR_PROTOCOL', `${from} announces ${peer}`)
  const addresses = decodeMultiaddrs(addrs.slice(0, ANNOUNCEMENT_MAX_ADDRESSES))
    .filter((address) => isDialable(address) && (peerIdOf(address) ?? peer) === peer)
    .map((address) => complete(address, peer))
  return { peer, publicKey, addresses }
}

/** One that ends in what we can't read may be anybody's; one that leaves no room for its peer can't be dialled. */
const isDialable = ({ bytes: encoded, parts }: Multiaddr): boolean =>
  parts.length > 0 && parts.at(-1)?.name !== 'unknown' && encoded.length <= MULTIADDR_MAX_BYTES - ROOM_FOR_PEER

const complete = (address: Multiaddr, peer: PeerId): Multiaddr =>
  peerIdOf(address) === undefined ? encapsulate(address, `/p2p/${peer}`) : address

const received = (encoded: Uint8Array): PublicKey => {
  try {
    // What it was read from is larger, and is not kept.
    return decodePublicKey(encoded.slice())
  } catch (error) {
    throw remoteFault('ERR_INVALID_KEY', 'an announcement with a key that is none', error)
  }
}
