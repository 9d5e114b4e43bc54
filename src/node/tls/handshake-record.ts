/**
 * How many certificates a remote sent. OpenSSL knows, and Node does not say: it shows the first, and of the others those alone that
 * issued it, where the specification has a peer refused that sends more than one (https://github.com/libp2p/specs/blob/master/tls/tls.md).
 * So the remote's handshake records are kept, decrypted once more with the secret that Node logs, and its Certificate message is counted.
 *
 *   record (RFC 8446 §5.2)     23 ‖ 3 3 ‖ length ‖ sealed { handshake bytes ‖ 22 ‖ zeros }
 *   message (§4)               type ‖ length (3) ‖ body           may lie across records
 *   Certificate (§4.4.2)       context <1> ‖ list <3> of { certificate <3> ‖ extensions <2> }
 *
 * Bounds: TLS_MAX_HANDSHAKE bytes kept, until the handshake is over; each is decrypted once, after OpenSSL took it for authentic.
 */

import { type CipherGCMTypes, createDecipheriv, createHmac } from 'node:crypto'
import { TLS_MAX_HANDSHAKE } from '../../engine/limits.ts'
import { remoteFault } from '../../errors.ts'

/** RFC 8446 §5.1 and §4. */
const APPLICATION_DATA = 23
const HANDSHAKE = 22
const CERTIFICATE = 11
const RECORD_HEADER = 5
const TAG = 16
const IV = 12

interface Suite {
  readonly cipher: CipherGCMTypes | 'chacha20-poly1305'
  readonly hash: string
  readonly keyBytes: number
}

/** RFC 8446 §B.4; the names are OpenSSL's too. AES with 128 bits first, as go: it is the fastest where the processor helps. */
const suites: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', hash: 'sha256', keyBytes: 16 },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', hash: 'sha256', keyBytes: 32 },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', hash: 'sha384', keyBytes: 32 },
}

/** What `ciphers` is set to, so that these are all there can be. */
export const CIPHERS = Object.keys(suites).join(':')

/** What one side sent until the handshake was over, as it came. */
export class HandshakeRecord {
  #chunks: Uint8Array[] = []
  #size = 0

  /** The first TLS_MAX_HANDSHAKE bytes are kept. */
  keep(bytes: Uint8Array): void {
    if (this.#size >= TLS_MAX_HANDSHAKE) return
    this.#chunks.push(bytes)
    this.#size += bytes.length
  }

  /** Certificates in the Certificate message. `secret` is the sender's handshake traffic secret. Throws ERR_ENCRYPTION_FAILED where there is none. */
  countCertificates(suiteName: string, secret: Buffer | undefined): number {
    const suite = suites[suiteName]
    const bytes = Buffer.concat(this.#chunks)
    this.#chunks = []
    const body = suite === undefined || secret === undefined ? undefined : certificateMessage(messagesOf(bytes, suite, secret))
    if (body === undefined) throw remoteFault('ERR_ENCRYPTION_FAILED', `no certificate in ${bytes.length} bytes of TLS handshake`)
    return countEntries(body)
  }
}

/** The plaintext of the sealed records, as far as the keys of the handshake go. */
function* messagesOf(bytes: Buffer, suite: Suite, secret: Buffer): Generator<Buffer> {
  const key = expandLabel(suite, secret, 'key', suite.keyBytes)
  const iv = expandLabel(suite, secret, 'iv', IV)
  let sequence = 0
  for (let at = 0; at + RECORD_HEADER <= bytes.length; ) {
    const header = bytes.subarray(at, at + RECORD_HEADER)
    const end = at + RECORD_HEADER + header.readUInt16BE(3)
    // Hellos and the message that is sent for the sake of old middleboxes are not sealed.
    if (header[0] === APPLICATION_DATA && end <= bytes.length) {
      const sealed = bytes.subarray(at + RECORD_HEADER, end)
      const plaintext = open(suite, key, nonce(iv, sequence++), header, sealed)
      const last = plaintext.findLastIndex((byte) => byte !== 0)
      if (plaintext[last] !== HANDSHAKE) return
      yield plaintext.subarray(0, last)
    }
    at = end
  }
}

const certificateMessage = (records: Iterable<Buffer>): Buffer | undefined => {
  let pending: Buffer = Buffer.alloc(0)
  for (const record of records) {
    pending = Buffer.concat([pending, record])
    while (pending.length >= 4) {
      const end = 4 + pending.readUIntBE(1, 3)
      if (end > pending.length) break
      if (pending[0] === CERTIFICATE) return pending.subarray(4, end)
      pending = pending.subarray(end)
    }
  }
  return undefined
}

/** Of a message that OpenSSL has parsed already. */
const countEntries = (body: Buffer): number => {
  let at = 1 + (body[0] ?? 0)
  at += 3
  let count = 0
  while (at + 3 <= body.length) {
    at += 3 + body.readUIntBE(at, 3)
    if (at + 2 > body.length) break
    at += 2 + body.readUInt16BE(at)
    count += 1
  }
  return count
}

const open = ({ cipher }: Suite, key: Buffer, iv: Buffer, header: Buffer, sealed: Buffer): Buffer => {
  const decipher = createDecipheriv(cipher as CipherGCMTypes, key, iv, { authTagLength: TAG })
  decipher.setAAD(header)
  decipher.setAuthTag(sealed.subarray(-TAG))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -TAG)), decipher.final()])
  } catch (error) {
    throw remoteFault('ERR_ENCRYPTION_FAILED', 'a record of the TLS handshake is not sealed with its key', error)
  }
}

/** RFC 8446 §5.3. */
const nonce = (iv: Buffer, sequence: number): Buffer => {
  const bytes = Buffer.from(iv)
  bytes.writeUInt32BE((bytes.readUInt32BE(IV - 4) ^ sequence) >>> 0, IV - 4)
  return bytes
}

/** RFC 8446 §7.1, for outputs that are no longer than the hash: one block of HKDF-Expand (RFC 5869 §2.3). */
const expandLabel = ({ hash }: Suite, secret: Buffer, label: string, length: number): Buffer => {
  const full = `tls13 ${label}`
  const info = Buffer.concat([Buffer.of(0, length, full.length), Buffer.from(full), Buffer.of(0)])
  return createHmac(hash, secret).update(info).update(Buffer.of(1)).digest().subarray(0, length)
}
