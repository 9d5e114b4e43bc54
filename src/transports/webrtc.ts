/**
 * RTCPeerConnection on the main thread, the only place where it exists, driven by the engine over a port.
 *
 *   engine ── create, makeOffer, makeAnswer, makeDirectOffer, restart, setAnswer, addCandidate, openChannel, close ─▶ here
 *   engine ◀─ description, candidate, reached, state, refused, channel (transferred) ──────────────────────── here
 *
 * A data channel can be transferred only in the task that creates or announces it, before anything is sent on it.
 * Where that is refused (older Firefox), or `bridge` is set, a MessagePort stands for it and this thread passes
 * transferred buffers on.
 *
 * Bounds: MAX_CONNECTIONS peer connections; over a bridge RTC_SEND_BUFFER bytes, accounted for by the engine's end.
 */

import { RTC_LOW_WATER } from '../engine/limits.ts'
import { checkDataOnly, withCredentials } from '../engine/protocols/webrtc-direct/sdp.ts'
import { deflateError, TabmeshError } from '../errors.ts'
import type { BridgeCommand, BridgeNews } from '../port/data-channel.ts'
import { withStun } from '../port/ice-servers.ts'
import type { RtcCommand, RtcNews } from '../port/messages.ts'

/** Chromium refuses to make more than 500. */
const MAX_CONNECTIONS = 400
/** How long a closed connection may take to come to the end of connecting, and of gathering alone; see `close`. Milliseconds. */
const SETTLE = { connecting: 3_000, gathering: 100 }

export interface RtcHostOptions {
  readonly configuration: RTCConfiguration
  /** Keep data channels here even where they could be transferred. */
  readonly bridge: boolean
}

/** Serves the engine's RTC port until the returned function is called, which closes every connection. */
export const hostRtc = (port: MessagePort, options: RtcHostOptions): (() => void) => {
  const connections = new Map<number, Connection>()
  port.onmessage = ({ data }: MessageEvent<RtcCommand>) => {
    if (data.t === 'create') {
      const connection = connect(data.id, data.iceServers)
      if (connection !== undefined) connections.set(data.id, connection)
      return
    }
    const connection = connections.get(data.id)
    if (connection === undefined) return
    connection.command(data)
  }

  const connect = (id: number, iceServers: readonly string[]): Connection | undefined => {
    const tell = (news: RtcNews, transfer: Transferable[] = []): void => port.postMessage(news, transfer)
    try {
      if (connections.size >= MAX_CONNECTIONS)
        throw new TabmeshError('ERR_CONNECTION_LIMIT', `${connections.size} peer connections are open`)
      const rtc = new RTCPeerConnection(withStun(options.configuration, iceServers))
      return new Connection(id, rtc, tell, options.bridge, () => connections.delete(id))
    } catch (error) {
      tell({ t: 'refused', id, error: deflateError(error) })
      return undefined
    }
  }

  const closeAll = (how: 'close' | 'closeNow'): void => {
    for (const connection of [...connections.values()]) connection[how]()
  }
  // Browsers end a page without a word to its peers, who would miss it only when ICE does. One that is kept may come back.
  const leave = ({ persisted }: PageTransitionEvent): void => {
    if (!persisted) closeAll('closeNow')
  }
  globalThis.addEventListener?.('pagehide', leave)
  return () => {
    globalThis.removeEventListener?.('pagehide', leave)
    closeAll('close')
    port.close()
  }
}

class Connection {
  readonly #id: number
  readonly #rtc: RTCPeerConnection
  readonly #tell: (news: RtcNews, transfer?: Transferable[]) => void
  readonly #bridge: boolean
  readonly #onClosed: () => void
  /** Descriptions and candidates are applied one after the other, in the order they came. */
  #steps: Promise<void> = Promise.resolve()

