/**
 * What securing a connection costs, in Node, by CPU time, so that other work on the machine shows less, and with everything
 * interleaved:
 *
 *   1. ChaCha20-Poly1305 in MB/s into a given buffer: the SIMD module against @noble/ciphers
 *   2. a pair of secure channels in memory in MB/s of plaintext: sealing and opening on one thread, so about half of 1
 *   3. a Noise handshake in ms of one thread, both sides together
 *
 *   node scripts/bench-crypto.mjs
 */

import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'
import { buildWasm } from './build-wasm.mjs'

await buildWasm()
// Vite's module loader runs the TypeScript as it is on every Node that the package supports.
const root = fileURLToPath(new URL('..', import.meta.url))
const vite = await createServer({
  root,
  configFile: false,
  appType: 'custom',
  logLevel: 'error',
  server: { middlewareMode: true, ws: false, watch: null },
  optimizeDeps: { noDiscovery: true },
})
const load = (/** @type {string} */ path) => vite.ssrLoadModule(path)
const { instantiateAead } = await load('/workers/aead/load.ts')
const { nobleAead } = await load('/src/engine/crypto/noble-aead.ts')
const { secure } = await load('/src/engine/wire/noise/secure-channel.ts')
const { CipherState } = await load('/src/engine/wire/noise/handshake-state.ts')
const { sharedSecret, x25519KeyPair } = await load('/src/engine/crypto/x25519.ts')
const { initiateNoise, makeStaticKey, respondNoise } = await load('/src/engine/wire/noise/handshake.ts')
const { privateKey } = await load('/src/engine/codec/keys.ts')
const { signWith, verifySignature } = await load('/src/engine/crypto/verify.ts')
await vite.close()

const ROUNDS = 15
const SLICE = 50 // milliseconds

const median = (/** @type {number[]} */ values) => /** @type {number} */ (values.sort((a, b) => a - b)[values.length >> 1])

/** Milliseconds that this process has computed. */
const computed = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/**
 * The median of units per millisecond of each run, all runs in turn.
 * @param {Record<string, { units: number, run: () => void }>} runs
 */
const race = (runs) => {
  /** @type {Record<string, number[]>} */
  const speeds = Object.fromEntries(Object.keys(runs).map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { units, run }] of Object.entries(runs)) {
      const batch = Math.max(1, Math.floor(20_000 / units))
      let calls = 0
      const from = computed()
      do {
        for (let i = 0; i < batch; i++) run()
        calls += batch
      } while (computed() < from + SLICE)
      // The first rounds are for the compiler.
      if (round > 1) speeds[name]?.push((calls * units) / (computed() - from))
    }
  }
  return Object.fromEntries(Object.entries(speeds).map(([name, each]) => [name, median(each)]))
}

const rounded = (/** @type {Record<string, number>} */ figures) =>
  Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, Math.round(figure / 1_000)]))

const start = performance.now()
const simd = instantiateAead()
console.log(`compile and instantiate: ${(performance.now() - start).toFixed(2)} ms`)
const aeads = { simd, noble: nobleAead }
const sizes = [65_519, 16_384, 1_024, 128]
const random = (/** @type {number} */ bytes) => crypto.getRandomValues(new Uint8Array(bytes))

console.log('\nChaCha20-Poly1305, MB/s')
const key = random(32)
const nonce = random(12)
console.table(
  sizes.map((bytes) => {
    const parts = [random(bytes)]
    const sealed = new Uint8Array(bytes + 16)
    const out = new Uint8Array(bytes + 16)
    simd.seal(key, nonce, parts, sealed, 0)
    /** @type {Parameters<typeof race>[0]} */
    const runs = {}
    for (const [name, aead] of Object.entries(aeads)) {
      runs[`${name} seal`] = { units: bytes, run: () => aead.seal(key, nonce, parts, out, 0) }
      runs[`${name} open`] = { units: bytes, run: () => aead.open(key, nonce, sealed, out, 0) }
    }
    return { bytes, ...rounded(race(runs)) }
  }),
)

/** Two secure channels over a pipe that delivers at once. */
const pipe = (/** @type {typeof simd} */ aead) => {
  const end = () => {
    /** @type {any} */
    const channel = {
      credit: 1 << 20,
      write: (/** @type {Uint8Array} */ bytes) => channel.far.sink.onData(bytes),
      attach: (/** @type {unknown} */ sink) => {
        channel.sink = sink
      },
      release() {},
    }
    return channel
  }
  const [near, far] = [end(), end()]
  near.far = far
  far.far = near
  const keys = () => new CipherState(key)
  const writer = secure(near, { send: keys(), receive: keys() }, aead)
  const reader = secure(far, { send: keys(), receive: keys() }, aead)
  reader.attach({ onData: (/** @type {Uint8Array} */ bytes) => reader.release(bytes.length), onEnd() {}, onClose() {} })
  return writer
}

console.log('\nsecure channel to secure channel, MB/s')
console.table(
  [262_076, ...sizes].map((bytes) => {
    const data = new Uint8Array(bytes).fill(42)
    const header = random(12)
    /** @type {Parameters<typeof race>[0]} */
    const runs = {}
    for (const [name, aead] of Object.entries(aeads)) {
      const channel = pipe(aead)
      const chunks = [header, data.subarray(12)]
      runs[name] = { units: bytes, run: () => channel.writev(chunks) }
    }
    return { bytes, ...rounded(race(runs)) }
  }),
)

const node = () => ({ identity: privateKey('Ed25519', random(32)), staticKey: makeStaticKey() })
const [alice, bob] = [node(), node()]

const shake = (/** @type {typeof simd} */ aead) => {
  const side = (/** @type {typeof alice} */ { identity, staticKey }, /** @type {typeof initiateNoise} */ noise) => {
    const talk = noise({ aead, identity: identity.publicKey, staticKey, muxers: ['/yamux/1.0.0'] })
    return { identity, talk, step: talk.next(), inbox: new Uint8Array(0) }
  }
  const run = (/** @type {ReturnType<typeof side>} */ own, /** @type {ReturnType<typeof side>} */ other) => {
    while (!own.step.done) {
      const ask = own.step.value
      let answer
      if (ask.t === 'read') {
        if (own.inbox.length < ask.bytes) return
        answer = own.inbox.subarray(0, ask.bytes)
        own.inbox = own.inbox.subarray(ask.bytes)
      } else if (ask.t === 'write') other.inbox = ask.bytes
      else if (ask.t === 'keyPair') answer = x25519KeyPair(random(32))
      else if (ask.t === 'agree') answer = sharedSecret(ask.own, ask.publicKey)
      else if (ask.t === 'sign') answer = signWith(own.identity, ask.bytes)
      else answer = verifySignature(ask.key, ask.bytes, ask.signature)
      own.step = own.talk.next(answer)
    }
  }
  const [a, b] = [side(alice, initiateNoise), side(bob, respondNoise)]
  for (let i = 0; i < 2; i++) {
    run(a, b)
    run(b, a)
  }
  if (!a.step.done || !b.step.done) throw new Error('the handshake hangs')
}

const perMillisecond = race(
  Object.fromEntries(Object.entries(aeads).map(([name, aead]) => [name, { units: 20_000, run: () => shake(aead) }])),
)
const shown = Object.entries(perMillisecond).map(([name, units]) => `${name} ${(20_000 / units).toFixed(1)} ms`)
console.log(`\nNoise handshake with Ed25519 identities, both sides on one thread: ${shown.join(', ')}`)
