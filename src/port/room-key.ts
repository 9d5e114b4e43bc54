/**
 * The slow hash of a room's password, and the place that it leads to (engine/protocols/room/place.ts). It runs in steps of some milliseconds, so
 * that the engine beside it goes on.
 */

import { scryptAsync } from '@noble/hashes/scrypt.js'
import { utf8 } from '../engine/codec/bytes.ts'
import { ROOM_SCRYPT } from '../engine/limits.ts'
import { openPlace, type Place, saltOf, sealedPlace } from '../engine/protocols/room/place.ts'
import { TabmeshError } from '../errors.ts'

/** Milliseconds of hashing at a time. */
const STEP = 8

/** Rejects with ERR_INVALID_ARGUMENT. */
export const placeOf = async (name: string, password: string | undefined): Promise<Place> => {
  if (password === undefined) return openPlace(name)
  if (password === '') throw new TabmeshError('ERR_INVALID_ARGUMENT', "a room's password has at least one character")
  const salt = saltOf(name)
  return sealedPlace(await scryptAsync(utf8(password.normalize('NFC')), salt, { ...ROOM_SCRYPT, dkLen: 32, asyncTick: STEP }))
}