  constructor(
    id: number,
    rtc: RTCPeerConnection,
    tell: (news: RtcNews, transfer?: Transferable[]) => void,
    bridge: boolean,
    onClosed: () => void,
  ) {
    this.#id = id
    this.#rtc = rtc
    this.#tell = tell
    this.#bridge = bridge
    this.#onClosed = onClosed
    rtc.onicecandidate = ({ candidate }) => {
      if (candidate !== null && candidate.candidate !== '') tell({ t: 'candidate', id, json: JSON.stringify(candidate.toJSON()) })
    }
    rtc.onconnectionstatechange = () => {
      const state = rtc.connectionState
      if (state === 'connected') this.#watchEnd()
      if (state !== 'new' && state !== 'connecting') tell({ t: 'state', id, state })
    }
    rtc.oniceconnectionstatechange = () => {
      if (rtc.iceConnectionState !== 'connected' && rtc.iceConnectionState !== 'completed') return
      rtc.oniceconnectionstatechange = null
      tell({ t: 'reached', id })
    }
    rtc.ondatachannel = ({ channel }) => this.#handOver(channel, 0)
  }

  command(command: Exclude<RtcCommand, { t: 'create' }>): void {
    switch (command.t) {
      case 'makeOffer':
        // Without a channel there would be nothing to gather candidates for.
        this.#rtc.createDataChannel('init')
        return this.#describe(async () => this.#rtc.createOffer())
      case 'makeAnswer':
        return this.#describe(async () => {
          checkDataOnly(command.sdp)
          await this.#rtc.setRemoteDescription({ type: 'offer', sdp: command.sdp })
          return this.#rtc.createAnswer()
        })
      case 'restart':
        return this.#describe(async () => this.#rtc.createOffer({ iceRestart: true }))
      case 'setAnswer':
        return this.#step(async () => {
          checkDataOnly(command.sdp)
          await this.#rtc.setRemoteDescription({ type: 'answer', sdp: command.sdp })
        })
      case 'addCandidate':
        this.#steps = this.#steps.then(async () => {
          // A candidate that this browser can't parse or resolve is skipped: others may do.
          await Promise.resolve()
            .then(() => this.#rtc.addIceCandidate(JSON.parse(command.json) as RTCIceCandidateInit))
            .catch(() => {})
        })
        return
      case 'openChannel':
        return this.#open(command.channel, {})
      case 'makeDirectOffer':
        return this.#offerDirectly(command.channel, command.ufrag)
      case 'close':
        return this.close()
    }
  }

  /**
   * Says no more, and closes. One that is connecting or gathering is closed when it has come to the end of that, or after SETTLE: Chromium
   * keeps a connection for ever, as one of its 500, that is closed between a change of its states and the event that tells of it.
   */
  close(): void {
    const rtc = this.#rtc
    this.#silence()
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = (): void => {
      clearTimeout(timer)
      const connecting = rtc.connectionState === 'new' || rtc.connectionState === 'connecting'
      if (!connecting && rtc.iceGatheringState !== 'gathering') return this.closeNow()
      timer = setTimeout(() => this.closeNow(), connecting ? SETTLE.connecting : SETTLE.gathering)
    }
    rtc.onconnectionstatechange = rtc.onicegatheringstatechange = look
    look()
  }

  /** Without that care, where the page ends. */
  closeNow(): void {
    this.#silence()
    this.#rtc.close()
    this.#onClosed()
  }

  #silence(): void {
    const { sctp } = this.#rtc
    if (sctp !== null) {
      sctp.onstatechange = null
      sctp.transport.onstatechange = null
    }
    this.#rtc.onicecandidate = null
    this.#rtc.onconnectionstatechange = null
    this.#rtc.oniceconnectionstatechange = null
    this.#rtc.onicegatheringstatechange = null
    this.#rtc.ondatachannel = null
  }

  /**
   * A remote that closes says so in DTLS, at once. `connectionState` does not show it: it stays 'connected' until ICE misses
   * the remote, which takes Chromium some 17 s (W3C WebRTC §4.3.3 counts a closed DTLS transport as connected).
   */
  #watchEnd(): void {
    const { sctp } = this.#rtc
    if (sctp === null) return
    const look = (): void => {
      if (sctp.transport.state === 'closed' || sctp.state === 'closed') this.#tell({ t: 'state', id: this.#id, state: 'closed' })
    }
    sctp.transport.onstatechange = look
    // Firefox closes it where a packet can't leave, and no restart of ICE brings it back.
    sctp.onstatechange = look
  }

  /** The description leaves for the remote before candidates are gathered, so that it arrives before them. */
  #describe(make: () => Promise<RTCSessionDescriptionInit>): void {
    this.#step(async () => {
      const description = await make()
      this.#tell({ t: 'description', id: this.#id, type: description.type === 'answer' ? 'answer' : 'offer', sdp: description.sdp ?? '' })
      await this.#rtc.setLocalDescription(description)
    })
  }

  #step(step: () => Promise<void>): void {
    this.#steps = this.#steps.then(step).catch((error: unknown) => {
      if (this.#rtc.signalingState !== 'closed') this.#tell({ t: 'refused', id: this.#id, error: deflateError(error) })
    })
  }

  /** WebRTC-direct: the remote has an address of its own, so nobody is asked for ours, unless all goes through a TURN server. */
  #offerDirectly(number: number, ufrag: string | undefined): void {
    const configuration = this.#rtc.getConfiguration()
    if (configuration.iceTransportPolicy !== 'relay') this.#rtc.setConfiguration({ ...configuration, iceServers: [] })
    this.#open(number, { negotiated: true, id: 0 })
    this.#step(async () => {
      const { sdp = '' } = await this.#rtc.createOffer()
      await this.#rtc.setLocalDescription({ type: 'offer', sdp: ufrag === undefined ? sdp : withCredentials(sdp, ufrag) })
      this.#tell({ t: 'description', id: this.#id, type: 'offer', sdp: this.#rtc.localDescription?.sdp ?? '' })
    })
  }

  #open(number: number, options: RTCDataChannelInit): void {
    try {
      this.#handOver(this.#rtc.createDataChannel('', options), number)
    } catch {
      // The connection has closed: a port that says so stands for the channel.
      const { port1, port2 } = new MessageChannel()
      port1.postMessage('closed' satisfies BridgeNews)
      this.#tell({ t: 'channel', id: this.#id, channel: number, label: '', via: port2 }, [port2])
    }
  }

  #handOver(channel: RTCDataChannel, number: number): void {
    const news = { t: 'channel', id: this.#id, channel: number, label: channel.label } as const
    if (!this.#bridge) {
      try {
        return this.#tell({ ...news, via: channel }, [channel as unknown as Transferable])
      } catch {
        // Not transferable here: bridge it.
      }
    }
    const { port1, port2 } = new MessageChannel()
    bridge(channel, port1)
    this.#tell({ ...news, via: port2 }, [port2])
  }
}

