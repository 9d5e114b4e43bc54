import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { der, newKey, selfSigned } from './certificate.ts'

const day = 86_400_000
const now = Date.UTC(2026, 6, 1)

describe('a self-signed certificate', () => {
  it('is read by OpenSSL, and signed by its own key', () => {
    const { certificate, pem, key, keyPem } = selfSigned({ notBefore: now, notAfter: now + 14 * day, subject: 'somebody' })
    const read = new X509Certificate(certificate)
    expect(read.verify(read.publicKey)).toBe(true)
    expect(read.checkPrivateKey(key)).toBe(true)
    expect(read.subject).toBe('CN=somebody')
    expect(read.issuer).toBe('CN=somebody')
    expect(read.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
    expect(new Date(read.validFrom).getTime()).toBe(now)
    expect(new Date(read.validTo).getTime()).toBe(now + 14 * day)
    expect(new X509Certificate(pem).fingerprint256).toBe(read.fingerprint256)
    expect(keyPem).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  })

  it('is of the key it is given', () => {
    const key = newKey()
    expect(new X509Certificate(selfSigned({ key, notBefore: now, notAfter: now + day }).certificate).checkPrivateKey(key)).toBe(true)
  })

  it('lasts beyond 2049, where its dates get four digits', () => {
    const end = Date.UTC(2150, 0, 1)
    expect(new Date(new X509Certificate(selfSigned({ notBefore: now, notAfter: end }).certificate).validTo).getTime()).toBe(end)
  })

  it('carries extensions', () => {
    const value = der(0x0c, new Uint8Array(300).fill(0x61))
    const extensions = [{ oid: '1.3.6.1.4.1.53594.1.1', critical: true, value }]
    const { certificate } = selfSigned({ notBefore: now, notAfter: now + day, extensions })
    // 1.3.6.1.4.1.53594.1.1 as https://github.com/libp2p/specs/blob/master/tls/tls.md writes it, critical, then the value.
    const written = Buffer.from([0x06, 0x0a, 0x2b, 6, 1, 4, 1, 0x83, 0xa2, 0x5a, 1, 1, 1, 1, 0xff, 0x04, 0x82, 0x01, 0x30])
    expect(Buffer.from(certificate).includes(Buffer.concat([written, value]))).toBe(true)
    expect(new X509Certificate(certificate).verify(keyOf(certificate))).toBe(true)
  })
})

const keyOf = (certificate: Uint8Array) => new X509Certificate(certificate).publicKey
