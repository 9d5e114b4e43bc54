/**
 * Cookies: up to where somebody has been told of the registrations in a namespace.
 *
 *   3 bytes: this start of the server │ 5 bytes: serial number of the last registration told, big-endian │ namespace in UTF-8, none for all
 *
 * So a server remembers nothing for whoever asks. rust reads cookies of other servers too, as eight bytes and a namespace, and forgets what it
 * remembers for the oldest of its own: to know nothing of a cookie means to tell everything.
 *
 * A cookie of another namespace, or of no form, is refused. One that is forged leads past registrations, which harms nobody but the forger.
 */

import { concat, equalBytes, utf8 } from '../../codec/bytes.ts'
import { RENDEZVOUS_MAX_NAMESPACE } from '../../limits.ts'

const ORIGIN = 3
const HEAD = 8
/** Serial numbers have 40 bits: a thousand registrations a second for 34 years. */
const HIGH_UNIT = 0x1_0000_0000

export class Cookies {
  readonly #origin: Uint8Array

  /** `origin`: random bytes, three of them. */
  constructor(origin: Uint8Array) {
    this.#origin = origin
  }

  write(serial: number, namespace: string | undefined): Uint8Array {
    const head = new Uint8Array(HEAD)
    head.set(this.#origin)
    const view = new DataView(head.buffer)
    view.setUint8(ORIGIN, Math.floor(serial / HIGH_UNIT))
    view.setUint32(ORIGIN + 1, serial % HIGH_UNIT)
    return namespace === undefined ? head : concat([head, utf8(namespace)])
  }

  /** The serial number in a cookie that belongs to `namespace`: 0 for that of another server; undefined for what is refused. */
  read(cookie: Uint8Array, namespace: string | undefined): number | undefined {
    if (cookie.length < HEAD || cookie.length > HEAD + RENDEZVOUS_MAX_NAMESPACE) return undefined
    if (!equalBytes(cookie.subarray(HEAD), utf8(namespace ?? ''))) return undefined
    if (!equalBytes(cookie.subarray(0, ORIGIN), this.#origin)) return 0
    const view = new DataView(cookie.buffer, cookie.byteOffset, HEAD)
    return view.getUint8(ORIGIN) * HIGH_UNIT + view.getUint32(ORIGIN + 1)
  }
}
