/**
 * The client of perf (specs: perf/perf.md): tells how much it wants back, sends its own, ends, and takes the time.
 *
 *   began ── 8 bytes: download ── upload ── end ──▶
 *                                        answered ◀── download ── end   finished
 *
 * The upload has arrived when the answer begins, for the remote may answer only once it has read all. With both directions
 * the first byte of the answer is where one time ends and the other begins; with one, its time is all there is.
 *
 * Bounds: the stream's credit one way, its window the other, PERF_STALL without a byte in either.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Host } from '../../host.ts'
import type { Stream } from '../../net/stream.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { watch } from './watch.ts'
import { Zeros } from './zeros.ts'

export interface Volume {
  /** Whole numbers of bytes, up to 2^53 − 1. */
  readonly upload: number
  readonly download: number
}

export interface Pace {
  readonly bytes: number
  /** Milliseconds. */
  readonly ms: number
}

export interface Measured {
  readonly upload: Pace
  readonly download: Pace
}

/** Measures over `stream`, which is for nothing else. Returns how to give up. */
export const measure = (
  stream: Stream,
  { upload, download }: Volume,
  host: Pick<Host, 'now' | 'after'>,
  done: (outcome: Outcome<Measured>) => void,
): ((fault: TabmeshError) => void) => {
  const zeros = new Zeros(stream, BigInt(upload))
  const began = host.now()
  let received = 0
  let answered = 0
  let finished = 0
  let sentAll = false
  let settled = false

  const settle = (outcome: Outcome<Measured>): void => {
    if (settled) return
    settled = true
    unwatch()
    done(outcome)
  }
  const fail = (fault: TabmeshError): void => {
    settle({ ok: false, fault })
    stream.abort(fault)
  }
  const send = (): void => {
    if (sentAll || settled || !zeros.flow()) return
    sentAll = true
    stream.end()
  }
  const measured = (): Measured => {
    if (download === 0) return { upload: { bytes: upload, ms: host.now() - began }, download: { bytes: 0, ms: 0 } }
    const border = upload === 0 ? began : answered
    return { upload: { bytes: upload, ms: border - began }, download: { bytes: download, ms: finished - border } }
  }

  const unwatch = watch(stream, host, fail)
  const head = new Uint8Array(8)
  new DataView(head.buffer).setBigUint64(0, BigInt(download))
  stream.write(head)
  stream.attach({
    onData({ length }) {
      if (settled) return
      stream.release(length)
      if (received === 0) answered = host.now()
      received += length
      if (!sentAll) return fail(remoteFault('ERR_PROTOCOL', 'perf: the remote answered before it had read all'))
      if (received > download)
        return fail(remoteFault('ERR_PROTOCOL', `perf: the remote sent more than the ${download} bytes it was asked for`))
      if (received === download) finished = host.now()
    },
    onDrain: send,
    onEnd() {
      if (sentAll && received === download) return settle({ ok: true, value: measured() })
      fail(remoteFault('ERR_PROTOCOL', `perf: the remote ended after ${received} of ${download} bytes`))
    },
    onClose: (fault) => settle({ ok: false, fault: fault ?? new TabmeshError('ERR_STREAM_CLOSED', 'perf: the stream was closed') }),
  })
  send()
  return fail
}
