/**
 * Reservation vouchers: a relay's signed word that it serves a peer (specs: relay/circuit-v2.md §Reservation Vouchers).
 */

import { remoteFault } from '../../../errors.ts'
import { decodeEnvelope, decodeVoucher, encodeVoucher, voucherUse } from '../../codec/envelope.ts'
import type { PublicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import type { Conversation } from '../../wire/conversation.ts'
import { openEnvelope, sealEnvelope } from '../../wire/signed-envelope.ts'

/** `expiration` is Unix seconds; `publicKey` is the relay's, which the host signs with. */
export function* sealVoucher(relay: PeerId, peer: PeerId, expiration: bigint, publicKey: PublicKey): Conversation<Uint8Array> {
  return yield* sealEnvelope(publicKey, voucherUse, encodeVoucher({ relay, peer, expiration }))
}

/** Throws ERR_PROTOCOL for a voucher that `relay` did not sign, or that is not for `peer`; the fault of what does not decode. */
export function* checkVoucher(bytes: Uint8Array, relay: PeerId, peer: PeerId): Conversation<void> {
  const envelope = decodeEnvelope(bytes)
  const signer = peerIdFromKey(envelope.publicKey)
  const voucher = decodeVoucher(envelope.payload)
  if (signer !== relay || voucher.relay !== relay)
    throw remoteFault('ERR_PROTOCOL', `voucher of ${voucher.relay} signed by ${signer}, from ${relay}`)
  if (voucher.peer !== peer) throw remoteFault('ERR_PROTOCOL', `voucher for ${voucher.peer}`)
  yield* openEnvelope(envelope, voucherUse)
}
