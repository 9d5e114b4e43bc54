/**
 * What libp2p carries inside the Noise handshake: who the sender is, and that its static key is its own.
 * https://github.com/libp2p/specs/blob/master/noise/README.md#the-libp2p-handshake-payload
 *
 *   NoiseHandshakePayload { 1: identity_key, 2: identity_sig, 4: extensions { 1: certhash…, 2: muxer… } }
 *
 * Nothing of a payload is used before its signature is checked; the extensions are not even decoded.
 *
 * Bounds. A payload fits a Noise message (64 KiB); NOISE_MAX_MUXERS and NOISE_MAX_CERTHASHES bound what it lists.
 */

import { remoteFault } from '../../../errors.ts'
import { concat, emptyBytes, utf8 } from '../../codec/bytes.ts'
import type { PublicKey } from '../../codec/keys.ts'
import { decodePublicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import type { Of } from '../../codec/protobuf.ts'
import { bytes, message, repeated, string } from '../../codec/protobuf.ts'
import { NOISE_MAX_CERTHASHES, NOISE_MAX_MUXERS } from '../../limits.ts'
import type { Conversation } from '../conversation.ts'
import { verify } from '../conversation.ts'

const Extensions = message({
  certhashes: repeated(bytes(1), NOISE_MAX_CERTHASHES),
  muxers: repeated(string(2), NOISE_MAX_MUXERS),
})

const Payload = message({
  identityKey: bytes(1),
  identitySig: bytes(2),
  extensions: bytes(4),
})

export type NoiseExtensions = Of<typeof Extensions>

/** What the identity key signs (specs: noise/README.md, the libp2p handshake payload). */
export const signedStaticKey = (staticPublicKey: Uint8Array): Uint8Array => concat([utf8('noise-libp2p-static-key:'), staticPublicKey])

export const encodePayload = (identity: PublicKey, signature: Uint8Array, extensions: NoiseExtensions): Uint8Array => {
  const listed = extensions.muxers.length + extensions.certhashes.length > 0
  return Payload.encode({
    identityKey: identity.encoded,
    identitySig: signature,
    extensions: listed ? Extensions.encode(extensions) : undefined,
  })
}

export interface Introduction {
  readonly key: PublicKey
  readonly peer: PeerId
  readonly extensions: NoiseExtensions
}

/**
 * Who sent `payload` over a handshake with this static key. Throws ERR_PEER_ID_MISMATCH where it is not `expected`, and
 * ERR_ENCRYPTION_FAILED for all else that does not hold.
 */
export function* checkPayload(payload: Uint8Array, staticPublicKey: Uint8Array, expected: PeerId | undefined): Conversation<Introduction> {
  const { identityKey, identitySig, extensions } = decoded('payload', () => Payload.decode(payload))
  // Copied, as are the hashes: a view would keep all of the payload for as long as the connection lives.
  const key = decoded('identity key', () => decodePublicKey((identityKey ?? emptyBytes).slice()))
  const peer = peerIdFromKey(key)
  if (expected !== undefined && peer !== expected) throw remoteFault('ERR_PEER_ID_MISMATCH', `dialled ${expected}, found ${peer}`)
  if (!(yield* verify(key, signedStaticKey(staticPublicKey), identitySig ?? emptyBytes))) {
    throw remoteFault('ERR_ENCRYPTION_FAILED', 'noise: the identity key did not sign the static key')
  }
  const { certhashes, muxers } = decoded('extensions', () => Extensions.decode(extensions ?? emptyBytes))
  return { key, peer, extensions: { certhashes: certhashes.map((hash) => hash.slice()), muxers } }
}

const decoded = <T>(what: string, decode: () => T): T => {
  try {
    return decode()
  } catch (error) {
    throw remoteFault('ERR_ENCRYPTION_FAILED', `noise: the ${what} in the handshake can't be decoded`, error)
  }
}
