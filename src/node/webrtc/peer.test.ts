import { describe, expect, it, vi } from 'vitest'
import { RTC_HOLD_CANDIDATES, RTC_MAX_BURST, RTC_MAX_INBOUND, RTC_MAX_NAMES } from '../../engine/limits.ts'
import { directAnswer } from '../../engine/protocols/webrtc-direct/sdp.ts'
import type { Channel } from '../../engine/wire/channel.ts'
import { type Binding, type NativeChannel, type NativeConnection, outside, QUEUE_TURN } from './binding.ts'
import { NativePeer } from './peer.ts'

/** node-datachannel by hand: what it is told is written down, and a test calls back. */
class FakeChannel implements NativeChannel {
  readonly label: string
  readonly sent: Uint8Array[] = []
  readonly set: string[] = []
  closes = 0
  opened = (): void => {}
  closed = (): void => {}
  message = (_: Buffer): void => {}
  constructor(label: string) {
    this.label = label
  }
  close(): void {
    this.closes += 1
    setImmediate(() => this.closed())
  }
  getLabel = (): string => this.label
  /** What the library would have chosen. */
  getId = (): number => 3
  sendMessageBinary(bytes: Uint8Array): boolean {
    this.sent.push(bytes)
    return true
  }
  isOpen = (): boolean => true
  bufferedAmount = (): number => 0
  setBufferedAmountLowThreshold(): void {}
  onOpen(heard: () => void): void {
    this.set.push('open')
    this.opened = heard
  }
  onClosed(heard: () => void): void {
    this.set.push('closed')
    this.closed = heard
  }
  onBufferedAmountLow(): void {}
  onMessage(heard: (message: Buffer) => void): void {
    this.set.push('message')
    this.message = heard as never
  }
}

class FakeConnection implements NativeConnection {
  readonly channels: FakeChannel[] = []
  readonly candidates: string[] = []
  readonly set: string[] = []
  remote = ''
  closes = 0
  state = (_: string): void => {}
  channel = (_: NativeChannel): void => {}
  candidate = (_: string, __: string): void => {}
  close(): void {
    this.closes += 1
  }
  setLocalDescription(): void {}
  setRemoteDescription(sdp: string): void {
    this.remote = sdp
  }
  localDescription = () => ({ type: 'offer', sdp: 'our description' })
  remoteFingerprint = () => ({ value: `${'AB:'.repeat(31)}AB`, algorithm: 'sha-256' })
  addRemoteCandidate(candidate: string, mid: string): void {
    this.candidates.push(`${candidate} ${mid}`)
  }
  createDataChannel(label: string, options?: { negotiated?: true; id: number }): NativeChannel {
    const channel = new FakeChannel(options === undefined ? label : `#${options.id}`)
    this.channels.push(channel)
    return channel
  }
  maxDataChannelId = (): number => 1_023
  onLocalCandidate(heard: (candidate: string, mid: string) => void): void {
    this.candidate = heard
  }
  onStateChange(heard: (state: string) => void): void {
    this.set.push('state')
    this.state = heard
  }
  onIceStateChange(): void {}
  onDataChannel(heard: (channel: NativeChannel) => void): void {
    this.set.push('channel')
    this.channel = heard
  }
}

const scene = () => {
  const native = new FakeConnection()
  const heard: string[] = []
  const configurations: unknown[] = []
  const binding: Binding = {
    // biome-ignore lint/complexity/useArrowFunction: an arrow can't be called with new.
    PeerConnection: function (_name: string, configuration: unknown) {
      configurations.push(configuration)
      return native
    } as never,
  }
  const peer = new NativePeer(
    binding,
    { iceServers: [{ hostname: 'stun.example', port: 3478 }], iceTransportPolicy: 'all' },
    {
      onDescription: (sdp) => heard.push(`description ${sdp}`),
      onCandidate: (json) => heard.push(json),
      onState: (state) => heard.push(state),
      onRefused: (cause) => heard.push(`refused: ${(cause as Error).message}`),
    },
    { onClosed: () => heard.push('native closed'), onFlood: () => heard.push('flood') },
  )
  return { peer, native, heard, configurations }
}

const turn = (): Promise<void> => new Promise((next) => setImmediate(next))
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await turn()
}

/** A description that passes for an offer or an answer. */
const sdp = directAnswer({ host: '192.0.2.1', family: 4, port: 9, fingerprint: new Uint8Array(32) }, 'u'.repeat(24))

/** Its candidates come on their own. */
const answer = sdp.replaceAll(/a=candidate:.*\r?\n/g, '')

