/**
 * Getting rid of a link or a multiplexer that nobody wants: it came too late, or over a limit.
 */

import type { TabmeshError } from '../../errors.ts'
import type { Muxer } from '../wire/muxer.ts'
import type { Link } from './service.ts'

export const abandonLink = (link: Link, fault: TabmeshError): void => {
  if (link.t === 'pipe') link.channel.abort(fault)
  else abandonMuxer(link.muxer, fault)
}

export const abandonMuxer = (muxer: Muxer, fault: TabmeshError): void => {
  muxer.attach({ onStream: () => {}, onClose: () => {} })
  muxer.abort(fault)
}
