/**
 * Upgrade: from a byte pipe to an authenticated multiplexer (specs: connections/README.md).
 *
 *   pipe ─ (pre-shared key) ─ multistream ─ security ─▶ secure channel ──┬─ muxer agreed with the security ─▶ multiplexer
 *                                                                        └─ multistream (rust) ────────────▶ multiplexer
 *
 * A dialer that has one security to propose sends the multistream header and its proposal at once, and Noise's first message as
 * soon as its key is made, without waiting for an answer: a connection costs two round trips. One deadline covers it all.
 */

import { remoteFault, type TabmeshError } from '../../errors.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Host } from '../host.ts'
import { UPGRADE_TIMEOUT } from '../limits.ts'
import type { Channel } from '../wire/channel.ts'
import { type Conversation, converse, type Outcome } from '../wire/conversation.ts'
import { answerProtocols, lazyHead, readLazyAnswer, selectProtocol } from '../wire/multistream.ts'
import type { Muxer } from '../wire/muxer.ts'
import { initiateNoise, type NoiseSession, type NoiseStaticKey, respondNoise } from '../wire/noise/handshake.ts'
import { type SecureChannel, secure } from '../wire/noise/secure-channel.ts'
import { yamux } from '../wire/yamux/muxer.ts'
import type { AuthenticateOptions, Link } from './service.ts'

export const NOISE = '/noise'
export const YAMUX = '/yamux/1.0.0'
const NOISE_HEAD = lazyHead(NOISE)

export type Role = 'dialer' | 'listener'

/** A way to secure a byte pipe beside Noise, which every node has. */
export interface Security {
  /** What multistream agrees on: `/tls/1.0.0`. */
  readonly protocol: string
  /** Secures a pipe on which `protocol` has been agreed. On failure the channel is aborted. Returns how to give up. */
  secure(channel: Channel, options: SecureOptions, done: (outcome: Outcome<Secured>) => void): (fault: TabmeshError) => void
}

export interface SecureOptions {
  readonly role: Role
  /** The peer that must answer; any if absent. */
  readonly expectedPeer: PeerId | undefined
  /** Multiplexers to settle on, the best first. */
  readonly muxers: readonly string[]
  /** Milliseconds. */
  readonly timeout: number
}

export interface Secured {
  /** Takes many chunks in one write, as multiplexers have them. */
  readonly channel: SecureChannel
  readonly remotePeer: PeerId
  /** Undefined where multistream is to settle it. */
  readonly muxer: string | undefined
}

/** A multiplexer that a pipe may be given. */
export interface MuxerKind {
  readonly protocol: string
  /** Begins the session. `maxWindow`: bytes that one stream's receive window may grow to; the muxer's own maximum if absent. */
  mux(channel: SecureChannel, role: Role, host: Host, options: { readonly maxWindow?: number }): Muxer
}

/** What goes around a pipe before anything else is said on it: the cipher of a private network. */
export type Shield = (channel: Channel, host: Host) => Channel

/** How a node upgrades pipes. Noise and yamux are always there. */
export interface Upgrading {
  readonly host: Host
  readonly staticKey: NoiseStaticKey
  /** Securities that a listener answers, beside Noise. */
  readonly securities: readonly Security[]
  /** What a dialer proposes, the best first. */
  readonly propose: readonly string[]
  /** The best first; yamux among them. */
  readonly muxers: readonly MuxerKind[]
  readonly shield: Shield | undefined
  readonly maxWindow: number | undefined
}

/** May refuse a peer that has proved who it is, before anything else is agreed with it. Returns how to give up. */
export type Admit = (peer: PeerId, done: (refusal: TabmeshError | undefined) => void) => () => void

