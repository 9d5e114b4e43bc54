/**
 * Watch: gives a stream up on which nothing has moved for PERF_STALL. A measurement may be of any size, so it has no deadline.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Cancel, Host } from '../../host.ts'
import { PERF_STALL } from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'

export const watch = (stream: Stream, host: Pick<Host, 'after'>, stalled: (fault: TabmeshError) => void): Cancel => {
  let before = -1
  let timer: Cancel = () => {}
  const look = (): void => {
    const moved = stream.received + stream.sent
    if (moved === before) return stalled(new TabmeshError('ERR_TIMEOUT', `perf: not a byte has moved for ${PERF_STALL} ms`))
    before = moved
    timer = host.after(PERF_STALL, look)
  }
  look()
  return () => timer()
}
