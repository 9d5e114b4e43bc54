/**
 * `node-datachannel` (libdatachannel: ICE, DTLS and SCTP), loaded on demand: what we use of its own interface.
 *
 * What to know of version 0.33, all seen in its source and met in tests:
 *   - Callbacks come through a queue for each callback and so may come in another order than they were made, and after `close`.
 *     What still waits in a queue when its object is closed is leaked (thread-safe-callback.cpp): data-channel.ts closes with
 *     empty queues.
 *   - Messages that come while a channel's `onMessage` is being set may change places: the thread that sets it and the one that receives empty
 *     one queue (Channel::flushPendingMessages; 1 of 3,000 channels with 30 messages each). Frames of our own peers have numbers for
 *     that (wire/webrtc/framing.ts); other peers' first messages, where they are several, can't be put in order again.
 *   - It uses the id of a channel again while the remote may still hear that the old one closes: channel-ids.ts.
 *   - Nothing bounds such a queue: a remote that sends small messages faster than we take them fills the memory. peer.ts watches.
 *   - What a callback throws ends the process (`terminate called`): `outside` passes it on to where Node hears of it.
 *   - A channel without `onMessage` takes 1,024 messages and then blocks one of the library's threads for good: every channel is given
 *     one as soon as it is heard of, and `onDataChannel` is registered before `onStateChange`, so that it is called first.
 *   - A channel made as soon as the connection is up may be opened twice (`openDataChannels` follows the news), for which the remote
 *     closes it: a connection counts as up when a channel of before is open, the gate.
 *   - A channel that never opened is not closed with its connection, and holds the process: each is closed by hand.
 *   - An object that nobody refers to is collected, and closed, with its callbacks still set.
 *   - A second thread that loads it ends the process (it keeps one thread's constructors for all): only the main thread does.
 *   - IceUdpMuxListener is not used. Its `stop` does nothing (a flag is not initialised: iceudpmuxlistener.hpp), so the port stays
 *     taken, and the next STUN request calls into freed memory. It has no port 0, no IPv6 beside IPv4 on one port, and an
 *     unbounded table of source addresses. front.ts takes its place.
 */

import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { TabmeshError } from '../../errors.ts'

export interface Binding {
  readonly PeerConnection: new (name: string, configuration: NativeConfiguration) => NativeConnection
}

export interface IceServer {
  readonly hostname: string
  readonly port: number
  readonly username?: string
  readonly password?: string
  readonly relayType?: 'TurnUdp' | 'TurnTcp' | 'TurnTls'
}

export interface NativeConfiguration {
  readonly iceServers: readonly IceServer[]
  readonly iceTransportPolicy?: 'all' | 'relay'
  readonly bindAddress?: string
  /** Otherwise an offer is made as soon as there is a channel, and an answer as soon as there is an offer. */
  readonly disableAutoNegotiation: true
  readonly disableAutoGathering?: boolean
  readonly disableFingerprintVerification?: boolean
  /** What the other side may send; a longer message is cut. */
  readonly maxMessageSize: number
  /** PEM, in spite of the names. */
  readonly certificatePemFile?: string
  readonly keyPemFile?: string
}

export interface NativeConnection {
  close(): void
  setLocalDescription(type: 'offer' | 'answer', init?: { readonly iceUfrag: string; readonly icePwd: string }): void
  setRemoteDescription(sdp: string, type: 'offer' | 'answer'): void
  localDescription(): { readonly type: string; readonly sdp: string } | null
  remoteFingerprint(): { readonly value: string; readonly algorithm: string }
  addRemoteCandidate(candidate: string, mid: string): void
  createDataChannel(label: string, options?: { readonly negotiated?: true; readonly id: number }): NativeChannel
  /** The highest that the remote takes too, once connected. */
  maxDataChannelId(): number
  onLocalCandidate(heard: (candidate: string, mid: string) => void): void
  onStateChange(heard: (state: string) => void): void
  onIceStateChange(heard: (state: string) => void): void
  onDataChannel(heard: (channel: NativeChannel) => void): void
}

/** Most methods throw once it is closed. */
export interface NativeChannel {
  close(): void
  getLabel(): string
  /** Once connected. */
  getId(): number
  /** False where the message had to be queued. */
  sendMessageBinary(bytes: Uint8Array): boolean
  isOpen(): boolean
  /** Bytes that SCTP, which takes up to 1 MiB, has not taken yet. */
  bufferedAmount(): number
  setBufferedAmountLowThreshold(bytes: number): void
  onOpen(heard: () => void): void
  onClosed(heard: () => void): void
  onBufferedAmountLow(heard: () => void): void
  onMessage(heard: (message: string | Buffer | ArrayBuffer) => void): void
}

/** Calls of one queue that come in one turn of the event loop at most (Node's thread-safe functions): fewer, and the queue was empty. */
export const QUEUE_TURN = 1_000

/** A callback for the library that does not throw: what it throws is an uncaught exception of its own. */
export const outside =
  <T extends unknown[]>(callback: (...args: T) => void): ((...args: T) => void) =>
  (...args) => {
    try {
      callback(...args)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

const PACKAGE = 'node-datachannel'

let loaded: Binding | undefined

/**
 * Takes some 30 ms the first time. Throws ERR_UNSUPPORTED where the package is not installed or has no binary for this platform, and on
 * any other thread than the main one.
 */
export const loadWebrtc = (): Binding => {
  if (loaded !== undefined) return loaded
  if (!isMainThread) throw new TabmeshError('ERR_UNSUPPORTED', `WebRTC is on the main thread only, for ${PACKAGE} has no others`)
  try {
    // By name: the bundle does not contain it.
    loaded = createRequire(import.meta.url)(PACKAGE) as Binding
    return loaded
  } catch (cause) {
    const { platform, arch } = process
    throw new TabmeshError(
      'ERR_UNSUPPORTED',
      `WebRTC needs the package ${PACKAGE} with its binary for ${platform} ${arch}: npm install ${PACKAGE}`,
      {
        cause,
      },
    )
  }
}