export interface UpgradeOptions extends Upgrading {
  readonly role: Role
  /** The peer that must answer; any if absent. */
  readonly expectedPeer: PeerId | undefined
  readonly timeout?: number
  /** Everybody, if absent. */
  readonly admit?: Admit | undefined
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

export const yamuxKind: MuxerKind = { protocol: YAMUX, mux: yamux }

/** Runs the whole upgrade; on failure the pipe is aborted. Returns a function that gives up with a fault. */
export const upgrade = (
  link: Extract<Link, { t: 'pipe' }>,
  options: UpgradeOptions,
  done: (outcome: Outcome<Upgraded>) => void,
): ((fault: TabmeshError) => void) => {
  const { host, role, propose, securities, muxers } = options
  const timeout = options.timeout ?? UPGRADE_TIMEOUT
  const began = host.now()
  const left = (): number => Math.max(1, timeout - (host.now() - began))
  const pipe = options.shield === undefined ? link.channel : options.shield(link.channel, host)
  /** Of the conversation that runs; the first may be over before it has returned. */
  let giveUp: ((fault: TabmeshError) => void) | undefined
  const fail = (fault: TabmeshError): void => done({ ok: false, fault })

  const finish = (channel: () => SecureChannel, encryption: string, remotePeer: PeerId, muxer: string): void => {
    const kind = muxers.find(({ protocol }) => protocol === muxer) ?? yamuxKind
    const muxing = options.maxWindow === undefined ? {} : { maxWindow: options.maxWindow }
    done({ ok: true, value: { remotePeer, encryption, muxer: kind.protocol, mux: () => kind.mux(channel(), role, host, muxing) } })
  }

  const settleMuxer = (channel: SecureChannel, encryption: string, remotePeer: PeerId): void => {
    const names = muxers.map(({ protocol }) => protocol)
    giveUp = converse(channel, role === 'dialer' ? selectProtocol(names) : answerProtocols((name) => names.includes(name)), host, {
      timeout: left(),
      what: 'agreeing on a muxer',
      done: (outcome) => {
        if (outcome.ok) finish(() => channel, encryption, remotePeer, outcome.value)
        else fail(explain(outcome.fault, 'ERR_NO_MUXER'))
      },
    })
  }

  const admitted = (remotePeer: PeerId, go: () => void): void => {
    if (options.admit === undefined) return go()
    let open = true
    let cancel = (): void => {}
    const refuse = (fault: TabmeshError): void => {
      if (!open) return
      open = false
      cancel()
      fail(fault)
      pipe.abort(fault)
    }
    giveUp = refuse
    cancel = options.admit(remotePeer, (refusal) => {
      if (refusal !== undefined) return refuse(refusal)
      if (!open) return
      open = false
      go()
    })
  }

  const withNoise = (session: NoiseSession): void => {
    const { remotePeer, muxer } = session
    const channel = (): SecureChannel => secure(pipe, session, host.aead)
    admitted(remotePeer, () => {
      if (muxer === undefined) settleMuxer(channel(), NOISE, remotePeer)
      else finish(channel, NOISE, remotePeer, muxer)
    })
  }

  const withSecurity = ({ protocol, secure }: Security): void => {
    const names = muxers.map((each) => each.protocol)
    giveUp = secure(pipe, { role, expectedPeer: options.expectedPeer, muxers: names, timeout: left() }, (outcome) => {
      if (!outcome.ok) return fail(outcome.fault)
      const { channel, remotePeer, muxer } = outcome.value
      admitted(remotePeer, () => {
        if (muxer === undefined) settleMuxer(channel, protocol, remotePeer)
        else finish(() => channel, protocol, remotePeer, muxer)
      })
    })
  }

  // Before anything is computed: the remote reads it while we make our key.
  const lazy = role === 'dialer' && propose.length === 1 && propose[0] === NOISE
  if (lazy) pipe.write(NOISE_HEAD.slice())
  const securing = converse(pipe, securePipe(options, lazy), host, {
    timeout,
    what: 'securing the connection',
    done: (outcome) => {
      if (!outcome.ok) return fail(explain(outcome.fault, 'ERR_NO_SECURITY'))
      if (typeof outcome.value !== 'string') return withNoise(outcome.value)
      const chosen = securities.find(({ protocol }) => protocol === outcome.value)
      if (chosen !== undefined) withSecurity(chosen)
    },
  })
  giveUp ??= securing
  return (fault) => giveUp?.(fault)
}

/** Noise alone, without multistream and muxers, for transports that bring their own. */
export const authenticate = (
  channel: Channel,
  { host, staticKey }: Pick<Upgrading, 'host' | 'staticKey'>,
  { role, expectedPeer, prologue, timeout = UPGRADE_TIMEOUT }: AuthenticateOptions,
  done: (outcome: Outcome<NoiseSession>) => void,
): ((fault: TabmeshError) => void) => {
  const options = {
    aead: host.aead,
    identity: host.publicKey,
    staticKey,
    muxers: [],
    ...(expectedPeer === undefined ? {} : { expectedPeer }),
    ...(prologue === undefined ? {} : { prologue }),
  }
  return converse(channel, role === 'initiator' ? initiateNoise(options) : respondNoise(options), host, {
    timeout,
    what: 'proving who the remote is',
    done,
  })
}

/** A refused proposal is about the layer, not about a protocol of the application. */
const explain = (fault: TabmeshError, code: 'ERR_NO_SECURITY' | 'ERR_NO_MUXER'): TabmeshError =>
  fault.code === 'ERR_NO_PROTOCOL' ? remoteFault(code, 'the upgrade failed', fault) : fault

/** Agrees on a security. Where that is Noise it goes on with its handshake, else it names what was agreed. */
function* securePipe(options: UpgradeOptions, lazy: boolean): Conversation<NoiseSession | string> {
  const { role, propose, securities } = options
  if (lazy) return yield* lazily(NOISE, initiateNoise(noiseOptions(options)))
  const answers = (name: string): boolean => name === NOISE || securities.some(({ protocol }) => protocol === name)
  const agreed = yield* role === 'dialer' ? selectProtocol(propose) : answerProtocols(answers)
  if (agreed !== NOISE) return agreed
  return yield* role === 'dialer' ? initiateNoise(noiseOptions(options)) : respondNoise(noiseOptions(options))
}

const noiseOptions = ({ host, staticKey, expectedPeer, muxers }: UpgradeOptions) => ({
  aead: host.aead,
  identity: host.publicKey,
  staticKey,
  // js takes the first of the remote's list in both roles: the same as ours while the best is what both have.
  muxers: muxers.map(({ protocol }) => protocol),
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

/** A native multiplexer needs no upgrade. */
export const native = ({ muxer, remotePeer, encryption }: Extract<Link, { t: 'muxed' }>): Upgraded => ({
  remotePeer,
  encryption,
  muxer: muxer.protocol,
  mux: () => muxer,
})
