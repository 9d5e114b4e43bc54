import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { goEd25519Keys, goKeys, specificationKeys } from '../testing/key-vectors.ts'
import { codeOf, decodes, mutate, property } from '../testing/property.ts'
import { pkcs8 } from './der.ts'
import type { KeyType } from './keys.ts'
import { decodePrivateKey, decodePublicKey, encodePrivateKey, privateKey, publicKey } from './keys.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const specification = (type: KeyType) => {
  const vector = specificationKeys.find((each) => each.type === type)
  if (vector === undefined) throw new Error(`no vector of ${type}`)
  return { privateKey: unhex(vector.privateKey), publicKey: unhex(vector.publicKey) }
}

describe.each([...specificationKeys, ...goKeys])('a $type key pair made elsewhere', (vector) => {
  it('decodes, and encodes to the same bytes', () => {
    const key = decodePublicKey(unhex(vector.publicKey))
    expect(key.type).toBe(vector.type)
    expect(hex(key.encoded)).toBe(vector.publicKey)
    expect(hex(publicKey(key.type, key.raw).encoded)).toBe(vector.publicKey)
  })

  it('derives the public key from the private one', () => {
    const key = decodePrivateKey(unhex(vector.privateKey))
    expect(key.type).toBe(vector.type)
    expect(hex(key.publicKey.encoded)).toBe(vector.publicKey)
    expect(hex(encodePrivateKey(key))).toBe(vector.privateKey)
  })

  it('is refused when cut at any byte', () => {
    for (const bytes of [unhex(vector.publicKey), unhex(vector.privateKey)]) {
      for (let cut = 0; cut < bytes.length; cut++) {
        const decode = bytes.length === vector.publicKey.length / 2 ? decodePublicKey : decodePrivateKey
        expect(codeOf(() => decode(bytes.subarray(0, cut)))).toBe('ERR_INVALID_KEY')
      }
    }
  })

  it('is refused with anything behind it', () => {
    const decodings = [
      [decodePublicKey, unhex(`${vector.publicKey}1a00`)],
      [decodePrivateKey, unhex(`${vector.privateKey}1a00`)],
    ] as const
    for (const [decode, bytes] of decodings) expect(codeOf(() => decode(bytes))).toBe('ERR_INVALID_KEY')
  })
})

describe('raw forms', () => {
  it('are what each type says', () => {
    expect(decodePublicKey(specification('Ed25519').publicKey).raw).toHaveLength(32)
    expect(decodePublicKey(specification('secp256k1').publicKey).raw).toHaveLength(33)
    for (const type of ['RSA', 'ECDSA'] as const) {
      const { raw } = decodePublicKey(specification(type).publicKey)
      const spki = createPublicKey({ key: Buffer.from(raw), format: 'der', type: 'spki' })
      expect(spki.asymmetricKeyType).toBe(type === 'RSA' ? 'rsa' : 'ec')
    }
    expect(decodePrivateKey(specification('Ed25519').privateKey).raw).toHaveLength(32)
    expect(decodePrivateKey(specification('secp256k1').privateKey).raw).toHaveLength(32)
  })

  it('become PKCS #8 that the platform imports as the same key', () => {
    for (const type of ['Ed25519', 'RSA', 'ECDSA'] as const) {
      const key = decodePrivateKey(specification(type).privateKey)
      const imported = createPrivateKey({ key: Buffer.from(pkcs8(type, key.raw)), format: 'der', type: 'pkcs8' })
      const spki = createPublicKey(imported).export({ format: 'der', type: 'spki' })
      expect(hex(spki).endsWith(hex(key.publicKey.raw))).toBe(true)
    }
  })
})

describe('canonical encoding', () => {
  const ed25519 = hex(decodePublicKey(specification('Ed25519').publicKey).raw)
  const refused = {
    nothing: '',
    'no Type': `1220${ed25519}`,
    'fields in another order': `1220${ed25519}0801`,
    'a Type in two bytes': `0881001220${ed25519}`,
    'a length in two bytes': `080112a000${ed25519}`,
    'an unknown Type': `08041220${ed25519}`,
    'another field': `080112201a00${ed25519}`,
    'a field behind': `08011220${ed25519}0801`,
    'no Data': '0801',
    'an endless length': '080112ffffffffffffffffffff',
  }
  for (const [what, bytes] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      expect(codeOf(() => decodePublicKey(unhex(bytes)))).toBe('ERR_INVALID_KEY')
      expect(codeOf(() => decodePrivateKey(unhex(bytes)))).toBe('ERR_INVALID_KEY')
    })
  }
})

describe('Ed25519', () => {
  it('reads the older private form of 96 bytes, and writes the newer', () => {
    const [older] = goEd25519Keys
    if (older === undefined) throw new Error('no vector')
    const key = decodePrivateKey(unhex(older.privateKey))
    expect(hex(key.publicKey.encoded)).toBe(older.publicKey)
    expect(hex(encodePrivateKey(key))).toBe(`08011240${older.privateKey.slice(8, 8 + 128)}`)
  })

  it('refuses a private key that holds the public key of another, in either copy', () => {
    const [older] = goEd25519Keys
    const bytes = unhex(older?.privateKey ?? '')
    for (const at of [4 + 32, 4 + 64, 4 + 95]) {
      const wrong = bytes.slice()
      wrong[at] = (wrong[at] ?? 0) ^ 1
      expect(codeOf(() => decodePrivateKey(wrong))).toBe('ERR_INVALID_KEY')
    }
  })

  it('refuses other sizes', () => {
    for (const size of [0, 31, 33]) expect(codeOf(() => publicKey('Ed25519', new Uint8Array(size)))).toBe('ERR_INVALID_KEY')
    for (const size of [0, 31, 33]) expect(codeOf(() => privateKey('Ed25519', new Uint8Array(size)))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => decodePrivateKey(unhex(`08011220${'11'.repeat(32)}`)))).toBe('ERR_INVALID_KEY')
  })
})

