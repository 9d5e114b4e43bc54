/** For tests: certificates that break one rule each, or are signed by keys of other types than ours. */

import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { concat } from '../../engine/codec/bytes.ts'
import type { PrivateKey } from '../../engine/codec/keys.ts'
import { der, type Extension, oid, time } from '../certificate.ts'
import { signer } from '../signatures.ts'

export interface Forgery {
  readonly key: KeyObject
  readonly notBefore: number
  readonly notAfter: number
  readonly extensions: readonly Extension[]
  /** `key` itself if absent. */
  readonly signedBy?: KeyObject
  readonly version?: number
  readonly uniqueId?: boolean
  readonly digest?: string
  /** OBJECT IDENTIFIER in dots; that of the key with SHA-256 if absent. */
  readonly algorithm?: string
  /** The one inside, where it is another. */
  readonly innerAlgorithm?: string
}

const algorithms: Readonly<Record<string, string>> = { ec: '1.2.840.10045.4.3.2', rsa: '1.2.840.113549.1.1.11', ed25519: '1.3.101.112' }

export const forge = ({ key, notBefore, notAfter, extensions, ...options }: Forgery): Uint8Array => {
  const type = key.asymmetricKeyType ?? ''
  const named = options.algorithm ?? algorithms[type] ?? ''
  const algorithm = (id: string): Uint8Array => der(0x30, oid(id), ...(type === 'rsa' ? [der(5)] : []))
  const name = der(0x30, der(0x31, der(0x30, oid('2.5.4.3'), der(0x0c, Uint8Array.of(0x78)))))
  const tbs = der(
    0x30,
    der(0xa0, der(2, Uint8Array.of(options.version ?? 2))),
    der(2, Uint8Array.of(1)),
    algorithm(options.innerAlgorithm ?? named),
    name,
    der(0x30, time(notBefore), time(notAfter)),
    name,
    spki(key),
    ...(options.uniqueId === true ? [der(0x81, Uint8Array.of(0, 1))] : []),
    ...(extensions.length === 0 ? [] : [der(0xa3, der(0x30, ...extensions.map(writeExtension)))]),
  )
  const signature = sign(type === 'ed25519' ? null : (options.digest ?? 'sha256'), tbs, options.signedBy ?? key)
  return der(0x30, tbs, algorithm(named), der(3, Uint8Array.of(0), signature))
}

const writeExtension = ({ oid: id, critical, value }: Extension): Uint8Array =>
  der(0x30, oid(id), ...(critical ? [der(1, Uint8Array.of(0xff))] : []), der(4, value))

const spki = (key: KeyObject): Uint8Array => new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }))

/** The libp2p extension: `identity` vouches for `key`, unless `signedBy` is another. */
export const signedKey = (identity: PrivateKey, key: KeyObject, signedBy = identity, prefix = 'libp2p-tls-handshake:'): Extension => {
  const signature = signer(signedBy)(concat([Buffer.from(prefix), spki(key)]))
  const value = der(0x30, der(4, identity.publicKey.encoded), der(4, signature))
  return { oid: '1.3.6.1.4.1.53594.1.1', critical: true, value }
}

export const criticalUnknown: Extension = { oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }
