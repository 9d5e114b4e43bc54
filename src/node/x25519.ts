/**
 * Key agreement by OpenSSL: some 50 µs each, and at once, where JavaScript takes ten times as long.
 */

import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { X25519 } from '../engine/crypto/x25519.ts'

/** What stands in front of the 32 bytes in an SPKI of an X25519 key (RFC 8410 §4). */
const SPKI = Buffer.from('302a300506032b656e032100', 'hex')

export const nodeX25519: X25519 = {
  generate(done) {
    const { privateKey, publicKey } = generateKeyPairSync('x25519')
    const der = publicKey.export({ type: 'spki', format: 'der' })
    done({ privateKey, publicKey: new Uint8Array(der.subarray(SPKI.length)) })
  },
  agree({ privateKey }, publicKey, done) {
    let secret: Uint8Array | false
    try {
      const remote = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' })
      secret = new Uint8Array(diffieHellman({ privateKey: privateKey as KeyObject, publicKey: remote }))
    } catch {
      // OpenSSL fails where the secret is all zeros.
      secret = false
    }
    done(secret)
  },
}
