/**
 * Try: one try to restart the ICE of a session over a stream on a circuit. It wires machine.ts to the stream, to the session and to the clock; what it comes
 * to its owner hears once.
 *
 * Bounds: those of machine.ts; MEND_TRY_TIMEOUT; frames of MEND_MAX_FRAME.
 */

import { asTabmeshError, TabmeshError } from '../../../errors.ts'
import type { Cancel, Host } from '../../host.ts'
import { CHECK_MAX, MEND_MAX_FRAME, MEND_TRY_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Stream } from '../../net/stream.ts'
import { FrameReader } from '../../wire/frame.ts'
import type { RtcSession } from '../../wire/webrtc/session.ts'
import { Restart, type RestartInput, type RestartOutput, type RestartRole } from './machine.ts'
import { decodeRestart, encodeRestart } from './messages.ts'

/** Finds out whether anything is answered on a connection. */
export type Check = (connection: Connection, patience: number, done: (alive: boolean) => void) => Cancel

export interface TryOwner {
  readonly host: Host
  readonly session: RtcSession
  readonly connection: Connection | undefined
  readonly check: Check
  /** Before it is told what it came to: it takes nothing any more. */
  onOver(): void
  /** The connection lives. */
  onDone(): void
  /** `unknown`: the remote knows nothing of the session. */
  onFailed(fault: TabmeshError, unknown: boolean): void
}

/** What a session tells while nobody restarts it. */
export const deaf = { onDescription: () => {}, onCandidate: () => {}, onState: () => {}, onRefused: () => {} }

export class Try {
  readonly #owner: TryOwner
  readonly #stream: Stream
  readonly #role: RestartRole
  readonly #frames: FrameReader
  readonly #machine: Restart
  #timer: Cancel = () => {}
  #confirming: Cancel = () => {}

  constructor(owner: TryOwner, stream: Stream, role: RestartRole, frames = new FrameReader(MEND_MAX_FRAME)) {
    const { host, session } = owner
    this.#owner = owner
    this.#stream = stream
    this.#role = role
    this.#frames = frames
    this.#machine = new Restart(role, session.name, session.fingerprint, host.now())
  }

  /** When our offer left; undefined where there is none. */
  get offeredAt(): number | undefined {
    return this.#machine.offeredAt
  }

  start(): void {
    const { host, session } = this.#owner
    this.#timer = host.after(MEND_TRY_TIMEOUT + 1, () => this.handle({ t: 'tick' }))
    session.listen({
      onDescription: (sdp, type) => {
        // One of a try that was given up.
        if (type !== undefined && (type === 'offer') !== (this.#role.t === 'offerer')) return
        this.handle({ t: 'description', sdp })
      },
      onCandidate: (json) => this.handle({ t: 'gathered', json }),
      onState: () => {},
      onRefused: (cause) => this.handle({ t: 'refused', cause }),
    })
    this.#stream.attach({
      onData: (bytes) => {
        this.#stream.release(bytes.length)
        if (!this.#machine.over) this.#hear(bytes)
      },
      onEnd: () => {
        this.handle({ t: 'ended', fault: undefined })
        this.#stream.end()
      },
      onClose: (fault) => this.handle({ t: 'ended', fault }),
    })
    this.#act()
  }

  handle(input: RestartInput): void {
    this.#machine.handle(input, this.#owner.host.now())
    this.#act()
  }

  #hear(bytes: Uint8Array): void {
    try {
      for (const body of this.#frames.push(bytes)) this.handle({ t: 'message', message: decodeRestart(body) })
    } catch (cause) {
      this.handle({ t: 'giveUp', fault: asTabmeshError(cause, 'ERR_PROTOCOL', 'an ICE restart') })
    }
  }

  #act(): void {
    for (let output = this.#machine.poll(); output !== undefined; output = this.#machine.poll()) this.#do(output)
  }

  #do(output: RestartOutput): void {
    const { host, session } = this.#owner
    const stream = this.#stream
    switch (output.t) {
      case 'send':
        return stream.write(encodeRestart(output.message))
      case 'makeOffer':
        return session.peer.restart?.()
      case 'makeAnswer':
        return session.peer.makeAnswer(output.offer)
      case 'setAnswer':
        return session.peer.setAnswer(output.answer)
      case 'addCandidate':
        return session.peer.addCandidate(output.json)
      case 'confirm':
        return this.#confirm()
      case 'done':
        this.#finish()
        stream.detach()
        stream.finish(host)
        return this.#owner.onDone()
      case 'failed':
        this.#finish()
        stream.abort(output.fault)
        if (stream.connection.direction === 'outbound') stream.connection.retire()
        return this.#owner.onFailed(output.fault, output.unknown)
    }
  }

  #confirm(): void {
    const { connection, check } = this.#owner
    if (connection === undefined) return
    this.#confirming = check(connection, CHECK_MAX, (alive) => {
      if (alive) this.handle({ t: 'alive' })
      else if (!this.#machine.over && connection.status !== 'closed') this.#confirm()
    })
  }

  #finish(): void {
    this.#timer()
    this.#confirming()
    this.#owner.session.listen(deaf)
    this.#owner.onOver()
  }
}

/**
 * Reads the offer that a remote's try begins with. `begin` starts ours, and hears what came behind the offer already in it; it returns none where the offer
 * is refused.
 */
export const awaitOffer = (
  stream: Stream,
  host: Host,
  begin: (offer: { readonly session: Uint8Array; readonly sdp: string }, frames: FrameReader) => Try | undefined,
): void => {
  const frames = new FrameReader(MEND_MAX_FRAME)
  const timer = host.after(MEND_TRY_TIMEOUT, () => stream.abort(new TabmeshError('ERR_TIMEOUT', 'an ICE restart without an offer')))
  stream.attach({
    onData(bytes) {
      stream.release(bytes.length)
      try {
        let current: Try | undefined
        for (const body of frames.push(bytes)) {
          const message = decodeRestart(body)
          if (current !== undefined) {
            current.handle({ t: 'message', message })
            continue
          }
          timer()
          if (message.t !== 'offer') throw new TabmeshError('ERR_PROTOCOL', `an ICE restart begins with ${message.t}`, { remote: true })
          stream.detach()
          current = begin(message, frames)
          if (current === undefined) return
        }
      } catch (cause) {
        timer()
        stream.abort(asTabmeshError(cause, 'ERR_PROTOCOL', 'an ICE restart'))
      }
    },
    onEnd: () => stream.end(),
    onClose: () => timer(),
  })
}
