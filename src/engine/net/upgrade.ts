/**
 * Upgrade: from a byte pipe to an authenticated multiplexer (specs: connections/README.md).
 *
 *   pipe ── multistream /noise + Noise XX ──▶ secure channel ──┬─ muxer agreed inside Noise ───────────▶ yamux
 *                                                              └─ multistream /yamux/1.0.0 (rust) ─────▶ yamux
 *
 * The dialer sends the multistream header and its proposal at once, and Noise's first message as soon as its key is made,
 * without waiting for an answer, so that a connection costs two round trips. One deadline covers it all.
 */

import { remoteFault, type TabmeshError } from '../../errors.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Host } from '../host.ts'
import { UPGRADE_TIMEOUT } from '../limits.ts'
import { type Conversation, converse, type Outcome } from '../wire/conversation.ts'
import { answerProtocols, lazyHead, readLazyAnswer, selectProtocol } from '../wire/multistream.ts'
import type { Muxer } from '../wire/muxer.ts'
import { initiateNoise, type NoiseSession, type NoiseStaticKey, respondNoise } from '../wire/noise/handshake.ts'
import { secure } from '../wire/noise/secure-channel.ts'
import { yamux } from '../wire/yamux/muxer.ts'
import type { Link } from './service.ts'

const NOISE = '/noise'
const YAMUX = '/yamux/1.0.0'
const NOISE_HEAD = lazyHead(NOISE)

export interface UpgradeOptions {
  readonly host: Host
  readonly staticKey: NoiseStaticKey
  readonly role: 'dialer' | 'listener'
  /** The peer that must answer; any if absent. */
  readonly expectedPeer: PeerId | undefined
  readonly timeout?: number
  /** Bytes that one stream's receive window may grow to; the muxer's own maximum if absent. */
  readonly maxWindow?: number | undefined
}

/** An authenticated peer. What the rest of a connection needs is made by `mux`, once it is wanted. */
export interface Upgraded {
  readonly remotePeer: PeerId
  readonly encryption: string
  /** The name of the multiplexer. */
  readonly muxer: string
  /** Begins the session; called once. */
  mux(): Muxer
}

/** Runs the whole upgrade; on failure the pipe is aborted. Returns a function that gives up with a fault. */
export const upgrade = (
  link: Extract<Link, { t: 'pipe' }>,
  options: UpgradeOptions,
  done: (outcome: Outcome<Upgraded>) => void,
): ((fault: TabmeshError) => void) => {
  const { host, role } = options
  const timeout = options.timeout ?? UPGRADE_TIMEOUT
  const began = host.now()
  const muxing = options.maxWindow === undefined ? {} : { maxWindow: options.maxWindow }
  /** Of the conversation that runs; the first may be over before it has returned. */
  let giveUp: ((fault: TabmeshError) => void) | undefined

  const withSession = (session: NoiseSession): void => {
    const { remotePeer } = session
    if (session.muxer === YAMUX) {
      const mux = (): Muxer => yamux(secure(link.channel, session, host.aead), role, host, muxing)
      return done({ ok: true, value: { remotePeer, encryption: NOISE, muxer: YAMUX, mux } })
    }
    const channel = secure(link.channel, session, host.aead)
    giveUp = converse(channel, role === 'dialer' ? selectProtocol([YAMUX]) : answerProtocols((name) => name === YAMUX), host, {
      timeout: Math.max(1, timeout - (host.now() - began)),
      what: 'agreeing on a muxer',
      done: (outcome) => {
        if (!outcome.ok) return done({ ok: false, fault: explain(outcome.fault, 'ERR_NO_MUXER') })
        done({ ok: true, value: { remotePeer, encryption: NOISE, muxer: YAMUX, mux: () => yamux(channel, role, host, muxing) } })
      },
    })
  }

  // Before anything is computed: the remote reads it while we make our key.
  if (role === 'dialer') link.channel.write(NOISE_HEAD.slice())
  const securing = converse(link.channel, role === 'dialer' ? dialNoise(options) : answerNoise(options), host, {
    timeout,
    what: 'securing the connection',
    done: (outcome) => {
      if (outcome.ok) withSession(outcome.value)
      else done({ ok: false, fault: explain(outcome.fault, 'ERR_NO_SECURITY') })
    },
  })
  giveUp ??= securing
  return (fault) => giveUp?.(fault)
}

/** A refused proposal is about the layer, not about a protocol of the application. */
const explain = (fault: TabmeshError, code: 'ERR_NO_SECURITY' | 'ERR_NO_MUXER'): TabmeshError =>
  fault.code === 'ERR_NO_PROTOCOL' ? remoteFault(code, 'the upgrade failed', fault) : fault

function* dialNoise(options: UpgradeOptions): Conversation<NoiseSession> {
  return yield* lazily(NOISE, initiateNoise(noiseOptions(options)))
}

function* answerNoise(options: UpgradeOptions): Conversation<NoiseSession> {
  yield* answerProtocols((name) => name === NOISE)
  return yield* respondNoise(noiseOptions(options))
}

const noiseOptions = ({ host, staticKey, expectedPeer }: UpgradeOptions) => ({
  aead: host.aead,
  identity: host.publicKey,
  staticKey,
  // One entry: js picks from the wrong list, which is the same only while there is one (PROTOCOLS §6).
  muxers: [YAMUX],
  ...(expectedPeer === undefined ? {} : { expectedPeer }),
})

/** For a proposal of `protocol` that was not waited for: its answer is read in front of the first thing `talk` wants to read. */
function* lazily<T>(protocol: string, talk: Conversation<T>): Conversation<T> {
  let step = talk.next()
  while (step.done !== true && step.value.t !== 'read' && step.value.t !== 'readSome') step = talk.next(yield step.value)
  yield* readLazyAnswer(protocol)
  while (step.done !== true) step = talk.next(yield step.value)
  return step.value
}
