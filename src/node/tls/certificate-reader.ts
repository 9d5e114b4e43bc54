/**
 * An X.509 certificate as far as libp2p's TLS needs it (RFC 5280 §4.1, https://github.com/libp2p/specs/blob/master/tls/tls.md).
 *
 *   Certificate ::= SEQUENCE { tbs, algorithm, BIT STRING signature }
 *   tbs         ::= SEQUENCE { [0] version 3, serial, algorithm, issuer, validity, subject, public key, [3] extensions }
 *
 * Strict DER: lengths in their shortest form, nothing left over, no field that libp2p forbids. What the fields it passes over hold
 * is OpenSSL's to judge. Bounds: nothing is copied, time in proportion to the length, no recursion.
 */

import { equalBytes } from '../../engine/codec/bytes.ts'

const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_ID = 0x06
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
const SEQUENCE = 0x30
const VERSION = 0xa0
const EXTENSIONS = 0xa3

/** Version 3 as DER writes it: INTEGER 2. Extensions are there from this version on. */
const VERSION_3 = Uint8Array.of(INTEGER, 1, 2)

export interface CertificateExtension {
  /** The content of the OBJECT IDENTIFIER. */
  readonly oid: Uint8Array
  readonly critical: boolean
  /** The content of the OCTET STRING. */
  readonly value: Uint8Array
}

export interface ParsedCertificate {
  /** The content of the OBJECT IDENTIFIER that names how it is signed. */
  readonly signatureAlgorithm: Uint8Array
  /** Unix milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
  /** SubjectPublicKeyInfo, the element whole. */
  readonly spki: Uint8Array
  readonly extensions: readonly CertificateExtension[]
}

/** Throws a plain Error that says what is wrong. */
export const readCertificate = (der: Uint8Array): ParsedCertificate => {
  const outer = new DerReader(new DerReader(der).only(SEQUENCE))
  const tbs = new DerReader(outer.take(SEQUENCE))
  const algorithm = outer.take(SEQUENCE)
  outer.take(BIT_STRING)
  outer.finish()

  if (!equalBytes(tbs.take(VERSION), VERSION_3)) throw new Error('it is not of version 3')
  tbs.take(INTEGER)
  if (!equalBytes(tbs.take(SEQUENCE), algorithm)) throw new Error('it names two signature algorithms')
  tbs.take(SEQUENCE)
  const validity = new DerReader(tbs.take(SEQUENCE))
  const notBefore = readTime(validity)
  const notAfter = readTime(validity)
  validity.finish()
  tbs.take(SEQUENCE)
  const spki = tbs.whole(SEQUENCE)
  // tls.md: issuerUniqueId and subjectUniqueId, [1] and [2], must not be there.
  const extensions = tbs.done ? [] : readExtensions(tbs.take(EXTENSIONS))
  tbs.finish()
  return { signatureAlgorithm: new DerReader(algorithm).take(OBJECT_ID), notBefore, notAfter, spki, extensions }
}

const readExtensions = (bytes: Uint8Array): CertificateExtension[] => {
  const list = new DerReader(new DerReader(bytes).only(SEQUENCE))
  const extensions: CertificateExtension[] = []
  while (!list.done) {
    const extension = new DerReader(list.take(SEQUENCE))
    const oid = extension.take(OBJECT_ID)
    const critical = extension.tag === BOOLEAN && readTrue(extension.take(BOOLEAN))
    const value = extension.take(OCTET_STRING)
    extension.finish()
    extensions.push({ oid, critical, value })
  }
  return extensions
}

/** X.690 §11.1 and §11.5: DER writes true as 0xff, and what is the default (false) not at all. */
const readTrue = (bytes: Uint8Array): true => {
  if (bytes.length !== 1 || bytes[0] !== 0xff) throw new Error('a boolean is not DER')
  return true
}

/** `SEQUENCE { OCTET STRING, OCTET STRING }`: the SignedKey of tls.md. Throws a plain Error. */
export const readSignedKey = (der: Uint8Array): { readonly publicKey: Uint8Array; readonly signature: Uint8Array } => {
  const fields = new DerReader(new DerReader(der).only(SEQUENCE))
  const publicKey = fields.take(OCTET_STRING)
  const signature = fields.take(OCTET_STRING)
  fields.finish()
  return { publicKey, signature }
}

/** RFC 5280 §4.1.2.5: seconds are written, the zone is Z, and years with two digits lie between 1950 and 2049. */
const readTime = (reader: DerReader): number => {
  const short = reader.tag === UTC_TIME
  const text = Buffer.from(reader.take(short ? UTC_TIME : GENERALIZED_TIME)).toString('latin1')
  const [, year = '', ...rest] =
    (short ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(text) ?? []
  const full = short ? (Number(year) < 50 ? `20${year}` : `19${year}`) : year
  const [month, day, hour, minute, second] = rest
  const written = `${full}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const time = Date.parse(written)
  // The 31st of February is the third of March to some parsers, and no date here.
  if (Number.isNaN(time) || new Date(time).toISOString() !== written) throw new Error(`${JSON.stringify(text)} is no time`)
  return time
}

/** Takes DER elements off `bytes` one after another. */
class DerReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** Of the next element; undefined at the end. */
  get tag(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The content of the next element, which must be a `tag`. */
  take(tag: number): Uint8Array {
    const { start, end } = this.#next(tag)
    this.#at = end
    return this.#bytes.subarray(start, end)
  }

  /** The next element with its tag and length. */
  whole(tag: number): Uint8Array {
    const from = this.#at
    this.#at = this.#next(tag).end
    return this.#bytes.subarray(from, this.#at)
  }

  /** The content of the only element. */
  only(tag: number): Uint8Array {
    const content = this.take(tag)
    this.finish()
    return content
  }

  finish(): void {
    if (!this.done) throw new Error('it holds more than it should')
  }

  #next(tag: number): { readonly start: number; readonly end: number } {
    const bytes = this.#bytes
    if (bytes[this.#at] !== tag) throw new Error(`it lacks an element of type 0x${tag.toString(16)} where one must be`)
    const first = bytes[this.#at + 1] ?? 0x80
    let start = this.#at + 2
    let length = first
    if (first >= 0x80) {
      // X.690 §10.1: the shortest form. Three bytes of length are more than a handshake may carry.
      const size = first - 0x80
      if (size === 0 || size > 3) throw new Error('a length is not DER')
      length = 0
      for (let i = 0; i < size; i++) length = length * 0x100 + (bytes[start++] ?? 0)
      if (length < 0x80 || length < 0x100 ** (size - 1)) throw new Error('a length is not DER')
    }
    if (start + length > bytes.length) throw new Error('it is cut short')
    return { start, end: start + length }
  }
}
