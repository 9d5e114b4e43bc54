/**
 * The engine's end of the RTC port: RTCPeerConnections that live on the page's main thread, as the engine's `Rtc`.
 *
 * The other end is ../transports/webrtc.ts. Commands and news are numbered by peer connection; data channels arrive
 * transferred, or as ports that stand for them.
 *
 * Bounds: RTC_MAX_INBOUND channels, and the `init` one, that the remote opened before anybody took the connection in.
 */

import { RTC_MAX_INBOUND } from '../engine/limits.ts'
import type { Channel } from '../engine/wire/channel.ts'
import type { Rtc, RtcPeer, RtcSignals } from '../engine/wire/webrtc/peer.ts'
import type { RtcSink, RtcState } from '../engine/wire/webrtc/rtc.ts'
import { inflateError, TabmeshError } from '../errors.ts'
import { DataChannel } from './data-channel.ts'
import type { RtcCommand, RtcNews } from './messages.ts'

/** `iceServers` tells the `stun:` URLs that are known when a peer connection is made. */
export const rtcOverPort = (port: MessagePort, iceServers: () => readonly string[] = () => []): Rtc => {
  const peers = new Map<number, RemotePeer>()
  let count = 0
  port.onmessage = ({ data }: MessageEvent<RtcNews>) => {
    const peer = peers.get(data.id)
    if (peer !== undefined) peer.hear(data)
    else if (data.t === 'channel') closeVia(data.via)
  }
  return {
    create(signals) {
      count += 1
      const peer = new RemotePeer(count, signals, port, iceServers(), () => peers.delete(peer.id))
      peers.set(peer.id, peer)
      return peer
    },
  }
}

const closeVia = (via: RTCDataChannel | MessagePort): void => {
  if (!('readyState' in via)) via.postMessage('close')
  via.close()
}

class RemotePeer implements RtcPeer {
  readonly id: number
  readonly #signals: RtcSignals
  readonly #port: MessagePort
  readonly #onClosed: () => void
  /** All that are not closed: those that wait for their close would wait for ever, once the connection is gone. */
  readonly #open = new Set<DataChannel>()
  /** Channels we asked for that the page has not made yet. */
  readonly #awaited = new Map<number, DataChannel>()
  #early: { channel: Channel; label: string }[] = []
  #sink: RtcSink | undefined
  #state: RtcState | undefined
  #channels = 0
  #closed = false

  constructor(id: number, signals: RtcSignals, port: MessagePort, iceServers: readonly string[], onClosed: () => void) {
    this.id = id
    this.#signals = signals
    this.#port = port
    this.#onClosed = onClosed
    this.#tell({ t: 'create', id, iceServers })
  }

  makeOffer(): void {
    this.#tell({ t: 'makeOffer', id: this.id })
  }

  makeAnswer(sdp: string): void {
    this.#tell({ t: 'makeAnswer', id: this.id, sdp })
  }

  makeDirectOffer(ufrag?: string): Channel {
    return this.#ask((channel) => ({ t: 'makeDirectOffer', id: this.id, channel, ufrag }))
  }

  restart(): void {
    this.#tell({ t: 'restart', id: this.id })
  }

  setAnswer(sdp: string): void {
    this.#tell({ t: 'setAnswer', id: this.id, sdp })
  }

  addCandidate(json: string): void {
    this.#tell({ t: 'addCandidate', id: this.id, json })
  }

  openChannel(): Channel {
    return this.#ask((channel) => ({ t: 'openChannel', id: this.id, channel }))
  }

  /** A channel that the page makes; what is written meanwhile waits in it. */
  #ask(command: (channel: number) => RtcCommand): Channel {
    const channel = this.#make()
    if (this.#closed) {
      channel.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'the peer connection was closed'))
      return channel
    }
    this.#channels += 1
    this.#awaited.set(this.#channels, channel)
    this.#tell(command(this.#channels))
    return channel
  }

  #make(): DataChannel {
    const channel = new DataChannel((over) => this.#open.delete(over))
    this.#open.add(channel)
    return channel
  }

  attach(sink: RtcSink): void {
    this.#sink = sink
    const early = this.#early
    this.#early = []
    for (const { channel, label } of early) sink.onChannel(channel, label)
    if (this.#state !== undefined) sink.onState(this.#state)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#tell({ t: 'close', id: this.id })
    this.#onClosed()
    const fault = new TabmeshError('ERR_CONNECTION_CLOSED', 'the peer connection was closed')
    for (const channel of [...this.#open]) channel.abort(fault)
    this.#awaited.clear()
    this.#early = []
  }

  hear(news: RtcNews): void {
    switch (news.t) {
      case 'description':
        return this.#signals.onDescription(news.sdp, news.type)
      case 'candidate':
        return this.#signals.onCandidate(news.json)
      case 'reached':
        return this.#signals.onReached?.()
      case 'refused':
        return this.#signals.onRefused(inflateError(news.error))
      case 'state':
        this.#state = news.state
        this.#signals.onState(news.state)
        this.#sink?.onState(news.state)
        return
      case 'channel': {
        const awaited = this.#awaited.get(news.channel)
        if (awaited !== undefined) {
          this.#awaited.delete(news.channel)
          return awaited.connect(news.via)
        }
        const channel = this.#make()
        channel.connect(news.via)
        if (this.#sink !== undefined) this.#sink.onChannel(channel, news.label)
        else if (this.#early.length <= RTC_MAX_INBOUND) this.#early.push({ channel, label: news.label })
        else channel.abort(new TabmeshError('ERR_STREAM_LIMIT', 'the remote opened too many channels before the connection was taken in'))
      }
    }
  }

  #tell(command: RtcCommand): void {
    this.#port.postMessage(command)
  }
}
