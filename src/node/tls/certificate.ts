/**
 * The certificate that proves a peer id: https://github.com/libp2p/specs/blob/master/tls/tls.md#peer-authentication
 *
 *   identity key ── signs ──▶ key of the certificate ── signs ──▶ certificate, and the handshake
 *
 * Ours is made once for a node, of a fresh P-256 key. What a remote shows is checked here and not by OpenSSL, which knows nothing of
 * libp2p: each rule of the specification is one line of `verifyCertificate`.
 */

import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { concat, equalBytes } from '../../engine/codec/bytes.ts'
import type { PrivateKey, PublicKey } from '../../engine/codec/keys.ts'
import { decodePublicKey } from '../../engine/codec/keys.ts'
import { type PeerId, peerIdFromKey } from '../../engine/codec/peer-id.ts'
import { remoteFault, type TabmeshError } from '../../errors.ts'
import { type Certificate, der, newKey, selfSigned } from '../certificate.ts'
import { signer, verifier } from '../signatures.ts'
import { type ParsedCertificate, readCertificate, readSignedKey } from './certificate-reader.ts'

/** tls.md: allocated to libp2p by IANA; the second is the content of its DER. */
const EXTENSION = '1.3.6.1.4.1.53594.1.1'
const EXTENSION_DER = Uint8Array.of(0x2b, 6, 1, 4, 1, 0x83, 0xa2, 0x5a, 1, 1)
const SIGNED_PREFIX = new Uint8Array(Buffer.from('libp2p-tls-handshake:'))

const OCTET_STRING = 0x04
const SEQUENCE = 0x30

const HOUR = 3_600_000
/** As go and js: nothing renews it, so it must outlive the process. */
const VALID_FOR = 100 * 365 * 24 * HOUR

/** A certificate of a fresh key for the peer that `identity` is the key of. */
export const peerCertificate = (identity: PrivateKey, now: number): Certificate => {
  const key = newKey()
  const signature = signer(identity)(concat([SIGNED_PREFIX, createPublicKey(key).export({ type: 'spki', format: 'der' })]))
  const value = der(SEQUENCE, der(OCTET_STRING, identity.publicKey.encoded), der(OCTET_STRING, signature))
  // js reads the first extension and no other; go, rust and js mark it critical or take it either way. An hour back, for clocks that are late.
  const extensions = [{ oid: EXTENSION, critical: true, value }]
  return selfSigned({ key, notBefore: now - HOUR, notAfter: now + VALID_FOR, extensions })
}

/** How a certificate may be signed: ECDSA, RSA (PKCS #1 and PSS) with SHA-2, Ed25519 (RFC 5758 §3.2, 4055 §5 and §3.1, 8410 §3). */
const signatureAlgorithms = new Set([
  ...['2a8648ce3d040302', '2a8648ce3d040303', '2a8648ce3d040304'],
  ...['2a864886f70d01010b', '2a864886f70d01010c', '2a864886f70d01010d', '2a864886f70d01010a'],
  '2b6570',
])

/** Keys of fewer bits are weak, of more take seconds to verify. */
const RSA_MIN_BITS = 2_048
const RSA_MAX_BITS = 8_192

const verify = verifier()

/**
 * The peer that the certificate proves: the one the remote sent, in DER. Throws ERR_CERTIFICATE for what the specification has
 * refused, ERR_PEER_ID_MISMATCH where it is another than `expected`.
 */
export const verifyCertificate = (certificate: Uint8Array, expected: PeerId | undefined, now: number): PeerId => {
  const parsed = reading("the remote's certificate", () => readCertificate(certificate))
  const { notBefore, notAfter } = parsed
  if (now < notBefore) throw refused(`is not valid before ${new Date(notBefore).toISOString()}`)
  if (now > notAfter) throw refused(`has expired at ${new Date(notAfter).toISOString()}`)
  checkSelfSignature(certificate, parsed)
  const publicKey = checkExtensions(parsed)
  const found = peerIdFromKey(publicKey)
  if (expected !== undefined && found !== expected) throw remoteFault('ERR_PEER_ID_MISMATCH', `expected ${expected}, found ${found}`)
  return found
}

const checkSelfSignature = (certificate: Uint8Array, { signatureAlgorithm }: ParsedCertificate): void => {
  if (!signatureAlgorithms.has(Buffer.from(signatureAlgorithm).toString('hex'))) throw refused('is signed in a way that is not taken')
  const { key, valid } = reading("the key of the remote's certificate", () => {
    const parsed = new X509Certificate(certificate)
    return { key: parsed.publicKey, valid: parsed.verify(parsed.publicKey) }
  })
  const weakness = weaknessOf(key)
  if (weakness !== undefined) throw refused(weakness)
  if (!valid) throw refused('is not signed by its own key')
}

const weaknessOf = ({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string | undefined => {
  if (type === 'ec' || type === 'ed25519') return undefined
  if (type !== 'rsa' && type !== 'rsa-pss') return `has a key of type ${type}`
  const bits = details?.modulusLength ?? 0
  return bits < RSA_MIN_BITS || bits > RSA_MAX_BITS ? `has an RSA key of ${bits} bits` : undefined
}

/** The identity key that vouches for the key of the certificate. */
const checkExtensions = ({ extensions, spki }: ParsedCertificate): PublicKey => {
  const [own, second] = extensions.filter(({ oid }) => equalBytes(oid, EXTENSION_DER))
  if (own === undefined) throw refused('has no libp2p extension: the remote is no libp2p peer')
  if (second !== undefined) throw refused('has two libp2p extensions')
  if (extensions.some((each) => each.critical && each !== own)) throw refused('has a critical extension that is unknown here')
  const { publicKey, signature } = reading('the libp2p extension', () => readSignedKey(own.value))
  const key = reading('the identity key in the libp2p extension', () => decodePublicKey(publicKey))
  if (!verify(key, concat([SIGNED_PREFIX, spki]), signature)) throw refused('is not signed by the identity key it names')
  return key
}

const refused = (what: string): TabmeshError => remoteFault('ERR_CERTIFICATE', `the remote's certificate ${what}`)

const reading = <T>(what: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    throw remoteFault('ERR_CERTIFICATE', `${what} can't be read (${(error as Error).message})`, error)
  }
}
