/**
 * CIDs (https://github.com/multiformats/cid), of which routing needs the multihash only: what a content is provided under, whichever codec it
 * is read with and whichever version its CID is of.
 *
 * Bounds: text of at most 256 characters (multibase.ts).
 */

import { CID } from 'multiformats/cid'
import { TabmeshError } from '../../errors.ts'
import { fromBase58, fromMultibase } from './multibase.ts'

/** The multihash of a CID in its text form: `Qm…` of version 0, else any multibase of multibase.ts. Throws ERR_INVALID_ARGUMENT. */
export const multihashOfCid = (text: string): Uint8Array => {
  const bytes = typeof text !== 'string' ? undefined : text.startsWith('Qm') ? fromBase58(text) : fromMultibase(text)
  try {
    if (bytes !== undefined) return CID.decode(bytes).multihash.bytes
  } catch (cause) {
    throw notACid(text, cause)
  }
  throw notACid(text)
}

const notACid = (text: string, cause?: unknown) =>
  new TabmeshError('ERR_INVALID_ARGUMENT', `${JSON.stringify(String(text).slice(0, 100))} is not a CID`, { cause })
