/**
 * Signed envelopes as conversations: the host signs, since the identity key may live where the engine can't see it,
 * and the host verifies, since it may be faster at it. The formats and their specifications: codec/envelope.ts.
 *
 * What is refused is refused before the signature is verified wherever that can be told: verifying is what costs.
 */

import { remoteFault } from '../../errors.ts'
import { equalBytes } from '../codec/bytes.ts'
import type { Envelope, EnvelopeUse, PeerRecord } from '../codec/envelope.ts'
import {
  decodeEnvelope,
  decodePeerRecord,
  encodeEnvelope,
  encodePeerRecord,
  envelopeSigningBytes,
  peerRecordUse,
  routingRecordUse,
} from '../codec/envelope.ts'
import type { PublicKey } from '../codec/keys.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { peerIdFromKey } from '../codec/peer-id.ts'
import type { Conversation } from './conversation.ts'
import { sign, verify } from './conversation.ts'

/** An envelope around `payload`, signed with the host's key, whose public half is `publicKey`. */
export function* sealEnvelope(publicKey: PublicKey, use: EnvelopeUse, payload: Uint8Array): Conversation<Uint8Array> {
  const signature = yield* sign(envelopeSigningBytes(use, payload))
  return encodeEnvelope({ publicKey, payloadType: use.payloadType, payload, signature })
}

/** Verifies what `decodeEnvelope` read. Throws ERR_PROTOCOL where it is for another use or not signed by its key. */
export function* openEnvelope(envelope: Envelope, use: EnvelopeUse): Conversation<Uint8Array> {
  const { publicKey, payloadType, payload, signature } = envelope
  if (!equalBytes(payloadType, use.payloadType)) throw remoteFault('ERR_PROTOCOL', `envelope of another use than ${use.domain}`)
  const valid = yield* verify(publicKey, envelopeSigningBytes(use, payload), signature)
  if (!valid) throw remoteFault('ERR_PROTOCOL', `envelope for ${use.domain} is not signed by its key`)
  return payload
}

/** Our own peer record, in the form that go and js read unless told otherwise. */
export function* sealPeerRecord(
  publicKey: PublicKey,
  record: Omit<PeerRecord, 'peerId'>,
  form: EnvelopeUse = peerRecordUse,
): Conversation<Uint8Array> {
  return yield* sealEnvelope(publicKey, form, encodePeerRecord({ ...record, peerId: peerIdFromKey(publicKey) }))
}

/**
 * The peer record in an envelope, in either form. `expectedPeer` is who it has to be of: over identify, the
 * authenticated peer. Throws ERR_PROTOCOL, or the fault of what does not decode. Whether `seq` is new is for the caller.
 */
export function* openPeerRecord(bytes: Uint8Array, expectedPeer?: PeerId): Conversation<PeerRecord> {
  const envelope = decodeEnvelope(bytes)
  const signer = peerIdFromKey(envelope.publicKey)
  if (expectedPeer !== undefined && signer !== expectedPeer)
    throw remoteFault('ERR_PROTOCOL', `peer record of ${signer} from ${expectedPeer}`)
  const record = decodePeerRecord(envelope.payload)
  if (record.peerId !== signer) throw remoteFault('ERR_PROTOCOL', `peer record of ${record.peerId} signed by ${signer}`)
  const use = equalBytes(envelope.payloadType, routingRecordUse.payloadType) ? routingRecordUse : peerRecordUse
  yield* openEnvelope(envelope, use)
  return record
}
