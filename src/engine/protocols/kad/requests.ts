/**
 * Requests of ours: a stream to the peer, dialled first where there is no connection, the frame, and the answer.
 *
 *   ask ─▶ kept stream? ─┬─ yes ─▶ write, read ─┬─ answer ─▶ stream kept for KAD_KEEP_STREAM
 *                        └─ no ─▶ dial, open ─▲─┘└─ it had ended meanwhile ─▶ once more, on a new one (go does the same)
 *
 * One request at a time on a stream; while it is busy the next one opens its own. ADD_PROVIDER has no answer: its stream is ended, and the
 * remote's end, or KAD_SLOW without a reset, says that it was taken.
 *
 * Connections that are opened for requests alone go again: visits.ts.
 *
 * Who could not be dialled is left alone for a while, from KAD_GONE to KAD_GONE_MAX: others go on naming it, and each lookup would wait for it anew.
 *
 * Bounds: KAD_MAX_GONE of those; KAD_REQUEST_TIMEOUT from the dial to the last byte, so that a byte a second is cut off; KAD_MAX_RESPONSE; KAD_MAX_KEPT_STREAMS.
 */

import { asTabmeshError, remoteFault, TabmeshError } from '../../../errors.ts'
import { equalBytes } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  KAD_GONE,
  KAD_GONE_MAX,
  KAD_KEEP_STREAM,
  KAD_MAX_GONE,
  KAD_MAX_KEPT_STREAMS,
  KAD_MAX_RESPONSE,
  KAD_REQUEST_TIMEOUT,
  KAD_SLOW,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { type Conversation, converse, end, type Outcome, readSome, write } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import { decodeMessage, frameMessage, type KadMessage } from './messages.ts'
import type { Contact } from './table.ts'
import { Visits } from './visits.ts'

interface Kept {
  readonly stream: Stream
  readonly timer: Cancel
}

/** Under which the table tags its peers. */
export const TAG = 'kad'

/** What a request needs of a contact. */
export type Target = Pick<Contact, 'peer' | 'addresses'>

export class Requests {
  readonly #net: Net
  readonly #protocol: string
  readonly #timeout: number
  readonly #kept = new Map<PeerId, Kept>()
  readonly #running = new Set<(fault: TabmeshError) => void>()
  readonly #visits: Visits
  /** Who could not be dialled, for how long it is left alone, and until when; the latest last. */
  readonly #gone = new Map<PeerId, { readonly wait: number; readonly until: number }>()

