/**
 * The identity of this origin, in the worker: an Ed25519 key that never leaves it.
 *
 * Where WebCrypto has Ed25519 the private key is a non-extractable CryptoKey kept in IndexedDB; elsewhere (insecure
 * origins, older browsers) @noble/curves signs with key bytes kept there. One page at a time holds the identity of a
 * name: a second one gets an ephemeral key and the page hears ERR_IDENTITY_IN_USE. A key that is not kept, the application's own or an
 * ephemeral one, is at hand here, which makes many signatures cheaper (sign-together.ts).
 *
 *   claim ──▶ Web Lock free ─────────────────────────▶ held (until the worker ends)
 *         └─▶ taken: does a living holder answer on the BroadcastChannel?
 *                 yes ──▶ ephemeral         no (a page that is just going) ──▶ wait for the lock, then held
 */

import { decodePrivateKey, type PrivateKey, type PublicKey, privateKey, publicKey } from '../engine/codec/keys.ts'
import { signWith } from '../engine/crypto/verify.ts'
import { TabmeshError } from '../errors.ts'
import { IDENTITY, withDatabase } from './database.ts'
import { signTogether } from './sign-together.ts'

/** A key that signs; where it lives is its own affair. */
export interface Identity {
  readonly publicKey: PublicKey
  sign(bytes: Uint8Array, done: (signature: Uint8Array | TabmeshError) => void): void
}

type Stored = { readonly key: CryptoKey; readonly publicKey: Uint8Array } | { readonly seed: Uint8Array }

export interface IdentityResult {
  readonly identity: Identity
  /** Whether it will be the same the next time, and this page alone has it until then. */
  readonly kept: boolean
  /** Why it is not the one that was asked for. */
  readonly warning?: TabmeshError
  /** Gives the name free for another page. */
  release(): void
}

/** A holder answers at once; a page that is being unloaded does not. Milliseconds. */
const HOLDER_ANSWERS = 150
/** Without an answer, how long the old page may take to go. */
const HOLDER_GOES = 2_000

export const openIdentity = async (
  kind: 'persistent' | 'ephemeral' | { readonly privateKey: Uint8Array },
  name: string,
): Promise<IdentityResult> => {
  if (typeof kind === 'object') return { identity: await fromGiven(decodePrivateKey(kind.privateKey)), kept: false, release: () => {} }
  if (kind === 'ephemeral') return { identity: await ephemeral(), kept: false, release: () => {} }
  const release = await claim(name)
  if (release === undefined) {
    const warning = new TabmeshError('ERR_IDENTITY_IN_USE', `the identity '${name}' is held by another page`)
    return { identity: await ephemeral(), kept: false, warning, release: () => {} }
  }
  try {
    return { identity: fromStored(await load(name)), kept: true, release }
  } catch (cause) {
    release()
    const warning = new TabmeshError('ERR_STORE', 'the identity could not be kept; this one is ephemeral', { cause })
    return { identity: await ephemeral(), kept: false, warning, release: () => {} }
  }
}

const KEY = 'ed25519'

const load = (name: string): Promise<Stored> =>
  withDatabase(name, async (database) => {
    const known = (await database.get(IDENTITY, KEY)) as Stored | undefined
    if (known !== undefined) return known
    const fresh = await generate()
    await database.put(IDENTITY, fresh, KEY)
    return fresh
  })

const generate = async (): Promise<Stored> => {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  try {
    const pair = (await subtle?.generateKey('Ed25519', false, ['sign', 'verify'])) as CryptoKeyPair | undefined
    if (subtle !== undefined && pair !== undefined) {
      return { key: pair.privateKey, publicKey: new Uint8Array(await subtle.exportKey('raw', pair.publicKey)) }
    }
  } catch {
    // NotSupportedError: no Ed25519 here.
  }
  return { seed: crypto.getRandomValues(new Uint8Array(32)) }
}

/** RFC 8410 §7: all of the DER that stands before the 32 bytes of an Ed25519 key. */
const ED25519_PKCS8 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20)

/** A fresh key of this page alone. The browser makes it where it can: its public half takes JavaScript's curve some 35 ms the first time. */
const ephemeral = async (): Promise<Identity> => {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  try {
    const pair = (await subtle?.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair | undefined
    if (subtle !== undefined && pair !== undefined) {
      const ours = publicKey('Ed25519', new Uint8Array(await subtle.exportKey('raw', pair.publicKey)))
      const der = new Uint8Array(await subtle.exportKey('pkcs8', pair.privateKey))
      const seed = der.slice(ED25519_PKCS8.length)
      // A browser that writes more behind the seed than RFC 8410 asks for is not guessed at.
      if (seed.length === 32) return signTogether(bySubtle(pair.privateKey, ours), seed)
    }
  } catch {
    // NotSupportedError: no Ed25519 here.
  }
  return fromGiven(privateKey('Ed25519', crypto.getRandomValues(new Uint8Array(32))))
}

const fromStored = (stored: Stored): Identity =>
  'seed' in stored ? fromKey(privateKey('Ed25519', stored.seed)) : bySubtle(stored.key, publicKey('Ed25519', stored.publicKey))

const bySubtle = (key: CryptoKey, ours: PublicKey): Identity => ({
  publicKey: ours,
  sign(bytes, done) {
    crypto.subtle.sign('Ed25519', key, bytes as Uint8Array<ArrayBuffer>).then(
      (signature) => done(new Uint8Array(signature)),
      (cause: unknown) => done(new TabmeshError('ERR_INTERNAL', 'the browser did not sign', { cause })),
    )
  },
})

/** A key that is at hand. By WebCrypto, where it can be had, a signature takes a tenth of the time. */
const fromGiven = async (key: PrivateKey): Promise<Identity> => {
  if (key.type !== 'Ed25519') return fromKey(key)
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  const der = new Uint8Array([...ED25519_PKCS8, ...key.raw])
  // NotSupportedError: no Ed25519 here.
  const imported = await subtle?.importKey('pkcs8', der, 'Ed25519', false, ['sign']).catch(() => undefined)
  return signTogether(imported === undefined ? fromKey(key) : bySubtle(imported, key.publicKey), key.raw)
}

const fromKey = (key: PrivateKey): Identity => ({ publicKey: key.publicKey, sign: (bytes, done) => done(signWith(key, bytes)) })

/** The function that gives `name` free again, or undefined where a living page holds it. */
const claim = async (name: string): Promise<(() => void) | undefined> => {
  const label = `tabmesh identity ${name}`
  const channel = new BroadcastChannel(label)
  const locks = globalThis.navigator?.locks as LockManager | undefined
  const held = locks === undefined ? await claimByVoice(channel) : await claimByLock(locks, label, channel)
  if (held === undefined) {
    channel.close()
    return undefined
  }
  channel.onmessage = ({ data }: MessageEvent<string>) => {
    if (data.startsWith('who')) channel.postMessage('me')
  }
  return () => {
    channel.close()
    held()
  }
}

const claimByLock = async (locks: LockManager, label: string, channel: BroadcastChannel): Promise<(() => void) | undefined> => {
  const take = (options: LockOptions): Promise<(() => void) | undefined> =>
    new Promise((resolve) => {
      locks
        .request(label, options, (lock) => {
          if (lock === null) return resolve(undefined)
          return new Promise<void>((letGo) => resolve(letGo))
        })
        .catch(() => resolve(undefined))
    })
  const free = await take({ ifAvailable: true })
  if (free !== undefined || (await holderAnswers(channel, 'who'))) return free
  return take({ signal: AbortSignal.timeout(HOLDER_GOES) })
}

/** Without locks (insecure origins): of pages that ask at the same time the highest number wins. */
const claimByVoice = async (channel: BroadcastChannel): Promise<(() => void) | undefined> =>
  (await holderAnswers(channel, `who ${crypto.getRandomValues(new Uint32Array(1))[0]}`)) ? undefined : () => {}

const holderAnswers = (channel: BroadcastChannel, question: string): Promise<boolean> =>
  new Promise((resolve) => {
    const mine = Number(question.split(' ')[1] ?? Number.NaN)
    const timer = setTimeout(() => resolve(false), HOLDER_ANSWERS)
    channel.onmessage = ({ data }: MessageEvent<string>) => {
      const theirs = Number(data.split(' ')[1] ?? Number.NaN)
      if (data === 'me' || theirs > mine) {
        clearTimeout(timer)
        resolve(true)
      } else if (theirs < mine) channel.postMessage(question)
    }
    channel.postMessage(question)
  })
