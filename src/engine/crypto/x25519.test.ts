import { describe, expect, it } from 'vitest'
import { sharedSecret, x25519KeyPair } from './x25519.ts'

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const toHex = (bytes: Uint8Array | false) => bytes && Buffer.from(bytes).toString('hex')

describe('X25519', () => {
  // RFC 7748 §6.1
  const alice = x25519KeyPair(hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'))
  const bob = x25519KeyPair(hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'))

  it('makes the public keys of RFC 7748', () => {
    expect(toHex(alice.publicKey)).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
    expect(toHex(bob.publicKey)).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f')
  })

  it('agrees on the secret of RFC 7748', () => {
    const secret = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
    expect(toHex(sharedSecret(alice, bob.publicKey))).toBe(secret)
    expect(toHex(sharedSecret(bob, alice.publicKey))).toBe(secret)
  })

  // RFC 7748 §5.2, the first vector
  it('multiplies any point', () => {
    const scalar = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
    const point = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')
    expect(toHex(sharedSecret({ privateKey: scalar, publicKey: point }, point))).toBe(
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    )
  })

  it('has no secret with the point zero, whose multiples are all zero', () => {
    expect(sharedSecret(alice, new Uint8Array(32))).toBe(false)
  })
})
