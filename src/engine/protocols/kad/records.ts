/**
 * Records of values (specs: kad-dht/README.md §Entry validation): what their namespace says of them. A key is `/namespace/…`; a record of
 * a namespace that nobody here answers for is refused, whichever way it goes.
 *
 *   /pk/<multihash>     the public key that has this hash
 *   /ipns/<multihash>   ipns.ts
 *   the caller's own    as it says; it has KAD_VALIDATE_TIMEOUT, and what throws has refused
 *
 * Bounds: KAD_MAX_KEY, KAD_MAX_VALUE.
 */

import { asTabmeshError, remoteFault, TabmeshError } from '../../../errors.ts'
import { emptyBytes, equalBytes } from '../../codec/bytes.ts'
import { decodePublicKey } from '../../codec/keys.ts'
import { type PeerId, peerIdFromKey, peerIdToBytes } from '../../codec/peer-id.ts'
import type { Host } from '../../host.ts'
import { KAD_MAX_KEY, KAD_MAX_VALUE, KAD_VALIDATE_TIMEOUT } from '../../limits.ts'
import type { Conversation } from '../../wire/conversation.ts'
import { decodeIpns, selectIpns, verifyIpns } from './ipns.ts'

/** What one namespace does with its records. Both answer once, at once or later. */
export interface Namespace {
  /** Undefined where the record is valid; else why it is not. */
  validate(key: Uint8Array, value: Uint8Array, done: (fault: TabmeshError | undefined) => void): void
  /** The place of the best of several valid values. */
  select(key: Uint8Array, values: readonly Uint8Array[], done: (best: number) => void): void
  /** Whether a value that was valid once is so no more at `date`, Unix milliseconds; never, if absent. */
  isOver?(value: Uint8Array, date: number): boolean
}

export interface Records {
  validate(key: Uint8Array, value: Uint8Array, done: (fault: TabmeshError | undefined) => void): void
  select(key: Uint8Array, values: readonly Uint8Array[], done: (best: number) => void): void
  isOver(key: Uint8Array, value: Uint8Array, date: number): boolean
}

const SLASH = 0x2f

/** The namespace of a key, and what stands behind it; undefined where there is none. */
export const splitKey = (key: Uint8Array): { readonly namespace: string; readonly rest: Uint8Array } | undefined => {
  const end = key.indexOf(SLASH, 1)
  if (key[0] !== SLASH || end < 2 || end > 64) return undefined
  const name = key.subarray(1, end)
  return name.every((byte) => byte > 0x20 && byte < 0x7f)
    ? { namespace: String.fromCharCode(...name), rest: key.subarray(end + 1) }
    : undefined
}

const namespaceBytes = (name: string): readonly number[] => Array.from(`/${name}/`, (letter) => letter.charCodeAt(0))

/** Where the public key of a peer is found, which has one too long for its id; and where its IPNS record is. */
export const publicKeyKey = (peer: PeerId): Uint8Array => Uint8Array.of(...namespaceBytes('pk'), ...peerIdToBytes(peer))
export const ipnsKey = (peer: PeerId): Uint8Array => Uint8Array.of(...namespaceBytes('ipns'), ...peerIdToBytes(peer))

type RecordHost = Pick<Host, 'verify' | 'date' | 'after'>

/** `own` may replace what is built in. */
export const recordsOf = (host: RecordHost, own: Readonly<Record<string, Namespace>> = {}): Records => {
  const namespaces = new Map<string, Namespace>([['pk', pk], ['ipns', ipns(host)], ...Object.entries(own)])
  const find = (key: Uint8Array): Namespace | undefined => namespaces.get(splitKey(key)?.namespace ?? '')
  return {
    validate(key, value, done) {
      if (key.length > KAD_MAX_KEY) return done(remoteFault('ERR_FRAME_TOO_LARGE', `a record's key of ${key.length} bytes`))
      if (value.length > KAD_MAX_VALUE) return done(remoteFault('ERR_FRAME_TOO_LARGE', `a record of ${value.length} bytes`))
      const namespace = find(key)
      if (namespace === undefined) return done(remoteFault('ERR_PROTOCOL', 'a record whose namespace nobody answers for'))
      const settle = inTime<TabmeshError | undefined>(host, done, new TabmeshError('ERR_TIMEOUT', 'validating a record took too long'))
      try {
        namespace.validate(key, value, settle)
      } catch (error) {
        settle(asTabmeshError(error, 'ERR_HANDLER', 'the validator of a record threw'))
      }
    },
    select(key, values, done) {
      const settle = inTime<number>(host, done, 0)
      try {
        const namespace = find(key)
        if (namespace === undefined || values.length < 2) settle(0)
        else namespace.select(key, values, settle)
      } catch {
        settle(0)
      }
    },
    isOver(key, value, date) {
      try {
        return find(key)?.isOver?.(value, date) === true
      } catch {
        return true
      }
    },
  }
}

/** `done`, once: after the time there is with `late`. */
const inTime = <T>(host: RecordHost, done: (value: T) => void, late: T): ((value: T) => void) => {
  let over = false
  const settle = (value: T): void => {
    if (over) return
    over = true
    timer()
    done(value)
  }
  const timer = host.after(KAD_VALIDATE_TIMEOUT, () => settle(late))
  return settle
}

const pk: Namespace = {
  validate(key, value, done) {
    try {
      const rest = splitKey(key)?.rest ?? emptyBytes
      const fits = equalBytes(peerIdToBytes(peerIdFromKey(decodePublicKey(value))), rest)
      done(fits ? undefined : remoteFault('ERR_PROTOCOL', 'a public key under the name of another'))
    } catch (error) {
      done(remoteFault('ERR_PROTOCOL', 'a record of a public key that is none', error))
    }
  },
  // There is only one.
  select: (_key, _values, done) => done(0),
}

const ipns = (host: RecordHost): Namespace => ({
  validate(key, value, done) {
    converseAlone(verifyIpns(splitKey(key)?.rest ?? emptyBytes, value, host.date()), host, done)
  },
  select: (_key, values, done) => done(Math.max(0, selectIpns(values))),
  isOver: (value, date) => decodeIpns(value).expires <= date,
})

/** Runs a conversation that asks for verifications only. */
const converseAlone = (talk: Conversation<unknown>, host: RecordHost, done: (fault: TabmeshError | undefined) => void): void => {
  const step = (answer: boolean | undefined): void => {
    let asked: ReturnType<typeof talk.next>
    try {
      asked = talk.next(answer)
    } catch (error) {
      return done(asTabmeshError(error, 'ERR_INTERNAL', 'validating a record'))
    }
    if (asked.done === true) return done(undefined)
    const ask = asked.value
    if (ask.t === 'verify') host.verify(ask.key, ask.bytes, ask.signature, step)
    else done(new TabmeshError('ERR_INTERNAL', `a record asks for ${ask.t}`))
  }
  step(undefined)
}
