/**
 * Place: where a room is: the topic it gossips on, the namespace it is registered in, and the key of one with a password.
 *
 *   open      topic and namespace are the name, behind a prefix: whoever knows it may come, and relays see it
 *   sealed    root = scrypt(password, name) ─ HKDF ─▶ topic, namespace and key: relays see neither name nor content
 *
 * Another password is another place: who mistypes it is alone in a room of his own, and nobody is told, for nobody could know. The slow hash is
 * the host's (it takes some 300 ms, and the engine does not wait); which one it is, ROOM_SCRYPT and `saltOf` say.
 */

import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { TabmeshError } from '../../../errors.ts'
import { utf8, utf8Length } from '../../codec/bytes.ts'
import { ROOM_MAX_NAME } from '../../limits.ts'

export interface Place {
  readonly topic: string
  readonly namespace: string
  /** SHA-256 of the topic: how a stream says which room it is about. */
  readonly tag: Uint8Array
  /** Undefined where the room is open. */
  readonly key: Uint8Array | undefined
}

/** Names and passwords that look the same are the same. Throws ERR_INVALID_ARGUMENT for a name that is none. */
export const checkName = (name: string): string => {
  const same = name.normalize('NFC')
  const length = utf8Length(same)
  if (length === 0 || length > ROOM_MAX_NAME)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a room's name has 1 to ${ROOM_MAX_NAME} bytes, not ${length}`)
  return same
}

export const openPlace = (name: string): Place => placeOf(`tabmesh-room/${checkName(name)}`, undefined)

/** What the slow hash takes beside the password. Throws ERR_INVALID_ARGUMENT. */
export const saltOf = (name: string): Uint8Array => utf8(`tabmesh room 1/${checkName(name)}`)

/** `root` is the 32 bytes of the slow hash. */
export const sealedPlace = (root: Uint8Array): Place => {
  const derive = (what: string): Uint8Array => hkdf(sha256, root, undefined, utf8(`tabmesh room ${what}`), 32)
  const topic = `tabmesh-sealed/${hex(derive('topic'))}`
  return { ...placeOf(topic, derive('key')), namespace: `tabmesh-sealed/${hex(derive('namespace'))}` }
}

const placeOf = (topic: string, key: Uint8Array | undefined): Place => ({ topic, namespace: topic, tag: sha256(utf8(topic)), key })

export const hex = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

export const unhex = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}
