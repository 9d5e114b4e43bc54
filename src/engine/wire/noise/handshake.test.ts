import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import type { PrivateKey } from '../../codec/keys.ts'
import { privateKey } from '../../codec/keys.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { bytes, message } from '../../codec/protobuf.ts'
import { nobleAead } from '../../crypto/noble-aead.ts'
import { signWith, verifySignature } from '../../crypto/verify.ts'
import { nobleX25519, sharedSecret, x25519KeyPair } from '../../crypto/x25519.ts'
import { channelPair } from '../../testing/channel-pair.ts'
import { prng } from '../../testing/prng.ts'
import type { Answer, Conversation, Outcome } from '../conversation.ts'
import { converse } from '../conversation.ts'
import type { NoiseOptions, NoiseSession } from './handshake.ts'
import { initiateNoise, makeStaticKey, respondNoise } from './handshake.ts'
import { HandshakeState } from './handshake-state.ts'
import { encodePayload, signedStaticKey } from './payload.ts'

const YAMUX = '/yamux/1.0.0'
const MPLEX = '/mplex/6.7.0'

const random = prng(6)
const alice = privateKey('Ed25519', random.bytes(32))
const bob = privateKey('Ed25519', random.bytes(32))
const carol = privateKey('secp256k1', random.bytes(32))
const idOf = (key: PrivateKey) => peerIdFromKey(key.publicKey)

const optionsOf = (key: PrivateKey, more: Partial<NoiseOptions> = {}): NoiseOptions => ({
  aead: nobleAead,
  identity: key.publicKey,
  staticKey: makeStaticKey(),
  muxers: [YAMUX],
  ...more,
})

const hostOf = (key: PrivateKey) => {
  const host = {
    signatures: 0,
    after: () => () => {},
    sign: (data: Uint8Array, done: (signature: Uint8Array | TabmeshError) => void) => {
      host.signatures++
      done(signWith(key, data))
    },
    verify: (...[signer, data, signature, done]: [PrivateKey['publicKey'], Uint8Array, Uint8Array, (valid: boolean) => void]) =>
      done(verifySignature(signer, data, signature) ?? false),
    x25519: nobleX25519(random.bytes),
  }
  return host
}

interface Talk {
  readonly key: PrivateKey
  readonly conversation: Conversation<NoiseSession>
}

/** Both sides over a channel; `seed` cuts the bytes at random. */
const talk = (initiator: Talk, responder: Talk, seed?: number): [Outcome<NoiseSession>, Outcome<NoiseSession>] => {
  const [near, far] = channelPair(seed === undefined ? {} : { seed })
  const outcomes: Outcome<NoiseSession>[] = []
  const run = (channel: typeof near, { key, conversation }: Talk, index: number) =>
    converse(channel, conversation, hostOf(key), {
      timeout: 10_000,
      what: 'noise',
      done: (outcome) => {
        outcomes[index] = outcome
      },
    })
  run(near, initiator, 0)
  run(far, responder, 1)
  near.flush()
  return outcomes as [Outcome<NoiseSession>, Outcome<NoiseSession>]
}

const shake = (initiator: Partial<NoiseOptions> = {}, responder: Partial<NoiseOptions> = {}, seed?: number) =>
  talk(
    { key: alice, conversation: initiateNoise(optionsOf(alice, initiator)) },
    { key: bob, conversation: respondNoise(optionsOf(bob, responder)) },
    seed,
  )

const sessionOf = (outcome: Outcome<NoiseSession>): NoiseSession => {
  if (!outcome.ok) throw outcome.fault
  return outcome.value
}

const refused = (code: string) => ({ ok: false, fault: expect.objectContaining({ code, remote: true }) })

/** The same conversation with key agreement answered, so that what is left can be played by hand. */
function* withKeys<T>(conversation: Conversation<T>): Conversation<T> {
  let step = conversation.next()
  while (step.done !== true) {
    const ask = step.value
    if (ask.t === 'keyPair') step = conversation.next(x25519KeyPair(random.bytes(32)))
    else if (ask.t === 'agree') step = conversation.next(sharedSecret(ask.own, ask.publicKey))
    else step = conversation.next(yield ask)
  }
  return step.value
}

describe('the conversation, by hand', () => {
  it('goes e; e ee s es; s se, each side signing once and checking the other', () => {
    const initiator = withKeys(initiateNoise(optionsOf(alice, { expectedPeer: idOf(bob) })))
    const responder = withKeys(respondNoise(optionsOf(bob)))
    const written = (step: IteratorResult<unknown>) => {
      expect(step.value).toMatchObject({ t: 'write' })
      return (step.value as { bytes: Uint8Array }).bytes
    }
    const asks = (step: IteratorResult<unknown>, ask: object) => expect(step).toMatchObject({ done: false, value: ask })

    const first = written(initiator.next())
    expect(first.length).toBe(2 + 32)
    expect([...first.subarray(0, 2)]).toEqual([0, 32])
    const toSign = initiator.next().value as { t: string; bytes: Uint8Array }
    expect(toSign.t).toBe('sign')
    expect(Buffer.from(toSign.bytes.subarray(0, 24)).toString()).toBe('noise-libp2p-static-key:')
    expect(toSign.bytes.length).toBe(24 + 32)
    asks(initiator.next(signWith(alice, toSign.bytes)), { t: 'read', bytes: 2 })

    const alsoToSign = responder.next().value as { t: string; bytes: Uint8Array }
    expect(alsoToSign.t).toBe('sign')
    asks(responder.next(signWith(bob, alsoToSign.bytes)), { t: 'read', bytes: 2 })
    asks(responder.next(first.subarray(0, 2)), { t: 'read', bytes: 32 })
    const second = written(responder.next(first.subarray(2)))

    asks(initiator.next(second.subarray(0, 2)), { t: 'read', bytes: second.length - 2 })
    const check = initiator.next(second.subarray(2))
    asks(check, { t: 'verify', key: bob.publicKey, bytes: alsoToSign.bytes })
    const third = written(initiator.next(true))
    const done = initiator.next()
    expect(done.done).toBe(true)

    asks(responder.next(), { t: 'read', bytes: 2 })
    asks(responder.next(third.subarray(0, 2)), { t: 'read', bytes: third.length - 2 })
    asks(responder.next(third.subarray(2)), { t: 'verify', key: alice.publicKey, bytes: toSign.bytes })
    const alsoDone = responder.next(true)
    expect(alsoDone.done).toBe(true)

    const [a, b] = [done.value as NoiseSession, alsoDone.value as NoiseSession]
    expect(a.remotePeer).toBe(idOf(bob))
    expect(b.remotePeer).toBe(idOf(alice))
    expect(a.send.key).toEqual(b.receive.key)
    expect(a.receive.key).toEqual(b.send.key)
    expect(a.send.key).not.toEqual(a.receive.key)
    expect(a.handshakeHash).toEqual(b.handshakeHash)
  })

  it('does not send the own identity before the other is known to be the expected one', () => {
    const initiator = withKeys(initiateNoise(optionsOf(alice, { expectedPeer: idOf(carol) })))
    const responder = withKeys(respondNoise(optionsOf(bob)))
    const first = (initiator.next().value as { bytes: Uint8Array }).bytes
    initiator.next()
    initiator.next(new Uint8Array(64))
    responder.next()
    responder.next(new Uint8Array(64))
    responder.next(first.subarray(0, 2))
    const second = (responder.next(first.subarray(2)).value as { bytes: Uint8Array }).bytes
    initiator.next(second.subarray(0, 2))
    expect(() => initiator.next(second.subarray(2))).toThrow(expect.objectContaining({ code: 'ERR_PEER_ID_MISMATCH' }))
  })
})

describe('two sides over a channel', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('agree however the bytes are cut (seed %i)', (seed) => {
    const [a, b] = shake({ expectedPeer: idOf(bob) }, { expectedPeer: idOf(alice) }, seed).map(sessionOf) as [NoiseSession, NoiseSession]
    expect(a).toMatchObject({ remotePeer: idOf(bob), remoteKey: { type: 'Ed25519', raw: bob.publicKey.raw }, muxer: YAMUX })
    expect(b).toMatchObject({ remotePeer: idOf(alice), muxer: YAMUX })
    expect(a.send.key).toEqual(b.receive.key)
    expect(b.send.key).toEqual(a.receive.key)
  })

  it('take any type of key', () => {
    const [a] = talk(
      { key: alice, conversation: initiateNoise(optionsOf(alice)) },
      { key: carol, conversation: respondNoise(optionsOf(carol)) },
    )
    expect(sessionOf(a).remoteKey.type).toBe('secp256k1')
  })

  it('sign the static key once for all handshakes of a node', () => {
    const options = optionsOf(alice)
    const [near, far] = channelPair()
    const host = hostOf(alice)
    const run = (channel: typeof near, conversation: Conversation<NoiseSession>, signer: typeof host) =>
      converse(channel, conversation, signer, { timeout: 1, what: 'noise', done: (outcome) => sessionOf(outcome) })
    run(near, initiateNoise(options), host)
    run(far, respondNoise(optionsOf(bob)), hostOf(bob))
    near.flush()
    const [again, farAgain] = channelPair()
    run(again, respondNoise(options), host)
    run(farAgain, initiateNoise(optionsOf(bob)), hostOf(bob))
    again.flush()
    expect(host.signatures).toBe(1)
  })

  it('have new keys in every session, with the same static keys', () => {
    const [mine, theirs] = [optionsOf(alice), optionsOf(bob)]
    const session = () =>
      sessionOf(talk({ key: alice, conversation: initiateNoise(mine) }, { key: bob, conversation: respondNoise(theirs) })[0])
    expect(session().send.key).not.toEqual(session().send.key)
  })

  it('must have the same prologue', () => {
    expect(shake({ prologue: utf8('p') }, { prologue: utf8('p') })[1].ok).toBe(true)
    expect(shake({ prologue: utf8('p') }, { prologue: utf8('q') })[0]).toMatchObject(refused('ERR_ENCRYPTION_FAILED'))
    expect(shake({ prologue: utf8('p') })[0]).toMatchObject(refused('ERR_ENCRYPTION_FAILED'))
  })

  it('carry certificate hashes from the responder', () => {
    const certhashes = [random.bytes(34), random.bytes(34)]
    const [a, b] = shake({}, { certhashes })
    expect(sessionOf(a).certhashes).toEqual(certhashes)
    expect(sessionOf(b).certhashes).toEqual([])
  })
})

describe('early muxer negotiation', () => {
  it.each([
    { initiator: [YAMUX], responder: [YAMUX], muxer: YAMUX },
    { initiator: [MPLEX, YAMUX], responder: [YAMUX, MPLEX], muxer: MPLEX },
    { initiator: ['/a', YAMUX], responder: [MPLEX, YAMUX], muxer: YAMUX },
    { initiator: [], responder: [YAMUX], muxer: undefined },
    { initiator: [YAMUX], responder: [], muxer: undefined },
    { initiator: [], responder: [], muxer: undefined },
  ])('$initiator and $responder: $muxer', ({ initiator, responder, muxer }) => {
    const [a, b] = shake({ muxers: initiator }, { muxers: responder })
    expect(sessionOf(a).muxer).toBe(muxer)
    expect(sessionOf(b).muxer).toBe(muxer)
  })

  it('ends where no muxer is on both lists', () => {
    expect(shake({ muxers: [YAMUX] }, { muxers: [MPLEX] })[0]).toMatchObject(refused('ERR_NO_MUXER'))
  })
})

// The protobuf of noise/README.md, written apart so that a test can leave out and spoil what it likes.
const Payload = message({ key: bytes(1), signature: bytes(2), extensions: bytes(4) })

/** An initiator, and a responder, that send `payload(static public key)`. */
const evilInitiator = function* (payload: (staticPublic: Uint8Array) => Uint8Array): Conversation<NoiseSession> {
  const staticKey = x25519KeyPair(random.bytes(32))
  const ephemeral = x25519KeyPair(random.bytes(32))
  const state = new HandshakeState(nobleAead, { initiator: true, staticKey, ephemeral, prologue: new Uint8Array(0) })
  yield* writeFramed(yield* state.write(new Uint8Array(0)))
  yield* state.read(yield* readFramed())
  yield* writeFramed(yield* state.write(payload(staticKey.publicKey)))
  yield { t: 'read', bytes: 1 }
  throw new Error('not reached')
}

const evilResponder = function* (payload: (staticPublic: Uint8Array) => Uint8Array): Conversation<NoiseSession> {
  const staticKey = x25519KeyPair(random.bytes(32))
  const ephemeral = x25519KeyPair(random.bytes(32))
  const state = new HandshakeState(nobleAead, { initiator: false, staticKey, ephemeral, prologue: new Uint8Array(0) })
  yield* state.read(yield* readFramed())
  yield* writeFramed(yield* state.write(payload(staticKey.publicKey)))
  yield { t: 'read', bytes: 1 }
  throw new Error('not reached')
}

function* writeFramed(payload: Uint8Array): Conversation<void> {
  yield { t: 'write', bytes: concat([Uint8Array.of(payload.length >>> 8, payload.length), payload]) }
}

function* readFramed(): Conversation<Uint8Array> {
  const prefix = (yield { t: 'read', bytes: 2 }) as Uint8Array
  return (yield { t: 'read', bytes: ((prefix[0] as number) << 8) | (prefix[1] as number) }) as Uint8Array
}

const signed = (key: PrivateKey, staticPublic: Uint8Array) => signWith(key, signedStaticKey(staticPublic))
const otherKeyType = Uint8Array.of(8, 9, 18, 1, 0)

