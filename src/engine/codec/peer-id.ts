/**
 * Peer ids: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#peer-ids
 *
 * The multihash of the encoded public key: the key itself where it is at most 42 bytes (Ed25519, secp256k1), else its
 * SHA-256 (RSA, ECDSA). Inside the engine a peer id is the base58btc text of that multihash, so that it compares
 * and keys maps as it is; on the wire it is the multihash, never a CID.
 *
 * Bounds: text of at most 256 characters is looked at (the longest valid one, base16 of an inlined key, has 97).
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { TabmeshError } from '../../errors.ts'
import { concat } from './bytes.ts'
import type { PublicKey } from './keys.ts'
import { decodePublicKey } from './keys.ts'
import { fromBase58, fromMultibase, toBase36, toBase58 } from './multibase.ts'

/** base58btc text of the multihash: `12D3KooW…`, `16Uiu2…`, `Qm…`. */
export type PeerId = string

/** peer-ids.md §Peer Ids: keys up to this long are inlined. */
const MAX_INLINE_KEY = 42
/** Multihash codes: https://github.com/multiformats/multicodec/blob/master/table.csv */
const IDENTITY = 0x00
const SHA2_256 = 0x12
/** CIDv1 ‖ codec libp2p-key. */
const CID_PREFIX = Uint8Array.of(0x01, 0x72)

const invalid = (what: string, cause?: unknown) => new TabmeshError('ERR_INVALID_PEER_ID', what, { cause })

export const peerIdFromKey = ({ encoded }: PublicKey): PeerId =>
  toBase58(
    encoded.length <= MAX_INLINE_KEY
      ? concat([Uint8Array.of(IDENTITY, encoded.length), encoded])
      : concat([Uint8Array.of(SHA2_256, 32), sha256(encoded)]),
  )

/** The inlined key, if there is one. Throws ERR_INVALID_PEER_ID unless this is the multihash of a key. */
const check = (multihash: Uint8Array): PublicKey | undefined => {
  const [code, size] = multihash
  if (size === undefined || size !== multihash.length - 2) throw invalid('peer id is not a whole multihash')
  if (code === SHA2_256 && size === 32) return undefined
  if (code !== IDENTITY || size > MAX_INLINE_KEY) throw invalid('peer id is neither an inlined key nor a SHA-256')
  try {
    return decodePublicKey(multihash.subarray(2))
  } catch (error) {
    throw invalid('peer id does not hold a key', error)
  }
}

/** From the multihash that messages carry. Throws ERR_INVALID_PEER_ID. */
export const peerIdFromBytes = (multihash: Uint8Array): PeerId => {
  check(multihash)
  return toBase58(multihash)
}

/** The multihash. Throws ERR_INVALID_PEER_ID where `id` is no peer id in base58btc. */
export const peerIdToBytes = (id: PeerId): Uint8Array => {
  const multihash = decode(id)
  check(multihash)
  return multihash
}

const decode = (id: PeerId): Uint8Array => {
  const multihash = fromBase58(id)
  if (multihash === undefined) throw notAnId(id)
  return multihash
}

const notAnId = (text: string) => invalid(`${JSON.stringify(text.slice(0, 100))} is not a peer id`)

/** The multihash of any text form: base58btc, or a CIDv1 of a libp2p key in any multibase of multibase.ts. Throws ERR_INVALID_PEER_ID. */
export const parsePeerIdBytes = (text: string): Uint8Array => {
  if (isBase58Id(text)) return peerIdToBytes(text)
  const cid = fromMultibase(text)
  if (cid === undefined) throw notAnId(text)
  if (cid[0] !== CID_PREFIX[0] || cid[1] !== CID_PREFIX[1]) throw invalid(`${JSON.stringify(text)} is not the CID of a libp2p key`)
  const multihash = cid.subarray(2)
  check(multihash)
  return multihash
}

/** peer-ids.md §Decoding: no multibase begins like this. */
export const isBase58Id = (text: string): boolean => text.startsWith('1') || text.startsWith('Qm')

/** From any text form. Throws ERR_INVALID_PEER_ID. */
export const parsePeerId = (text: string): PeerId => {
  const multihash = parsePeerIdBytes(text)
  return isBase58Id(text) ? text : toBase58(multihash)
}

/** CIDv1 in base36: `k51…`, `k2k4…`; short enough for a label of a domain name. */
export const peerIdToCid = (id: PeerId): string => toBase36(concat([CID_PREFIX, peerIdToBytes(id)]))

/** The key that the id inlines (Ed25519, secp256k1); undefined where it is hashed (RSA, ECDSA). Throws ERR_INVALID_PEER_ID. */
export const keyFromPeerId = (id: PeerId): PublicKey | undefined => check(decode(id))