/** Passes messages between a data channel and a port, and tells the other end what left the send buffer. */
const bridge = (channel: RTCDataChannel, port: MessagePort): void => {
  let untold = 0
  const tell = (news: BridgeNews, transfer: Transferable[] = []): void => port.postMessage(news, transfer)
  const tellSent = (): void => {
    const sent = untold - channel.bufferedAmount
    if (sent <= 0) return
    untold -= sent
    tell(sent)
  }
  channel.binaryType = 'arraybuffer'
  channel.bufferedAmountLowThreshold = RTC_LOW_WATER
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data instanceof ArrayBuffer) tell(data, [data])
  }
  channel.onbufferedamountlow = tellSent
  channel.onclose = () => {
    tell('closed')
    port.close()
  }
  // A data channel is not open at once, and sending before that throws.
  const early: Uint8Array[] = []
  let closing = false
  const send = (bytes: Uint8Array): void => {
    try {
      channel.send(bytes as Uint8Array<ArrayBuffer>)
      untold += bytes.length
    } catch {
      channel.close()
    }
  }
  channel.onopen = () => {
    for (const bytes of early.splice(0)) send(bytes)
    if (closing) channel.close()
    tellSent()
  }
  port.onmessage = ({ data }: MessageEvent<BridgeCommand>) => {
    if (data === 'close') {
      closing = true
      if (channel.readyState !== 'connecting') channel.close()
      return
    }
    for (const bytes of data) {
      if (channel.readyState === 'open') send(bytes)
      else early.push(bytes)
    }
    if (channel.bufferedAmount <= channel.bufferedAmountLowThreshold) tellSent()
  }
}
