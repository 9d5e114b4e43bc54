import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parsePeerId } from '../../engine/codec/peer-id.ts'
import { property } from '../../engine/testing/property.ts'
import { TabmeshError } from '../../errors.ts'
import { der, newKey, selfSigned } from '../certificate.ts'
import { newIdentity } from '../identity.ts'
import { peerCertificate, verifyCertificate } from './certificate.ts'
import { criticalUnknown, forge, signedKey } from './forge.ts'

const now = Date.now()
const day = 86_400_000
const verified = (certificate: Uint8Array, expected?: string): string => {
  try {
    return verifyCertificate(certificate, expected === undefined ? undefined : parsePeerId(expected), now)
  } catch (error) {
    if (!(error instanceof TabmeshError)) throw error
    return `${error.code} ${error.remote ? 'remote' : ''} ${error.message}`
  }
}

describe('a certificate of ours', () => {
  it('proves our peer id', () => {
    const identity = newIdentity()
    const { certificate } = peerCertificate(identity, now)
    expect(verified(certificate)).toMatch(/^12D3KooW/)
    expect(verified(certificate, verified(certificate))).toBe(verified(certificate))
  })

  it('proves nobody else', () =>
    expect(verified(peerCertificate(newIdentity(), now).certificate, '12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv')).toMatch(
      /^ERR_PEER_ID_MISMATCH remote expected 12D3KooWM6Cg/,
    ))

  it('is valid an hour ago and in 99 years', () => {
    const { certificate } = peerCertificate(newIdentity(), now)
    expect(verifyCertificate(certificate, undefined, now - 3_599_000)).toBeDefined()
    expect(verifyCertificate(certificate, undefined, now + 99 * 365 * day)).toBeDefined()
  })
})

// https://github.com/libp2p/specs/blob/master/tls/tls.md#test-vectors
const vectors = {
  ed25519:
    '308201ae30820156a0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37e381569ea37c307a3078060a2b0601040183a25a0101046a3068042408011220a77f1d92fedb59dddaea5a1c4abd1ac2fbde7d7b879ed364501809923d7c11b90440d90d2769db992d5e6195dbb08e706b6651e024fda6cfb8846694a435519941cac215a8207792e42849cccc6cd8136c6e4bde92a58c5e08cfd4206eb5fe0bf909300a06082a8648ce3d0403020346003043021f50f6b6c52711a881778718238f650c9fb48943ae6ee6d28427dc6071ae55e702203625f116a7a454db9c56986c82a25682f7248ea1cb764d322ea983ed36a31b77',
  ecdsa:
    '308201f63082019da0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37e381569ea381c23081bf3081bc060a2b0601040183a25a01010481ad3081aa045f0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004bf30511f909414ebdd3242178fd290f093a551cf75c973155de0bb5a96fedf6cb5d52da7563e794b512f66e60c7f55ba8a3acf3dd72a801980d205e8a1ad29f2044730450220064ea8124774caf8f50e57f436aa62350ce652418c019df5d98a3ac666c9386a022100aa59d704a931b5f72fb9222cb6cc51f954d04a4e2e5450f8805fe8918f71eaae300a06082a8648ce3d04030203470030440220799395b0b6c1e940a7e4484705f610ab51ed376f19ff9d7c16757cfbf61b8d4302206205c03fbb0f95205c779be86581d3e31c01871ad5d1f3435bcf375cb0e5088a',
  secp256k1:
    '308201ba3082015fa0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37e381569ea38184308181307f060a2b0601040183a25a01010471306f0425080212210206dc6968726765b820f050263ececf7f71e4955892776c0970542efd689d2382044630440220145e15a991961f0d08cd15425bb95ec93f6ffa03c5a385eedc34ecf464c7a8ab022026b3109b8a3f40ef833169777eb2aa337cfb6282f188de0666d1bcec2a4690dd300a06082a8648ce3d0403020349003046022100e1a217eeef9ec9204b3f774a08b70849646b6a1e6b8b27f93dc00ed58545d9fe022100b00dafa549d0f03547878338c7b15e7502888f6d45db387e5ae6b5d46899cef0',
  invalid:
    '308201f73082019da0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a300806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a13096c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c831ca85e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37e381569ea381c23081bf3081bc060a2b0601040183a25a01010481ad3081aa045f0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004bf30511f909414ebdd3242178fd290f093a551cf75c973155de0bb5a96fedf6cb5d52da7563e794b512f66e60c7f55ba8a3acf3dd72a801980d205e8a1ad29f204473045022100bb6e03577b7cc7a3cd1558df0da2b117dfdcc0399bc2504ebe7de6f65cade72802206de96e2a5be9b6202adba24ee0362e490641ac45c240db71fe955f2c5cf8df6e300a06082a8648ce3d0403020348003045022100e847f267f43717358f850355bdcabbefb2cfbf8a3c043b203a14788a092fe8db022027c1d04a2d41fd6b57a7e8b3989e470325de4406e52e084e34a3fd56eef0d0df',
}
const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))