  constructor(net: Net, protocol: string, timeout = KAD_REQUEST_TIMEOUT) {
    this.#net = net
    this.#protocol = protocol
    this.#timeout = timeout
    this.#visits = new Visits(net, (connection) => {
      if (this.#kept.get(connection.remotePeer)?.stream.connection === connection) this.#take(connection.remotePeer)?.finish(net.host)
      return net.release(connection, { tag: TAG, protocol })
    })
  }

  /** `done` is called once, unless the request is given up. */
  ask(target: Target, message: KadMessage, done: (outcome: Outcome<KadMessage>) => void): Cancel {
    return this.#run(target, askFor(message), true, done)
  }

  /** For ADD_PROVIDER. */
  tell(target: Target, message: KadMessage, done: (outcome: Outcome<void>) => void): Cancel {
    return this.#run(target, tellOf(message), false, done)
  }

  /** The network is another one: who could not be dialled may be there. Or only `peer`, who has come to us. */
  forget(peer?: PeerId): void {
    if (peer === undefined) this.#gone.clear()
    else this.#gone.delete(peer)
  }

  closed(connection: Connection): void {
    this.#visits.closed(connection)
  }

  /** Ends them all. */
  stop(): void {
    this.#visits.stop()
    const fault = new TabmeshError('ERR_STOPPED', 'the peer stops')
    for (const fail of [...this.#running]) fail(fault)
    for (const [peer] of [...this.#kept]) this.#take(peer)?.finish(this.#net.host)
  }

  #run<T>(target: Target, talk: () => Conversation<T>, reads: boolean, done: (outcome: Outcome<T>) => void): Cancel {
    const { host } = this.#net
    const { peer } = target
    let over = false
    let giveUp: (fault: TabmeshError) => void = () => {}
    /** What it has been asked over last. */
    let visited: Connection | undefined
    const end = (): boolean => {
      if (over) return false
      over = true
      timer()
      late?.()
      this.#running.delete(fail)
      if (visited !== undefined) this.#visits.end(visited)
      return true
    }
    const settle = (outcome: Outcome<T>): void => {
      if (end()) done(outcome)
    }
    const fail = (fault: TabmeshError): void => {
      settle({ ok: false, fault })
      giveUp(fault)
    }
    const timer = host.after(this.#timeout, () =>
      fail(new TabmeshError('ERR_TIMEOUT', `${peer} did not answer within ${this.#timeout} ms`, { remote: true })),
    )
    let late: Cancel | undefined
    this.#running.add(fail)

    const visit = (connection: Connection): void => {
      if (visited !== undefined) this.#visits.end(visited)
      visited = connection
      this.#visits.begin(connection)
    }
    const talkOver = (stream: Stream, isKept: boolean): void => {
      giveUp = converse(stream, talk(), host, {
        timeout: Number.POSITIVE_INFINITY,
        what: `kad request to ${peer}`,
        done: (outcome) => {
          if (outcome.ok) {
            if (reads) this.#keep(peer, stream)
            else stream.finish(host)
            settle(outcome)
          } else if (isKept && !over && mayBeStale(outcome.fault)) open()
          else settle(outcome)
        },
      })
      if (reads) return
      late = host.after(KAD_SLOW, () => {
        settle({ ok: true, value: undefined as T })
        giveUp(new TabmeshError('ERR_TIMEOUT', `${peer} does not end the stream`))
      })
    }
    const open = (): void => {
      const isNew = this.#net.connections(peer).length === 0
      const cancel = this.#net.dial(
        target,
        (dialled) => {
          if (over) return
          if (!dialled.ok) {
            if (isOfRemote(dialled.fault)) this.#missed(peer)
            return settle(dialled)
          }
          this.#gone.delete(peer)
          const connection = dialled.value
          if (isNew) this.#visits.opened(connection)
          visit(connection)
          if (connection.limited) {
            return settle({ ok: false, fault: new TabmeshError('ERR_LIMITED_CONNECTION', `only a limited connection to ${peer} is open`) })
          }
          try {
            talkOver(connection.openStream([this.#protocol]), false)
          } catch (error) {
            settle({ ok: false, fault: asTabmeshError(error, 'ERR_INTERNAL', 'opening a kad stream') })
          }
        },
        { timeout: this.#timeout, background: true, settle: 0, passing: true },
      )
      giveUp = cancel
    }
    const kept = this.#take(peer)
    if (kept !== undefined) {
      visit(kept.connection)
      talkOver(kept, true)
    } else if (this.#isGone(peer)) {
      const fault = new TabmeshError('ERR_BACK_OFF', `${peer} could not be dialled lately`)
      host.defer(() => settle({ ok: false, fault }))
    } else open()
    return () => {
      if (!end()) return
      giveUp(new TabmeshError('ERR_STREAM_CLOSED', 'nobody waits for the answer any more'))
    }
  }

  #missed(peer: PeerId): void {
    const now = this.#net.host.now()
    const before = this.#gone.get(peer)
    // Several requests may have waited for the one dial that failed: it is one failure all the same.
    if (before !== undefined && now < before.until) return
    const wait = Math.min(KAD_GONE_MAX, 4 * (before?.wait ?? KAD_GONE / 4))
    this.#gone.delete(peer)
    this.#gone.set(peer, { wait, until: now + wait })
    if (this.#gone.size > KAD_MAX_GONE) for (const [oldest] of this.#gone) if (this.#gone.delete(oldest)) break
  }

  #isGone(peer: PeerId): boolean {
    const gone = this.#gone.get(peer)
    return gone !== undefined && this.#net.host.now() < gone.until && this.#net.connections(peer).length === 0
  }

  #keep(peer: PeerId, stream: Stream): void {
    if (this.#kept.has(peer) || stream.connection.status !== 'open') return stream.finish(this.#net.host)
    const drop = (): void => {
      if (this.#kept.get(peer)?.stream !== stream) return
      this.#kept.get(peer)?.timer()
      this.#kept.delete(peer)
    }
    const timer = this.#net.host.after(KAD_KEEP_STREAM, () => this.#take(peer)?.finish(this.#net.host))
    this.#kept.set(peer, { stream, timer })
    stream.attach({
      onData() {
        drop()
        stream.abort(remoteFault('ERR_PROTOCOL', `${peer} answers what was not asked`))
      },
      onEnd() {
        drop()
        stream.end()
      },
      onClose: drop,
    })
    if (this.#kept.size <= KAD_MAX_KEPT_STREAMS) return
    for (const [oldest] of this.#kept) {
      this.#take(oldest)?.finish(this.#net.host)
      break
    }
  }

  /** The stream that is kept for `peer`; who takes it reads it. */
  #take(peer: PeerId): Stream | undefined {
    const kept = this.#kept.get(peer)
    if (kept === undefined) return undefined
    kept.timer()
    this.#kept.delete(peer)
    kept.stream.detach()
    return kept.stream
  }
}

/** What went wrong on our side alone: it says nothing of the peer. */
const ours: ReadonlySet<string> = new Set(['ERR_CONNECTION_LIMIT', 'ERR_STREAM_LIMIT', 'ERR_GATED', 'ERR_STOPPED', 'ERR_INTERNAL'])
export const isOfRemote = ({ code }: TabmeshError): boolean => !ours.has(code)

/** Whether a kept stream may just have been too old. */
const mayBeStale = ({ code }: TabmeshError): boolean =>
  code === 'ERR_STREAM_RESET' || code === 'ERR_STREAM_CLOSED' || code === 'ERR_CONNECTION_CLOSED'

const askFor = (message: KadMessage) =>
  function* (): Conversation<KadMessage> {
    yield* write(frameMessage(message))
    const answer = decodeMessage(yield* readFrame(KAD_MAX_RESPONSE))
    if (answer.type !== message.type) throw remoteFault('ERR_PROTOCOL', `${message.type} answered with ${answer.type}`)
    // go leaves the key out of an answer to FIND_NODE.
    if (answer.key.length > 0 && !equalBytes(answer.key, message.key)) {
      throw remoteFault('ERR_PROTOCOL', `${message.type} answered with another key`)
    }
    return answer
  }

const tellOf = (message: KadMessage) =>
  function* (): Conversation<void> {
    yield* write(frameMessage(message))
    yield* end()
    // js once answered it; whatever comes is of no interest.
    while ((yield* readSome(1_024)).length > 0);
  }