describe('a peer connection of node-datachannel', () => {
  it('tells an offer without candidates, and those once its answer and a candidate are there; nothing of it inside of a call', async () => {
    const { peer, native, heard, configurations } = scene()
    native.localDescription = () => ({ type: 'offer', sdp: 'v=0\r\na=candidate:1 1 UDP 1 192.0.2.2 4000 typ host\r\na=mid:0\r\n' })
    peer.makeOffer()
    expect(heard).toEqual([])
    await turn()
    // One that the description has is told with the others, once.
    native.candidate('a=candidate:1 1 UDP 1 192.0.2.2 4000 typ host', '0')
    native.candidate('a=candidate:2 1 UDP 2 192.0.2.2 4001 typ srflx', '0')
    await turn()
    expect(heard).toEqual(['description v=0\r\na=mid:0\r\n'])
    peer.setAnswer(answer)
    await turn()
    expect(heard).toHaveLength(1)
    peer.addCandidate('{"candidate":"candidate:1 1 UDP 1 192.0.2.3 4000 typ host","sdpMid":"0"}')
    expect(heard).toHaveLength(1)
    await turn()
    expect(heard.slice(1)).toEqual([
      '{"candidate":"candidate:1 1 UDP 1 192.0.2.2 4000 typ host","sdpMid":"0","sdpMLineIndex":0}',
      '{"candidate":"candidate:2 1 UDP 2 192.0.2.2 4001 typ srflx","sdpMid":"0","sdpMLineIndex":0}',
    ])
    expect(configurations).toMatchObject([{ iceServers: [{ hostname: 'stun.example', port: 3478 }] }])
  })

  it('does not wait long for the answer, and an answerer not at all', async () => {
    vi.useFakeTimers()
    try {
      const { peer, native, heard } = scene()
      peer.makeOffer()
      native.candidate('a=candidate:1 1 UDP 2114977791 192.0.2.2 4000 typ host', '0')
      await vi.advanceTimersByTimeAsync(RTC_HOLD_CANDIDATES - 1)
      expect(heard).toEqual(['description our description'])
      await vi.advanceTimersByTimeAsync(1)
      expect(heard).toHaveLength(2)
    } finally {
      vi.useRealTimers()
    }
    const { peer, native, heard } = scene()
    peer.makeAnswer(sdp)
    await turn()
    native.candidate('a=candidate:1 1 UDP 2114977791 192.0.2.2 4000 typ host', '0')
    expect(heard).toHaveLength(2)
  })

  it('hears of channels before states, and of messages before the close', () => {
    const { peer, native } = scene()
    peer.makeOffer()
    expect(native.set).toEqual(['channel', 'state'])
    expect(native.channels[0]?.set).toEqual(['open', 'message', 'closed'])
  })

  it('asks no ICE server for a direct dial', () => {
    const { peer, configurations } = scene()
    peer.makeDirectOffer()
    expect(configurations).toMatchObject([{ iceServers: [] }])
  })

  it('is connected when a channel of before is open', async () => {
    const { peer, native, heard } = scene()
    peer.makeOffer()
    await turn()
    native.state('connected')
    expect(heard.at(-1)).not.toBe('connected')
    native.channels.find(({ label }) => label === '#1023')?.opened()
    expect(heard.at(-1)).toBe('connected')
    peer.openChannel().write(Uint8Array.of(1))
    expect(native.channels.at(-1)?.sent).toEqual([Uint8Array.of(1)])
  })

  it('opens each channel under an id of its own: none is used again while its last channel may still be closing', async () => {
    const { peer, native } = scene()
    peer.makeDirectOffer()
    native.state('connected')
    native.channels[0]?.opened()
    for (let i = 0; i < 3; i++) peer.openChannel().end()
    await turns(3)
    expect(native.channels.slice(1).map(({ closes }) => closes)).toEqual([1, 1, 1])
    peer.openChannel()
    expect(native.channels.slice(1).map(({ label }) => label)).toEqual(['', '#5', '#7', '#9'])
  })

  it('uses ids again behind the last, and says where none is left', async () => {
    const { peer, native } = scene()
    peer.makeDirectOffer()
    native.state('connected')
    native.channels[0]?.opened()
    // 3 to 1021.
    for (let i = 0; i < 510; i++) peer.openChannel()
    expect(native.channels.at(-1)?.label).toBe('#1021')
    const refused: unknown[] = []
    peer.openChannel().attach({ onData() {}, onEnd() {}, onClose: (fault) => refused.push(fault?.code) })
    expect(refused).toEqual(['ERR_STREAM_LIMIT'])
    native.channels.find(({ label }) => label === '#77')?.closed()
    peer.openChannel()
    expect(native.channels.at(-1)?.label).toBe('#77')
  })

  it('queues what is written on channel 0 until it is open', () => {
    const { peer, native } = scene()
    const channel = peer.makeDirectOffer()
    const full = channel.credit
    channel.write(new Uint8Array(10))
    expect(channel.credit).toBe(full - 10)
    expect(native.channels[0]?.sent).toEqual([])
    native.channels[0]?.opened()
    expect(native.channels[0]?.sent).toHaveLength(1)
  })

  it('closes once, with every channel, when it is told to', async () => {
    const { peer, native, heard } = scene()
    const closed: (string | undefined)[] = []
    const channel = peer.makeDirectOffer()
    channel.attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => closed.push(fault?.code) })
    await turn()
    peer.close()
    peer.close()
    native.state('closed')
    await turns(4)
    expect([native.closes, native.channels[0]?.closes]).toEqual([1, 1])
    expect(closed).toEqual(['ERR_CONNECTION_CLOSED'])
    expect(heard).toEqual(['description our description', 'native closed'])
  })

  it('closes once when it is over by itself, and says so once', async () => {
    const { peer, native, heard } = scene()
    peer.makeDirectOffer()
    native.state('failed')
    native.state('closed')
    await turns(4)
    expect(native.closes).toBe(1)
    expect(heard.filter((each) => each !== 'description our description')).toEqual(['failed', 'native closed'])
    expect(peer.openChannel().credit).toBe(0)
  })

  it('keeps channels that come early, and no more than it must', async () => {
    const { peer, native } = scene()
    peer.makeDirectOffer()
    const early = Array.from({ length: RTC_MAX_INBOUND + 3 }, () => new FakeChannel(''))
    for (const each of early) native.channel(each)
    early[0]?.message(Buffer.from('early'))
    const came: Channel[] = []
    peer.attach({ onChannel: (channel) => came.push(channel), onState: () => {} })
    await turns(4)
    expect(came).toHaveLength(RTC_MAX_INBOUND + 1)
    expect(early.filter(({ closes }) => closes > 0)).toHaveLength(2)
    const read: string[] = []
    came[0]?.attach({ onData: (bytes) => read.push(Buffer.from(bytes).toString()), onEnd: () => {}, onClose: () => {} })
    expect(read).toEqual(['early'])
  })

  it('has failed when messages come faster than they are taken', async () => {
    const { peer, native, heard } = scene()
    peer.makeDirectOffer()
    const message = Buffer.of(1)
    let sent = 0
    while (!heard.includes('failed') && sent < 2 * RTC_MAX_BURST) {
      for (let i = 0; i < QUEUE_TURN; i++) native.channels[0]?.message(message)
      sent += QUEUE_TURN
      await turn()
    }
    expect(sent).toBeGreaterThanOrEqual(RTC_MAX_BURST)
    expect(sent).toBeLessThan(RTC_MAX_BURST + 2 * QUEUE_TURN)
    expect(heard.slice(-2)).toEqual(['flood', 'failed'])
    await turns(4)
    expect(native.closes).toBe(1)
  })

  it('takes as many in turns that have an end', async () => {
    const { peer, native, heard } = scene()
    peer.makeDirectOffer()
    for (let sent = 0; sent < 2 * RTC_MAX_BURST; sent += QUEUE_TURN - 1) {
      for (let i = 0; i < QUEUE_TURN - 1; i++) native.channels[0]?.message(Buffer.of(1))
      await turn()
    }
    expect(heard).not.toContain('failed')
  })

  it('looks up a few names of candidates and no more, those of the description included', () => {
    const { peer, native } = scene()
    const line = (host: string): string => `a=candidate:1 1 udp 1 ${host} 9 typ host`
    const names = Array.from({ length: RTC_MAX_NAMES }, (_, i) => `${i}.local`)
    peer.makeAnswer(`${sdp}${['192.0.2.9', ...names, 'evil.example'].map(line).join('\r\n')}\r\n`)
    expect(native.remote).toContain(' 192.0.2.9 ')
    expect(native.remote).toContain(` ${names.at(-1)} `)
    expect(native.remote).not.toContain('evil.example')
    for (const candidate of ['candidate:1 1 udp 1 another.local 9 typ host', 'candidate:1 1 udp 1 2001:db8::1 9 typ host'])
      peer.addCandidate(JSON.stringify({ candidate, sdpMid: '0' }))
    for (const json of ['', 'null', '[]', '{"candidate":5}', '{"candidate":""}']) peer.addCandidate(json)
    expect(native.candidates).toEqual(['candidate:1 1 udp 1 2001:db8::1 9 typ host 0'])
  })

  it.each([
    ['a camera', sdp.replace('m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'm=video 9 UDP/TLS/RTP/SAVPF 96')],
    ['no password', sdp.replace(/a=ice-pwd:.*\r\n/, '')],
    ['a password that is none', sdp.replace(/a=ice-pwd:.*\r\n/, `a=ice-pwd:${'%'.repeat(5_000)}\r\n`)],
    ['nothing', ''],
  ])('refuses an offer with %s before the library sees it', async (_what, offer) => {
    const { peer, native, heard } = scene()
    peer.makeAnswer(offer)
    await turn()
    expect(native.remote).toBe('')
    expect(heard).toHaveLength(1)
    expect(heard[0]).toMatch(/^refused/)
  })
})

it('what a callback throws does not reach the library', async () => {
  const thrown = new Promise((caught) => process.once('uncaughtException', caught))
  const listeners = process.listeners('uncaughtException').slice(0, -1)
  for (const each of listeners) process.off('uncaughtException', each)
  outside(() => {
    throw new Error('of the engine')
  })()
  expect(await thrown).toMatchObject({ message: 'of the engine' })
  for (const each of listeners) process.on('uncaughtException', each)
})
