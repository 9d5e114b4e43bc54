/**
 * Conversation: a handshake or a request that reads from top to bottom.
 *
 * A generator asks for a read, a write, a signature or a verification and is resumed with the answer. It holds no
 * IO and no clock, so a test can play the other side by hand; `converse` runs it over a channel. To refuse what came
 * in, a conversation throws a TabmeshError: the channel is then aborted and the fault is the outcome.
 *
 * Bounds. `read` and `readSome` say how much before a byte is buffered; what arrived beyond what was asked for is
 * handed back to the channel. A conversation that writes waits while the channel has no credit.
 */

import { asTabmeshError, remoteFault, TabmeshError } from '../../errors.ts'
import { ByteQueue } from '../codec/byte-queue.ts'
import { concat } from '../codec/bytes.ts'
import type { PublicKey } from '../codec/keys.ts'
import type { X25519KeyPair } from '../crypto/x25519.ts'
import type { Cancel, Host } from '../host.ts'
import type { Channel, Sink } from './channel.ts'

export type Ask =
  /** Exactly `bytes` bytes; fewer before the end of the stream is a fault. */
  | { readonly t: 'read'; readonly bytes: number }
  /** At least one byte and at most `max`; none at the end of the stream. */
  | { readonly t: 'readSome'; readonly max: number }
  | { readonly t: 'write'; readonly bytes: Uint8Array }
  /** Ends our write side. */
  | { readonly t: 'end' }
  | { readonly t: 'sign'; readonly bytes: Uint8Array }
  | { readonly t: 'verify'; readonly key: PublicKey; readonly bytes: Uint8Array; readonly signature: Uint8Array }
  /** A fresh X25519 pair; the secret of one with a remote key, or false where there is none. */
  | { readonly t: 'keyPair' }
  | { readonly t: 'agree'; readonly own: X25519KeyPair; readonly publicKey: Uint8Array }

export type Answer = Uint8Array | boolean | X25519KeyPair | undefined
export type Conversation<T> = Generator<Ask, T, Answer>

export function* read(bytes: number): Conversation<Uint8Array> {
  return (yield { t: 'read', bytes }) as Uint8Array
}

export function* readSome(max: number): Conversation<Uint8Array> {
  return (yield { t: 'readSome', max }) as Uint8Array
}

export function* write(bytes: Uint8Array): Conversation<void> {
  yield { t: 'write', bytes }
}

export function* end(): Conversation<void> {
  yield { t: 'end' }
}

export function* sign(bytes: Uint8Array): Conversation<Uint8Array> {
  return (yield { t: 'sign', bytes }) as Uint8Array
}

export function* verify(key: PublicKey, bytes: Uint8Array, signature: Uint8Array): Conversation<boolean> {
  return (yield { t: 'verify', key, bytes, signature }) as boolean
}

export function* keyPair(): Conversation<X25519KeyPair> {
  return (yield { t: 'keyPair' }) as X25519KeyPair
}

export function* agree(own: X25519KeyPair, publicKey: Uint8Array): Conversation<Uint8Array | false> {
  return (yield { t: 'agree', own, publicKey }) as Uint8Array | false
}

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: TabmeshError }

export interface ConverseOptions<T> {
  /** Milliseconds until ERR_TIMEOUT aborts the channel; Infinity for a conversation without an end of its own. */
  readonly timeout: number
  /** Names the conversation in its errors: "noise handshake", "identify". */
  readonly what: string
  /** Passes on that the channel takes bytes again, for a writer that runs ahead of the conversation. */
  onDrain?(): void
  /** Called exactly once. When it went well the channel is detached, whole, and ready for its next reader. */
  done(outcome: Outcome<T>): void
}

