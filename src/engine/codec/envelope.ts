/**
 * Signed envelopes and what is put into them: peer records and relay vouchers.
 * https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md, RFC/0003-routing-records.md, relay/circuit-v2.md
 *
 *   Envelope = { 1: public key, 2: payload type, 3: payload, 5: signature }
 *   signed: uvarint length ‖ bytes, for each of domain, payload type, payload
 *
 * The domain is not sent: it keeps a signature made for one use from counting in another. Bounds: an envelope is as long as the
 * frame it came in; a record lists at most IDENTIFY_MAX_ADDRESSES. Signing and verifying: wire/signed-envelope.ts.
 */

import { remoteFault, TabmeshError } from '../../errors.ts'
import { IDENTIFY_MAX_ADDRESSES } from '../limits.ts'
import { concat, emptyBytes, utf8 } from './bytes.ts'
import type { PublicKey } from './keys.ts'
import { decodePublicKey } from './keys.ts'
import type { Multiaddr } from './multiaddr.ts'
import { decodeMultiaddrs, peerIdOf } from './multiaddr.ts'
import type { PeerId } from './peer-id.ts'
import { peerIdFromBytes, peerIdToBytes } from './peer-id.ts'
import { bytes, message, nested, repeated, uint64 } from './protobuf.ts'
import { frame } from './varint.ts'

/** What an envelope is for. */
export interface EnvelopeUse {
  readonly domain: string
  readonly payloadType: Uint8Array
}

/** What go and js write and read: multicodec libp2p-peer-record, 0x0301. */
export const peerRecordUse: EnvelopeUse = { domain: 'libp2p-peer-record', payloadType: Uint8Array.of(0x03, 0x01) }
/** What RFC 0003 says and rust writes by default. */
export const routingRecordUse: EnvelopeUse = { domain: 'libp2p-routing-state', payloadType: utf8('/libp2p/routing-state-record') }
/** circuit-v2.md §Reservation vouchers: multicodec libp2p-relay-rsvp, 0x0302. */
export const voucherUse: EnvelopeUse = { domain: 'libp2p-relay-rsvp', payloadType: Uint8Array.of(0x03, 0x02) }

export interface Envelope {
  readonly publicKey: PublicKey
  readonly payloadType: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

const EnvelopeMessage = message({ publicKey: bytes(1), payloadType: bytes(2), payload: bytes(3), signature: bytes(5) })

export const encodeEnvelope = ({ publicKey, payloadType, payload, signature }: Envelope): Uint8Array =>
  EnvelopeMessage.encode({ publicKey: publicKey.encoded, payloadType, payload, signature })

/** The signature is not checked yet. Throws ERR_DECODE, ERR_INVALID_KEY. */
export const decodeEnvelope = (input: Uint8Array): Envelope => {
  const { publicKey, payloadType = emptyBytes, payload = emptyBytes, signature } = EnvelopeMessage.decode(input)
  if (publicKey === undefined || signature === undefined) throw remoteFault('ERR_DECODE', 'envelope without a key or a signature')
  return { publicKey: received('envelope', () => decodePublicKey(publicKey)), payloadType, payload, signature }
}

/** The bytes that the signature is over. */
export const envelopeSigningBytes = ({ domain, payloadType }: EnvelopeUse, payload: Uint8Array): Uint8Array =>
  concat([frame(utf8(domain)), frame(payloadType), frame(payload)])

/** What a peer says of itself. */
export interface PeerRecord {
  readonly peerId: PeerId
  /** Greater in every later record of the peer: Unix time, in milliseconds from js and from us, in nanoseconds from go. */
  readonly seq: bigint
  readonly addresses: readonly Multiaddr[]
}

const AddressInfo = message({ multiaddr: bytes(1) })
const PeerRecordMessage = message({ peerId: bytes(1), seq: uint64(2), addresses: repeated(nested(3, AddressInfo), IDENTIFY_MAX_ADDRESSES) })

export const encodePeerRecord = ({ peerId, seq, addresses }: PeerRecord): Uint8Array =>
  PeerRecordMessage.encode({
    peerId: peerIdToBytes(peerId),
    seq,
    addresses: addresses.map((address) => ({ multiaddr: address.bytes })),
  })

/** Without the addresses that don't decode or that lead to another peer. Throws ERR_DECODE, ERR_INVALID_PEER_ID. */
export const decodePeerRecord = (input: Uint8Array): PeerRecord => {
  // proto3 leaves zeros out.
  const { peerId: id = emptyBytes, seq = 0n, addresses } = PeerRecordMessage.decode(input)
  const peerId = received('peer record', () => peerIdFromBytes(id))
  return {
    peerId,
    seq,
    addresses: decodeMultiaddrs(addresses.map(({ multiaddr = emptyBytes }) => multiaddr)).filter(
      (address) => (peerIdOf(address) ?? peerId) === peerId,
    ),
  }
}

/** A relay's word that `peer` holds a reservation. */
export interface Voucher {
  readonly relay: PeerId
  readonly peer: PeerId
  /** Unix time in seconds. */
  readonly expiration: bigint
}

const VoucherMessage = message({ relay: bytes(1), peer: bytes(2), expiration: uint64(3) })

export const encodeVoucher = ({ relay, peer, expiration }: Voucher): Uint8Array =>
  VoucherMessage.encode({ relay: peerIdToBytes(relay), peer: peerIdToBytes(peer), expiration })

/** Throws ERR_DECODE, ERR_INVALID_PEER_ID. */
export const decodeVoucher = (input: Uint8Array): Voucher => {
  const { relay = emptyBytes, peer = emptyBytes, expiration = 0n } = VoucherMessage.decode(input)
  return received('voucher', () => ({ relay: peerIdFromBytes(relay), peer: peerIdFromBytes(peer), expiration }))
}

/** The fault is the remote's when what can't be read came from it. */
const received = <T>(what: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    throw remoteFault(error instanceof TabmeshError ? error.code : 'ERR_DECODE', `${what} names no valid key or peer`, error)
  }
}
