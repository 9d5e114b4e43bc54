import { describe, expect, it } from 'vitest'
import { nobleAead } from '../../crypto/noble-aead.ts'
import { x25519KeyPair } from '../../crypto/x25519.ts'
import { settle } from '../../testing/play.ts'
import { CipherState, HandshakeState } from './handshake-state.ts'
import vectors from './vectors/noise-xx.json' with { type: 'json' }

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe.each(vectors.vectors)('XX as in the vectors of $name', (vector) => {
  const party = (initiator: boolean, staticKey: string, ephemeral: string) =>
    new HandshakeState(nobleAead, {
      initiator,
      staticKey: x25519KeyPair(hex(staticKey)),
      ephemeral: x25519KeyPair(hex(ephemeral)),
      prologue: hex(vector.prologue),
    })
  const initiator = party(true, vector.initiatorStatic, vector.initiatorEphemeral)
  const responder = party(false, vector.responderStatic, vector.responderEphemeral)
  const [handshake, transport] = [vector.messages.slice(0, 3), vector.messages.slice(3)]

  it('writes and reads the three handshake messages', () => {
    for (const [i, { payload, ciphertext }] of handshake.entries()) {
      const [writer, reader] = i % 2 === 0 ? [initiator, responder] : [responder, initiator]
      expect(toHex(settle(writer.write(hex(payload))))).toBe(ciphertext)
      expect(toHex(settle(reader.read(hex(ciphertext))))).toBe(payload)
    }
    expect(toHex(responder.remoteStatic)).toBe(toHex(x25519KeyPair(hex(vector.initiatorStatic)).publicKey))
    expect(toHex(initiator.remoteStatic)).toBe(toHex(x25519KeyPair(hex(vector.responderStatic)).publicKey))
  })

  it('has the transcript hash', () => {
    expect(toHex(initiator.hash)).toBe(toHex(responder.hash))
    if (vector.handshakeHash !== undefined) expect(toHex(initiator.hash)).toBe(vector.handshakeHash)
  })

  it('seals and opens the transport messages', () => {
    const keys = [responder.split(), initiator.split()] as const
    for (const [i, { payload, ciphertext }] of transport.entries()) {
      // The handshake ended with the initiator: the responder goes on.
      const [writer, reader] = i % 2 === 0 ? [keys[0], keys[1]] : [keys[1], keys[0]]
      const sealed = new Uint8Array(ciphertext.length / 2)
      nobleAead.seal(writer.send.key, writer.send.nextNonce(), [hex(payload)], sealed, 0)
      expect(toHex(sealed)).toBe(ciphertext)
      const opened = new Uint8Array(payload.length / 2)
      expect(nobleAead.open(reader.receive.key, reader.receive.nextNonce(), sealed, opened, 0)).toBe(true)
      expect(toHex(opened)).toBe(payload)
    }
  })
})

describe('nonces', () => {
  const key = new Uint8Array(32)

  it('count in little-endian behind four zeros', () => {
    const state = new CipherState(key)
    const seen = Array.from({ length: 258 }, () => toHex(state.nextNonce()))
    expect(seen[0]).toBe('000000000000000000000000')
    expect(seen[1]).toBe('000000000100000000000000')
    expect(seen[255]).toBe('00000000ff00000000000000')
    expect(seen[257]).toBe('000000000101000000000000')
  })

  it('carry from the lower into the upper half', () => {
    const state = new CipherState(key, 0xffff_fffe, 0)
    expect(toHex(state.nextNonce())).toBe('00000000feffffff00000000')
    expect(toHex(state.nextNonce())).toBe('00000000ffffffff00000000')
    expect(toHex(state.nextNonce())).toBe('000000000000000001000000')
    expect(toHex(state.nextNonce())).toBe('000000000100000001000000')
  })

  it('end before 2^64 - 1, which is reserved', () => {
    const state = new CipherState(key, 0xffff_fffd, 0xffff_ffff)
    expect(state.allows(2)).toBe(true)
    expect(state.allows(3)).toBe(false)
    expect(toHex(state.nextNonce())).toBe('00000000fdffffffffffffff')
    expect(toHex(state.nextNonce())).toBe('00000000feffffffffffffff')
    expect(() => state.nextNonce()).toThrow(expect.objectContaining({ code: 'ERR_ENCRYPTION_FAILED' }))
  })
})