/** Runs a conversation over a channel. Returns a function that gives it up with the fault it is passed. */
export const converse = <T>(
  channel: Channel,
  talk: Conversation<T>,
  host: Pick<Host, 'after' | 'sign' | 'verify' | 'x25519'>,
  options: ConverseOptions<T>,
): ((fault: TabmeshError) => void) => {
  let waiting: (Ask & { t: 'read' | 'readSome' }) | undefined
  const arrived = new ByteQueue()
  /** Of what arrived, the bytes that were released already: a read may be larger than the remote's credit. */
  let ahead = 0
  let outgoing: Uint8Array[] = []
  let outgoingSize = 0
  /** The channel takes no more, and the conversation waits to write. */
  let stuck = false
  let ended = false
  /** In order, behind the remote's end. */
  let closed = false
  let settled = false
  let stepping = false
  let cancelTimer: Cancel = () => {}

  const settle = (outcome: Outcome<T>): void => {
    // The last write may be what closes the channel: then it did not go well after all.
    if (outcome.ok) flush()
    if (settled) return
    settled = true
    cancelTimer()
    if (outcome.ok) {
      channel.detach(arrived.take(arrived.size))
      options.done(outcome)
    } else {
      // The outcome first: aborting may close the layers above, which should already know why.
      options.done(outcome)
      channel.abort(outcome.fault)
    }
  }
  const fail = (fault: TabmeshError): void => settle({ ok: false, fault })

  /** Writes that follow one another leave as one: a handshake message is one packet, not three. */
  const flush = (): void => {
    if (outgoing.length === 0) return
    const chunks = outgoing
    outgoing = []
    outgoingSize = 0
    channel.write(chunks.length === 1 ? (chunks[0] as Uint8Array) : concat(chunks))
  }

  const cutShort = (): TabmeshError => remoteFault('ERR_STREAM_CLOSED', `${options.what}: the remote ended the stream early`)

  const release = (bytes: number): void => {
    const early = Math.min(ahead, bytes)
    ahead -= early
    if (bytes > early) channel.release(bytes - early)
  }

  /** Releases what is there while it is too little, so that the remote has credit for the rest, which may come at once. */
  const releaseAhead = (wanted: number): void => {
    while (arrived.size < wanted && ahead < arrived.size) {
      const bytes = arrived.size - ahead
      ahead += bytes
      channel.release(bytes)
    }
  }

  /** The bytes that satisfy `ask` now, or undefined while it must wait. */
  const satisfy = (ask: Ask & { t: 'read' | 'readSome' }): Uint8Array | undefined => {
    if (ask.t === 'read') {
      if (arrived.size >= ask.bytes) return arrived.take(ask.bytes)
      if (ended) throw cutShort()
      return undefined
    }
    return arrived.size > 0 ? arrived.take(Math.min(arrived.size, ask.max)) : ended ? new Uint8Array(0) : undefined
  }

  /** Resumes the conversation with `answer` and goes on until it has to wait. */
  const step = (answer: Answer): void => {
    if (settled) return
    stepping = true
    let next: Answer = answer
    let over: Outcome<T> | undefined
    try {
      while (!settled) {
        const result = talk.next(next)
        if (result.done === true) {
          over = { ok: true, value: result.value }
          break
        }
        const ask = result.value
        next = undefined
        switch (ask.t) {
          case 'read':
          case 'readSome': {
            let bytes = satisfy(ask)
            if (bytes === undefined) {
              // The answer may come inside the write: look once more before waiting for it.
              flush()
              if (ask.t === 'read') releaseAhead(ask.bytes)
              bytes = satisfy(ask)
            }
            if (bytes === undefined) {
              waiting = ask
              return
            }
            release(bytes.length)
            next = bytes
            break
          }
          case 'write':
            if (closed) throw cutShort()
            outgoing.push(ask.bytes)
            outgoingSize += ask.bytes.length
            if (outgoingSize < channel.credit) break
            flush()
            if (channel.credit > 0) break
            // A remote that asks and does not read the answers waits here, and not in our memory.
            stuck = true
            return
          case 'end':
            flush()
            channel.end()
            break
          case 'sign':
            flush()
            host.sign(ask.bytes, resumeWith)
            return
          case 'verify':
            flush()
            host.verify(ask.key, ask.bytes, ask.signature, resumeWith)
            return
          case 'keyPair':
            host.x25519.generate(resumeWith)
            return
          case 'agree':
            host.x25519.agree(ask.own, ask.publicKey, resumeWith)
            return
        }
      }
    } catch (error) {
      over = { ok: false, fault: asTabmeshError(error, 'ERR_INTERNAL', options.what) }
    } finally {
      stepping = false
    }
    // Outside of the try: what the caller does with the outcome is not the conversation's fault.
    if (over !== undefined) settle(over)
  }

  const resumeWith = (answer: Answer | TabmeshError): void => {
    if (answer instanceof TabmeshError) fail(answer)
    else step(answer)
  }

  /** New bytes, or the end, came: goes on if that is what the conversation waits for. */
  const wake = (): void => {
    if (waiting === undefined || stepping || settled) return
    const ask = waiting
    let bytes: Uint8Array | undefined
    try {
      bytes = satisfy(ask)
    } catch (error) {
      return fail(error as TabmeshError)
    }
    if (bytes === undefined) return
    waiting = undefined
    release(bytes.length)
    step(bytes)
  }

  const sink: Sink = {
    onData(bytes) {
      arrived.push(bytes)
      if (waiting?.t === 'read') releaseAhead(waiting.bytes)
      wake()
    },
    onDrain() {
      options.onDrain?.()
      if (!stuck || channel.credit <= 0) return
      stuck = false
      step(undefined)
    },
    onEnd() {
      ended = true
      wake()
    },
    onClose(fault) {
      // All has come, and an answer of the host is being waited for: what was read may still be all that is wanted.
      if (fault === undefined && ended && waiting === undefined && !stuck) {
        closed = true
        return
      }
      arrived.clear()
      fail(fault ?? cutShort())
    },
  }

  if (options.timeout !== Number.POSITIVE_INFINITY) {
    cancelTimer = host.after(options.timeout, () =>
      fail(new TabmeshError('ERR_TIMEOUT', `${options.what}: no answer within ${options.timeout} ms`)),
    )
  }
  channel.attach(sink)
  step(undefined)
  return fail
}