describe('the vectors of the specification', () => {
  it.each([
    ['ed25519', '12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv'],
    ['ecdsa', 'QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE'],
    ['secp256k1', '16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs'],
    ['invalid', expect.stringMatching(/^ERR_CERTIFICATE remote .* not signed by the identity key it names/)],
  ] as const)('%s', (name, id) => expect(verified(bytesOf(vectors[name]))).toEqual(id))

  it('cut short anywhere, or longer, prove nothing', () => {
    const whole = bytesOf(vectors.ed25519)
    for (let end = 0; end < whole.length; end++) expect(verified(whole.slice(0, end))).toMatch(/^ERR_CERTIFICATE remote/)
    expect(verified(Uint8Array.of(...whole, 0))).toMatch(/^ERR_CERTIFICATE remote/)
  })

  it('with a bit changed prove nothing', () =>
    property(300, (random) => {
      const bytes = bytesOf(vectors.ed25519)
      const at = random.below(bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
      expect(verified(bytes)).toMatch(/^ERR_CERTIFICATE remote/)
    }))
})

const identity = newIdentity()
const made = (key: KeyObject, options: Partial<Parameters<typeof forge>[0]> = {}) =>
  forge({ key, notBefore: now - day, notAfter: now + day, extensions: [signedKey(identity, key)], ...options })
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).privateKey

describe('what is taken', () => {
  it.each([
    ['RSA of 2048 bits', made(rsa(2048))],
    ['Ed25519', made(generateKeyPairSync('ed25519').privateKey)],
    ['P-384', made(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)],
    [
      'an extension nobody knows, before ours',
      (() => {
        const key = newKey()
        return made(key, { extensions: [{ oid: '1.2.3.4', critical: false, value: Uint8Array.of(5, 0) }, signedKey(identity, key)] })
      })(),
    ],
  ])('%s', (_what, certificate) => expect(verified(certificate)).toMatch(/^12D3KooW/))
})

describe('what is refused', () => {
  const key = newKey()
  const own = signedKey(identity, key)
  it.each([
    ['no extension', { extensions: [] }, 'has no libp2p extension'],
    ['two extensions', { extensions: [own, own] }, 'has two libp2p extensions'],
    ['an unknown critical one', { extensions: [own, criticalUnknown] }, 'critical extension that is unknown'],
    ['an expired one', { notAfter: now - 1_000 }, 'has expired at'],
    ['one that is not valid yet', { notBefore: now + 60_000 }, 'is not valid before'],
    ['another key signed it', { signedBy: newKey() }, 'is not signed by its own key'],
    ['the extension of another key', { extensions: [signedKey(identity, newKey())] }, 'not signed by the identity key it names'],
    [
      'the extension of another identity',
      { extensions: [signedKey(identity, key, newIdentity())] },
      'not signed by the identity key it names',
    ],
    [
      'a wrong prefix',
      { extensions: [signedKey(identity, key, identity, 'libp2p-tls-handshake')] },
      'not signed by the identity key it names',
    ],
    ['an extension with more in it', { extensions: [{ ...own, value: Uint8Array.of(...own.value, 5, 0) }] }, 'the libp2p extension can'],
    ['an empty extension', { extensions: [{ ...own, value: new Uint8Array(0) }] }, 'the libp2p extension can'],
    [
      'an identity key that is none',
      { extensions: [{ ...own, value: der(0x30, der(4, Uint8Array.of(8, 9)), der(4)) }] },
      'the identity key in the libp2p extension',
    ],
    ['version 1', { version: 0 }, 'not of version 3'],
    ['a unique id', { uniqueId: true }, 'lacks an element'],
    ['two algorithms', { innerAlgorithm: '1.2.840.10045.4.3.3' }, 'two signature algorithms'],
    ['SHA-1', { digest: 'sha1', algorithm: '1.2.840.10045.4.1' }, 'signed in a way that is not taken'],
  ] as const)('%s', (_what, options, why) => {
    const certificate = made(key, options)
    expect(verified(certificate)).toMatch(/^ERR_CERTIFICATE remote/)
    expect(verified(certificate)).toContain(why)
  })

  it('an RSA key of 1024 bits', () => expect(verified(made(rsa(1024)))).toMatch(/^ERR_CERTIFICATE remote .* RSA key of 1024 bits/))

  it('a time that is none', () => {
    const { certificate } = selfSigned({ key, notBefore: Date.UTC(2020, 1, 28), notAfter: now + day, extensions: [own] })
    const at = Buffer.from(certificate).indexOf('200228')
    certificate.set(Buffer.from('200230'), at)
    expect(verified(certificate)).toMatch(/^ERR_CERTIFICATE remote .*is no time/)
  })

  it('bytes at random', () =>
    property(500, (random) => expect(verified(Uint8Array.of(0x30, ...random.bytes(random.below(64))))).toMatch(/^ERR_CERTIFICATE remote/)))
})
