/**
 * The perf service (specs: perf/perf.md): reads what it is sent to the end, then sends back as much as it was asked for.
 * It lets anyone use our bandwidth, so it is mounted only where the user says so. The client: client.ts.
 *
 *   reading ── 8 bytes, then any number, dropped ── end ──▶ answering ── zeros ──▶ ended
 *
 * Bounds: PERF_MAX_INBOUND streams of a connection, none where a relay limits it; the stream's window one way and its credit
 * the other; PERF_STALL without a byte in either.
 */

import { remoteFault } from '../../../errors.ts'
import type { Host } from '../../host.ts'
import { PERF_MAX_INBOUND } from '../../limits.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { watch } from './watch.ts'
import { Zeros } from './zeros.ts'

/** https://github.com/libp2p/specs/blob/master/perf/perf.md */
export const PERF = '/perf/1.0.0'
/** Bytes of the request: an unsigned number, big-endian. */
const REQUEST = 8

export const perfService = (): Service => {
  let net: Net
  return {
    name: 'perf',
    protocols: { [PERF]: { maxInbound: PERF_MAX_INBOUND } },
    start(started) {
      net = started
    },
    onStream: (stream) => answer(stream, net.host),
  }
}

const answer = (stream: Stream, host: Pick<Host, 'after'>): void => {
  const request = new Uint8Array(REQUEST)
  let received = 0
  let zeros: Zeros | undefined
  const unwatch = watch(stream, host, (fault) => stream.abort(fault))
  const send = (): void => {
    if (zeros?.flow() === true) stream.end()
  }
  stream.attach({
    onData(bytes) {
      stream.release(bytes.length)
      if (received < REQUEST) request.set(bytes.subarray(0, REQUEST - received), received)
      received += bytes.length
    },
    onDrain: send,
    onEnd() {
      if (received < REQUEST) return stream.abort(remoteFault('ERR_PROTOCOL', `perf: a request of ${received} bytes`))
      zeros = new Zeros(stream, new DataView(request.buffer).getBigUint64(0))
      send()
    },
    onClose: unwatch,
  })
}
