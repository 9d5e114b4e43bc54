import { afterEach, describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../engine/codec/bytes.ts'
import { RTC_MAX_INBOUND } from '../engine/limits.ts'
import type { Channel } from '../engine/wire/channel.ts'
import type { RtcPeer } from '../engine/wire/webrtc/peer.ts'
import { deflateError } from '../errors.ts'
import type { RtcCommand, RtcNews } from './messages.ts'
import { rtcOverPort } from './rtc-remote.ts'

const ports: MessagePort[] = []
afterEach(() => {
  for (const port of ports.splice(0)) port.close()
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

const channelOf = (): { near: MessagePort; far: MessagePort; got: unknown[] } => {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  const got: unknown[] = []
  port1.onmessage = ({ data }: MessageEvent<unknown>) => got.push(data)
  return { near: port1, far: port2, got }
}

/** The page's end of the port, played by hand. */
const make = () => {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  const commands: RtcCommand[] = []
  port1.onmessage = ({ data }: MessageEvent<RtcCommand>) => commands.push(data)
  const rtc = rtcOverPort(port2)
  const said: string[] = []
  const create = (): RtcPeer =>
    rtc.create({
      onDescription: (sdp) => said.push(`description ${sdp}`),
      onCandidate: (json) => said.push(`candidate ${json}`),
      onState: (state) => said.push(state),
      onReached: () => said.push('reached'),
      onRefused: (cause) => said.push(`refused ${(cause as Error).message}`),
    })
  const tell = (news: RtcNews, transfer: Transferable[] = []): void => port1.postMessage(news, transfer)
  return { commands, said, create, tell }
}

const listen = (channel: Channel): string[] => {
  const log: string[] = []
  channel.attach({
    onData: (bytes) => log.push(fromUtf8(bytes)),
    onEnd: () => log.push('end'),
    onClose: (fault) => log.push(fault?.code ?? 'close'),
  })
  return log
}

describe('a peer connection of the page', () => {
  it('ends the channels that wait for their close with it: of those nothing more is told', async () => {
    const { commands, create, tell } = make()
    const peer = create()
    const channel = peer.openChannel()
    const log = listen(channel)
    await until(() => commands.length === 2)
    const { far, got } = channelOf()
    tell({ t: 'channel', id: 1, channel: 1, label: '', via: far }, [far])
    channel.write(utf8('carried'))
    await until(() => got.length > 0)
    channel.end()
    expect(log).toEqual([])
    peer.close()
    expect(log).toEqual(['ERR_CONNECTION_CLOSED'])
  })

  it('is told what to do, and tells what it has to say', async () => {
    const { commands, said, create, tell } = make()
    const peer = create()
    peer.makeOffer()
    peer.setAnswer('A')
    peer.addCandidate('{}')
    create().makeAnswer('O')
    await until(() => commands.length === 6)
    expect(commands.map((each) => [each.t, each.id])).toEqual([
      ['create', 1],
      ['makeOffer', 1],
      ['setAnswer', 1],
      ['addCandidate', 1],
      ['create', 2],
      ['makeAnswer', 2],
    ])
    tell({ t: 'description', id: 1, type: 'offer', sdp: 'D' })
    tell({ t: 'candidate', id: 1, json: '{}' })
    tell({ t: 'state', id: 1, state: 'connected' })
    tell({ t: 'refused', id: 2, error: deflateError(new Error('why')) })
    tell({ t: 'state', id: 99, state: 'connected' })
    await until(() => said.length === 4)
    expect(said).toEqual(['description D', 'candidate {}', 'connected', 'refused why'])
  })

  it('makes an offer with a channel of its own, and hears when the remote is reached', async () => {
    const { commands, said, create, tell } = make()
    const peer = create()
    const zero = peer.makeDirectOffer('libp2p+webrtc+v1/abc')
    zero.write(utf8('early'))
    const other = peer.openChannel()
    create().makeDirectOffer()
    await until(() => commands.length === 5)
    expect(commands.slice(1, 3)).toEqual([
      { t: 'makeDirectOffer', id: 1, channel: 1, ufrag: 'libp2p+webrtc+v1/abc' },
      { t: 'openChannel', id: 1, channel: 2 },
    ])
    expect(commands[4]).toEqual({ t: 'makeDirectOffer', id: 2, channel: 1, ufrag: undefined })
    const [ofZero, ofOther] = [channelOf(), channelOf()]
    tell({ t: 'channel', id: 1, channel: 1, label: '', via: ofZero.far }, [ofZero.far])
    tell({ t: 'channel', id: 1, channel: 2, label: '', via: ofOther.far }, [ofOther.far])
    tell({ t: 'reached', id: 1 })
    tell({ t: 'reached', id: 99 })
    tell({ t: 'state', id: 1, state: 'connected' })
    await until(() => said.length === 2 && ofZero.got.length === 1)
    expect(said).toEqual(['reached', 'connected'])
    expect([ofZero.got, ofOther.got]).toEqual([[[utf8('early')]], []])
    peer.close()
    expect(listen(peer.makeDirectOffer())).toEqual(['ERR_CONNECTION_CLOSED'])
    other.end()
  })

  it('gives each channel that was asked for what carries it, and announces those of the remote', async () => {
    const { commands, create, tell } = make()
    const peer = create()
    const [one, two] = [peer.openChannel(), peer.openChannel()]
    one.write(utf8('for one'))
    two.write(utf8('for two'))
    await until(() => commands.length === 3)
    const [ofOne, ofTwo, theirs] = [channelOf(), channelOf(), channelOf()]
    tell({ t: 'channel', id: 1, channel: 2, label: '', via: ofTwo.far }, [ofTwo.far])
    tell({ t: 'channel', id: 1, channel: 1, label: '', via: ofOne.far }, [ofOne.far])
    tell({ t: 'channel', id: 1, channel: 0, label: 'init', via: theirs.far }, [theirs.far])
    tell({ t: 'state', id: 1, state: 'connected' })
    await until(() => ofOne.got.length > 0 && ofTwo.got.length > 0)
    expect([ofOne.got, ofTwo.got]).toEqual([[[utf8('for one')]], [[utf8('for two')]]])
    theirs.near.postMessage(utf8('early').slice().buffer)
    await new Promise((resolve) => setImmediate(resolve))
    const log: string[] = []
    peer.attach({ onChannel: (channel, label) => log.push(label, ...listen(channel)), onState: (state) => log.push(state) })
    expect(log[0]).toBe('init')
    expect(log.at(-1)).toBe('connected')
  })

  it('that is closed closes what was asked for, what waited, and what still comes', async () => {
    const { commands, create, tell } = make()
    const peer = create()
    const awaited = listen(peer.openChannel())
    const early = channelOf()
    tell({ t: 'channel', id: 1, channel: 0, label: '', via: early.far }, [early.far])
    const mark = channelOf()
    tell({ t: 'channel', id: 99, channel: 0, label: '', via: mark.far }, [mark.far])
    await until(() => mark.got.includes('close'))
    peer.close()
    peer.close()
    expect(awaited).toEqual(['ERR_CONNECTION_CLOSED'])
    expect(listen(peer.openChannel())).toEqual(['ERR_CONNECTION_CLOSED'])
    const late = channelOf()
    tell({ t: 'channel', id: 1, channel: 1, label: '', via: late.far }, [late.far])
    await until(() => early.got.includes('close') && late.got.includes('close'))
    expect(commands.filter(({ t }) => t === 'close').length).toBe(1)
    expect(commands.filter(({ t }) => t === 'openChannel').length).toBe(1)
  })

  it('whose remote opens channels without end before anybody looks: so many are kept', async () => {
    const { create, tell } = make()
    const peer = create()
    const channels = Array.from({ length: RTC_MAX_INBOUND + 20 }, channelOf)
    for (const { far } of channels) tell({ t: 'channel', id: 1, channel: 0, label: '', via: far }, [far])
    await until(() => channels.at(-1)?.got.includes('close') === true)
    let announced = 0
    peer.attach({ onChannel: () => (announced += 1), onState: () => {} })
    expect(announced).toBe(RTC_MAX_INBOUND + 1)
  })
})