describe('refused', () => {
  const muxers = (count: number) => Array.from({ length: count }, (_, i) => `/muxer/${i}`)
  const cases: { what: string; payload: (staticPublic: Uint8Array) => Uint8Array; code?: string }[] = [
    { what: 'no payload', payload: () => new Uint8Array(0) },
    { what: 'a payload that is no protobuf', payload: () => utf8('not a protobuf') },
    {
      what: 'a payload cut short',
      payload: (s) => encodePayload(bob.publicKey, signed(bob, s), { muxers: [YAMUX], certhashes: [] }).subarray(0, 60),
    },
    { what: 'no identity key', payload: (s) => Payload.encode({ signature: signed(bob, s) }) },
    { what: 'an identity key of an unknown type', payload: (s) => Payload.encode({ key: otherKeyType, signature: signed(bob, s) }) },
    {
      what: 'an identity key cut short',
      payload: (s) => Payload.encode({ key: bob.publicKey.encoded.subarray(0, 30), signature: signed(bob, s) }),
    },
    { what: 'no signature', payload: () => Payload.encode({ key: bob.publicKey.encoded }) },
    { what: 'an empty signature', payload: () => Payload.encode({ key: bob.publicKey.encoded, signature: new Uint8Array(0) }) },
    { what: 'a signature by another key', payload: (s) => encodePayload(bob.publicKey, signed(alice, s), { muxers: [], certhashes: [] }) },
    {
      what: 'a signature over another static key',
      payload: () => encodePayload(bob.publicKey, signed(bob, random.bytes(32)), { muxers: [], certhashes: [] }),
    },
    {
      what: 'a signature without the prefix',
      payload: (s) => encodePayload(bob.publicKey, ed25519.sign(s, bob.raw), { muxers: [], certhashes: [] }),
    },
    {
      what: 'extensions that are no protobuf',
      payload: (s) => Payload.encode({ key: bob.publicKey.encoded, signature: signed(bob, s), extensions: Uint8Array.of(0x12, 200) }),
    },
    { what: '101 muxers', payload: (s) => encodePayload(bob.publicKey, signed(bob, s), { muxers: muxers(101), certhashes: [] }) },
    {
      what: '33 certificate hashes',
      payload: (s) => encodePayload(bob.publicKey, signed(bob, s), { muxers: [], certhashes: Array(33).fill(new Uint8Array(34)) }),
    },
    {
      what: 'no muxer on both lists',
      payload: (s) => encodePayload(bob.publicKey, signed(bob, s), { muxers: muxers(100), certhashes: [] }),
      code: 'ERR_NO_MUXER',
    },
    {
      what: 'bad extensions under a bad signature, which counts first',
      payload: (s) => Payload.encode({ key: bob.publicKey.encoded, signature: signed(alice, s), extensions: Uint8Array.of(0xff) }),
    },
  ]
  it.each(cases)('$what', ({ payload, code = 'ERR_ENCRYPTION_FAILED' }) => {
    const [, responder] = talk(
      { key: bob, conversation: evilInitiator(payload) },
      { key: alice, conversation: respondNoise(optionsOf(alice)) },
    )
    expect(responder).toMatchObject(refused(code))
    const [initiator] = talk(
      { key: alice, conversation: initiateNoise(optionsOf(alice)) },
      { key: bob, conversation: evilResponder(payload) },
    )
    expect(initiator).toMatchObject(refused(code))
  })

  it('another peer than the expected, by either side, whether its signature is good or not', () => {
    for (const signer of [bob, alice]) {
      const payload = (s: Uint8Array) => encodePayload(bob.publicKey, signed(signer, s), { muxers: [YAMUX], certhashes: [] })
      const expectCarol = optionsOf(alice, { expectedPeer: idOf(carol) })
      const answer = talk({ key: alice, conversation: initiateNoise(expectCarol) }, { key: bob, conversation: evilResponder(payload) })
      expect(answer[0]).toMatchObject(refused('ERR_PEER_ID_MISMATCH'))
      const call = talk({ key: bob, conversation: evilInitiator(payload) }, { key: alice, conversation: respondNoise(expectCarol) })
      expect(call[1]).toMatchObject(refused('ERR_PEER_ID_MISMATCH'))
    }
  })

  // The points of order 1, 2, 4 and 8 and their non-canonical encodings: https://cr.yp.to/ecdh.html#validate
  it.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ])('the ephemeral key %s, whose secret is all zeros', (point) => {
    const lowOrder = new Uint8Array(Buffer.from(point, 'hex'))
    const hello = function* (): Conversation<NoiseSession> {
      yield* writeFramed(lowOrder)
      yield* readFramed()
      throw new Error('not reached')
    }
    const [, responder] = talk({ key: bob, conversation: hello() }, { key: alice, conversation: respondNoise(optionsOf(alice)) })
    expect(responder).toMatchObject(refused('ERR_ENCRYPTION_FAILED'))
    const answer = function* (): Conversation<NoiseSession> {
      yield* readFramed()
      yield* writeFramed(concat([lowOrder, new Uint8Array(200)]))
      yield* readFramed()
      throw new Error('not reached')
    }
    const [initiator] = talk({ key: alice, conversation: initiateNoise(optionsOf(alice)) }, { key: bob, conversation: answer() })
    expect(initiator).toMatchObject(refused('ERR_ENCRYPTION_FAILED'))
  })

  it.each([0, 1, 31])('a first message of %i bytes', (length) => {
    const hello = function* (): Conversation<NoiseSession> {
      yield* writeFramed(random.bytes(length))
      yield* readFramed()
      throw new Error('not reached')
    }
    const [, responder] = talk({ key: bob, conversation: hello() }, { key: alice, conversation: respondNoise(optionsOf(alice)) })
    expect(responder).toMatchObject(refused('ERR_ENCRYPTION_FAILED'))
  })

  it.each([0, 32, 79, 95])('a second message of %i bytes', (length) => {
    const answer = function* (): Conversation<NoiseSession> {
      yield* readFramed()
      yield* writeFramed(random.bytes(length))
      yield* readFramed()
      throw new Error('not reached')
    }
    const [initiator] = talk({ key: alice, conversation: initiateNoise(optionsOf(alice)) }, { key: bob, conversation: answer() })
    expect(initiator).toMatchObject(refused('ERR_ENCRYPTION_FAILED'))
  })
})