describe('secp256k1', () => {
  it('refuses an uncompressed point, a wrong prefix and other sizes', () => {
    const { raw } = decodePublicKey(specification('secp256k1').publicKey)
    expect(codeOf(() => publicKey('secp256k1', Uint8Array.of(4, ...raw.subarray(1), ...raw.subarray(1))))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('secp256k1', Uint8Array.of(5, ...raw.subarray(1))))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('secp256k1', raw.subarray(1)))).toBe('ERR_INVALID_KEY')
  })

  it('refuses a scalar of zero or beyond the order of the curve', () => {
    expect(codeOf(() => privateKey('secp256k1', new Uint8Array(32)))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => privateKey('secp256k1', new Uint8Array(32).fill(0xff)))).toBe('ERR_INVALID_KEY')
  })
})

describe('RSA', () => {
  const spkiOf = (modulusLength: number, publicExponent = 65_537): Uint8Array =>
    new Uint8Array(generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'der', type: 'spki' }))

  it('takes moduli from 2048 bits on', () => {
    expect(publicKey('RSA', spkiOf(2048)).type).toBe('RSA')
    expect(codeOf(() => publicKey('RSA', spkiOf(2040)))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('RSA', spkiOf(1024)))).toBe('ERR_INVALID_KEY')
  })

  /** SPKI of any modulus and exponent: making a true key of 8192 bits takes minutes. */
  const spki = (n: string, e: string): Uint8Array => {
    const wrap = (tag: string, body: string): string => {
      const length = body.length / 2
      return `${tag}${length < 128 ? length.toString(16).padStart(2, '0') : `82${length.toString(16).padStart(4, '0')}`}${body}`
    }
    return unhex(wrap('30', `300d06092a864886f70d0101010500${wrap('03', `00${wrap('30', wrap('02', n) + wrap('02', e))}`)}`))
  }
  const modulus = (bits: number): string => `00${'c5'.repeat(bits / 8)}`

  it('takes moduli up to 8192 bits', () => {
    expect(publicKey('RSA', spki(modulus(8192), '010001')).type).toBe('RSA')
    expect(codeOf(() => publicKey('RSA', spki(modulus(8200), '010001')))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('RSA', spki(modulus(65_536 / 2), '010001')))).toBe('ERR_INVALID_KEY')
  })

  it('refuses integers that are negative or padded', () => {
    expect(codeOf(() => publicKey('RSA', spki('c5'.repeat(256), '010001')))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('RSA', spki(`00${modulus(2048)}`, '010001')))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('RSA', spki(modulus(2048), '00010001')))).toBe('ERR_INVALID_KEY')
  })

  it('refuses exponents that are even, one, negative or over 31 bits', () => {
    for (const e of ['010000', '01', '81', '0080000001', '0100000001'])
      expect(
        codeOf(() => publicKey('RSA', spki(modulus(2048), e))),
        e,
      ).toBe('ERR_INVALID_KEY')
    expect(publicKey('RSA', spki(modulus(2048), '03')).type).toBe('RSA')
  })

  it('refuses DER that says the same in another way', () => {
    const { raw } = decodePublicKey(specification('RSA').publicKey)
    // A longer form of a length: 30 82 0222 … becomes 30 83 000222 ….
    expect(codeOf(() => publicKey('RSA', Uint8Array.of(0x30, 0x83, 0, ...raw.subarray(2))))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => publicKey('RSA', Uint8Array.of(...raw, 0)))).toBe('ERR_INVALID_KEY')
    const ecdsa = decodePublicKey(specification('ECDSA').publicKey).raw
    expect(codeOf(() => publicKey('RSA', ecdsa))).toBe('ERR_INVALID_KEY')
  })
})

describe('ECDSA', () => {
  it('takes P-256 only, and its point only uncompressed', () => {
    const { publicKey: p384 } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    expect(codeOf(() => publicKey('ECDSA', new Uint8Array(p384.export({ format: 'der', type: 'spki' }))))).toBe('ERR_INVALID_KEY')
    const { raw } = decodePublicKey(specification('ECDSA').publicKey)
    const compressed = unhex(`3039301306072a8648ce3d020106082a8648ce3d030107032200${hex(Uint8Array.of(2, ...raw.subarray(27, 59)))}`)
    expect(codeOf(() => publicKey('ECDSA', compressed))).toBe('ERR_INVALID_KEY')
  })

  it('takes a private key without its public half, and refuses one with the public half of another', () => {
    const { raw, publicKey: own } = decodePrivateKey(specification('ECDSA').privateKey)
    const bare = unhex(`3031${hex(raw).slice(4, 4 + 6 + 68)}a00a06082a8648ce3d030107`)
    expect(hex(privateKey('ECDSA', bare).publicKey.encoded)).toBe(hex(own.encoded))
    const other = raw.slice()
    other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
    expect(codeOf(() => privateKey('ECDSA', other))).toBe('ERR_INVALID_KEY')
  })
})

describe('hostile bytes', () => {
  it('give a coded error or a key', () => {
    property(300, (random) => {
      decodes(() => decodePublicKey(random.bytes(random.below(80))))
      const vector = specificationKeys[random.below(specificationKeys.length)]
      const bytes = mutate(random, unhex(vector?.publicKey ?? ''))
      decodes(() => expect(hex(decodePublicKey(bytes).encoded)).toBe(hex(bytes)))
      decodes(() => decodePrivateKey(mutate(random, unhex(vector?.privateKey ?? ''))))
    })
  })
})
