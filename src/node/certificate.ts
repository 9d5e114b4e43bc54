/**
 * Self-signed X.509 certificates (RFC 5280 §4.1) of ECDSA keys on P-256, the only ones that libp2p's TLS, QUIC and WebRTC need.
 *
 *   Certificate ::= SEQUENCE { tbs, ecdsa-with-SHA256, BIT STRING signature }
 *   tbs         ::= SEQUENCE { [0] version 3, serial, algorithm, issuer, validity, subject, public key, [3] extensions }
 */

import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { concat } from '../engine/codec/bytes.ts'

const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_ID = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
const SEQUENCE = 0x30
const SET = 0x31
const EXPLICIT_0 = 0xa0
const EXPLICIT_3 = 0xa3

/** What a certificate says beyond the key: `value` is the DER inside the extension's OCTET STRING. */
export interface Extension {
  /** In dots: '1.3.6.1.4.1.53594.1.1'. */
  readonly oid: string
  readonly critical: boolean
  readonly value: Uint8Array
}

export interface CertificateOptions {
  /** The private key, on P-256; a new one if absent. */
  readonly key?: KeyObject
  /** Unix milliseconds; a certificate counts in whole seconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly extensions?: readonly Extension[]
  /** Common name of subject and issuer. RFC 5280 §4.1.2.4 wants one; nobody compares it. */
  readonly subject?: string
}

export interface Certificate {
  /** DER. */
  readonly certificate: Uint8Array
  readonly pem: string
  readonly key: KeyObject
  /** PKCS #8. */
  readonly keyPem: string
}

/** Makes a certificate that `key` signs itself. */
export const selfSigned = ({
  key = newKey(),
  notBefore,
  notAfter,
  extensions = [],
  subject = 'libp2p',
}: CertificateOptions): Certificate => {
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(UTF8_STRING, utf8(subject)))))
  const tbs = der(
    SEQUENCE,
    der(EXPLICIT_0, der(INTEGER, Uint8Array.of(2))),
    der(INTEGER, serial()),
    ecdsaWithSha256,
    name,
    der(SEQUENCE, time(notBefore), time(notAfter)),
    name,
    new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' })),
    ...(extensions.length === 0 ? [] : [der(EXPLICIT_3, der(SEQUENCE, ...extensions.map(extension)))]),
  )
  const signature = new Uint8Array(sign('sha256', tbs, key))
  const certificate = der(SEQUENCE, tbs, ecdsaWithSha256, der(BIT_STRING, Uint8Array.of(0), signature))
  return { certificate, pem: pem(certificate), key, keyPem: key.export({ type: 'pkcs8', format: 'pem' }) as string }
}

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** One DER element: tag, length in its shortest form, content. */
export const der = (tag: number, ...content: Uint8Array[]): Uint8Array => {
  const body = concat(content)
  const { length } = body
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return concat([Uint8Array.of(tag, ...head), body])
}

const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

/** X.690 §8.19: the first two numbers are one, each in groups of seven bits. */
export const oid = (dots: string): Uint8Array => {
  const [first = 0, second = 0, ...rest] = dots.split('.').map(Number)
  const bytes: number[] = []
  for (const number of [first * 40 + second, ...rest]) {
    const groups = [number & 0x7f]
    for (let left = Math.floor(number / 128); left > 0; left = Math.floor(left / 128)) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return der(OBJECT_ID, Uint8Array.from(bytes))
}

const COMMON_NAME = '2.5.4.3'
/** RFC 5758 §3.2. */
const ecdsaWithSha256 = der(SEQUENCE, oid('1.2.840.10045.4.3.2'))

const extension = ({ oid: id, critical, value }: Extension): Uint8Array =>
  der(SEQUENCE, oid(id), ...(critical ? [der(BOOLEAN, Uint8Array.of(0xff))] : []), der(OCTET_STRING, value))

/** Positive, not zero, in its shortest form (RFC 5280 §4.1.2.2). */
const serial = (): Uint8Array => {
  const bytes = new Uint8Array(randomBytes(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

/** RFC 5280 §4.1.2.5: two digits of the year through 2049, four from then on. */
export const time = (ms: number): Uint8Array => {
  const digits = `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return Number(digits.slice(0, 4)) < 2050 ? der(UTC_TIME, utf8(digits.slice(2))) : der(GENERALIZED_TIME, utf8(digits))
}

export const pem = (bytes: Uint8Array): string => {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
