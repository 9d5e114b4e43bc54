/**
 * CIDs (https://github.com/multiformats/cid §How does it work?), of which routing needs the multihash only: what a content is provided under,
 * whichever codec it is read with and whichever version its CID is of.
 *
 * Bounds: text of at most 256 characters (multibase.ts).
 */

import { TabmeshError } from '../../errors.ts'
import { fromBase58, fromMultibase } from './multibase.ts'
import { readVarint } from './varint.ts'

/** The multihash of a CID in its text form: `Qm…` of version 0, else any multibase of multibase.ts. Throws ERR_INVALID_ARGUMENT. */
export const multihashOfCid = (text: string): Uint8Array => {
  const isFirst = typeof text === 'string' && text.startsWith('Qm')
  const bytes = typeof text !== 'string' ? undefined : isFirst ? fromBase58(text) : fromMultibase(text)
  const multihash = bytes === undefined ? undefined : isFirst ? bytes : behindCodec(bytes)
  if (multihash === undefined || !isMultihash(multihash)) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `${JSON.stringify(String(text).slice(0, 100))} is not a CID`)
  }
  return multihash
}

/** §CIDv1: its version, its codec, the multihash. */
const behindCodec = (bytes: Uint8Array): Uint8Array | undefined => {
  const version = varintAt(bytes, 0)
  if (version?.value !== 1) return undefined
  const codec = varintAt(bytes, version.next)
  return codec && bytes.subarray(codec.next)
}

/** Its function, the length of its digest, and a digest of that length. */
const isMultihash = (bytes: Uint8Array): boolean => {
  const code = varintAt(bytes, 0)
  const length = code && varintAt(bytes, code.next)
  return length !== undefined && length.next + length.value === bytes.length
}

const varintAt = (bytes: Uint8Array, at: number) => {
  try {
    return readVarint(bytes, at)
  } catch {
    return undefined
  }
}
