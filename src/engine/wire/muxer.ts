/**
 * Muxer: many channels over one connection. yamux makes one of a byte pipe; WebRTC, WebTransport and QUIC bring
 * their own. Nothing above this line knows which it is.
 */

import type { TabmeshError } from '../../errors.ts'
import type { Channel } from './channel.ts'

export interface Muxer {
  /** The name that `ConnectionInfo.muxer` shows: `/yamux/1.0.0`, `/webrtc`, `/webtransport`. */
  readonly protocol: string
  /** Round trip in milliseconds, where the muxer measures it. */
  readonly rtt?: number | undefined
  /** When something last came from the remote, on the host's clock of `now`, where the muxer keeps account of it. */
  readonly heardAt?: number | undefined
  /** Opens a channel at once, with no round trip; if it can't be opened, the channel closes with the fault. */
  open(): Channel
  /** Called once, before anything else; streams that the remote opened meanwhile are delivered then. */
  attach(sink: MuxerSink): void
  /** Tells the remote that we go, sends what is queued, closes. Streams still open end with ERR_CONNECTION_CLOSED. */
  close(): void
  /** Closes at once; every stream and the sink get `fault`. */
  abort(fault: TabmeshError): void
}

export interface MuxerSink {
  onStream(channel: Channel): void
  /** Exactly once; no fault when either side closed in order. */
  onClose(fault?: TabmeshError): void
}