describe('on the way', () => {
  it('a payload in message 1 does no harm', () => {
    const staticKey = x25519KeyPair(random.bytes(32))
    const ephemeral = x25519KeyPair(random.bytes(32))
    const initiator = function* (): Conversation<NoiseSession> {
      const state = new HandshakeState(nobleAead, { initiator: true, staticKey, ephemeral, prologue: new Uint8Array(0) })
      yield* writeFramed(yield* state.write(utf8('early')))
      yield* state.read(yield* readFramed())
      const payload = encodePayload(bob.publicKey, signed(bob, staticKey.publicKey), { muxers: [], certhashes: [] })
      yield* writeFramed(yield* state.write(payload))
      return undefined as never
    }
    const [, responder] = talk({ key: bob, conversation: initiator() }, { key: alice, conversation: respondNoise(optionsOf(alice)) })
    expect(sessionOf(responder)).toMatchObject({ remotePeer: idOf(bob), muxer: undefined })
  })

  type Change = (written: Uint8Array, from: number) => Uint8Array

  /** Both sides without a channel, where `change` sees every write and how many bytes were written before it. */
  const shakeWith = (change: Change) => {
    let total = 0
    const side = (key: PrivateKey, conversation: Conversation<NoiseSession>) => ({
      key,
      conversation,
      step: conversation.next(),
      inbox: [] as number[],
    })
    type Side = ReturnType<typeof side>
    /** Runs `own` until it waits or is over. */
    const run = (own: Side, other: Side): NoiseSession | TabmeshError | 'waits' => {
      const answer = (value?: Answer) => {
        own.step = own.conversation.next(value)
      }
      try {
        while (own.step.done !== true) {
          const ask = own.step.value
          if (ask.t === 'read') {
            if (own.inbox.length < ask.bytes) return 'waits'
            answer(Uint8Array.from(own.inbox.splice(0, ask.bytes)))
          } else if (ask.t === 'write') {
            other.inbox.push(...change(ask.bytes, total))
            total += ask.bytes.length
            answer()
          } else if (ask.t === 'keyPair') answer(x25519KeyPair(random.bytes(32)))
          else if (ask.t === 'agree') answer(sharedSecret(ask.own, ask.publicKey))
          else if (ask.t === 'sign') answer(signWith(own.key, ask.bytes))
          else if (ask.t === 'verify') answer(verifySignature(ask.key, ask.bytes, ask.signature) === true)
        }
        return own.step.value
      } catch (error) {
        return error as TabmeshError
      }
    }
    const [a, b] = [side(alice, initiateNoise(optionsOf(alice))), side(bob, respondNoise(optionsOf(bob)))]
    run(a, b)
    run(b, a)
    const initiator = run(a, b)
    return { initiator, responder: run(b, a), total }
  }

  it('a flipped bit anywhere leaves the responder without a session, and the initiator too unless it was in its last message', () => {
    const lengths: number[] = []
    const { total, initiator, responder } = shakeWith((written) => {
      lengths.push(written.length)
      return written
    })
    expect([initiator, responder]).toMatchObject([{ remotePeer: idOf(bob) }, { remotePeer: idOf(alice) }])
    expect(lengths.length).toBe(3)
    const third = total - (lengths[2] as number)
    for (let at = 0; at < total; at++) {
      const outcome = shakeWith((written, from) => {
        if (at < from || at >= from + written.length) return written
        const changed = written.slice()
        changed[at - from] = (changed[at - from] as number) ^ (1 << (at % 8))
        return changed
      })
      // Where a length grew its reader waits for more, which the deadline ends.
      const failed = (side: unknown) => side === 'waits' || (side instanceof TabmeshError && side.code === 'ERR_ENCRYPTION_FAILED')
      expect(failed(outcome.responder), `byte ${at}: responder`).toBe(true)
      expect(failed(outcome.initiator), `byte ${at}: initiator`).toBe(at < third)
    }
  })
})
