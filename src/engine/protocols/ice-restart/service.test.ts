import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import { encapsulate } from '../../codec/multiaddr.ts'
import { frame } from '../../codec/varint.ts'
import { MEND_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Stream } from '../../net/stream.ts'
import { echo } from '../../testing/echo.ts'
import { type FakePeerConnection, fakeNetwork } from '../../testing/fake-peer-connection.ts'
import { listen } from '../../testing/listen.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import { checkService } from '../ping/check.ts'
import { pingService } from '../ping/service.ts'
import { relayServer } from '../relay/hop.ts'
import { relayClient } from '../relay/service.ts'
import { webrtcService } from '../webrtc-signaling/service.ts'
import { encodeRestart, ICE_RESTART } from './messages.ts'
import { iceRestart } from './service.ts'

interface Scene {
  readonly world: World
  readonly network: ReturnType<typeof fakeNetwork>
  readonly a: WorldNode
  readonly b: WorldNode
  readonly c: WorldNode
  /** A's end of the direct connection. */
  readonly direct: Connection
  /** Circuits that are asked for never come about. */
  hang: boolean
  /** Breaks its path. */
  readonly rtc: [FakePeerConnection, FakePeerConnection]
}

/** Three tabs and a relay; A and B have a direct connection, and no other. `answers`: whether B knows of ICE restart. */
const scene = (seed: number, answers = true): Scene => {
  const world = new World(seed, 5)
  const network = fakeNetwork({ now: () => world.now, after: (ms, run) => world.after(ms, run) })
  const relay = world.node(() => ({ services: [identifyService(), relayServer().service] }))
  const made = { hang: false }
  const tab = (speaks: boolean): WorldNode => {
    const ping = pingService()
    const client = relayClient({ relays: [relay.address], webrtc: true })
    const check = checkService({ ping: ping.ping })
    const restart = iceRestart({
      check: check.check,
      checkAll: check.checkAll,
      circuit: (address, net, done) => (made.hang ? () => {} : client.dial(address, net, done)),
      routes: (peer) => client.routes?.(peer) ?? [],
    })
    const webrtc = webrtcService({ rtc: network.rtc(), ping: ping.ping, ...(speaks ? { muxer: restart.muxer } : {}) })
    const services = [identifyService(), ping, check, ...(speaks ? [restart] : []), webrtc, client, echo({ allowLimited: true })]
    return world.node(() => ({ services, transports: [client, webrtc] }))
  }
  const a = tab(true)
  const b = tab(answers)
  const c = tab(true)
  expect(world.run(2_000, () => [a, b, c].every(({ events }) => events.some(({ t }) => t === 'relay:reserved')))).toBe(true)
  a.node.dial({ addresses: [encapsulate(relay.address, `/p2p-circuit/webrtc/p2p/${b.node.self}`)] }, () => {})
  world.run(10_000, () => waysTo(a, b) === 'webrtc' && waysTo(b, a) === 'webrtc')
  world.run(2_000)
  expect([waysTo(a, b), waysTo(b, a)]).toEqual(['webrtc', 'webrtc'])
  const [near, far] = network.peers
  return Object.assign(made, {
    world,
    network,
    a,
    b,
    c,
    direct: openTo(a, b),
    rtc: [near as FakePeerConnection, far as FakePeerConnection] as Scene['rtc'],
  })
}

const waysTo = (from: WorldNode, to: WorldNode): string =>
  from.node
    .connections(to.node.self)
    .map(({ transport }) => transport)
    .join(' ')

const openTo = (from: WorldNode, to: WorldNode): Connection => from.node.connections(to.node.self)[0] as Connection

const asked = ({ rtc }: Scene): string[] => rtc.flatMap((each) => each.asked.filter((what) => what === 'restart'))

describe('a direct connection whose path breaks', () => {
  it('is restarted when ICE misses the remote: what was written arrives once, in order, and the circuit goes', () => {
    const it = scene(1)
    const { world, a, b, direct, rtc } = it
    const stream = direct.openStream(['/echo/1'])
    const heard = listen(stream)
    stream.write(utf8('before, '))
    world.run(200)
    rtc[0].breakPath()
    stream.write(utf8('during, '))
    world.run(300)
    for (const each of rtc) each.tell('disconnected')
    expect(world.run(3_000, () => heard.text === 'before, during, ')).toBe(true)
    stream.write(utf8('after'))
    stream.end()
    world.run(5_000)
    expect([heard.text, heard.over]).toEqual(['before, during, after', 'closed'])
    expect([waysTo(a, b), waysTo(b, a), direct.status, direct.proven]).toEqual(['webrtc', 'webrtc', 'open', true])
  })

  it('is restarted though ICE says nothing, when what is sent is not answered by anything', () => {
    const it = scene(2)
    const { world, direct, rtc } = it
    const stream = direct.openStream(['/echo/1'])
    const heard = listen(stream)
    rtc[0].breakPath()
    stream.write(utf8('is anybody there?'))
    expect(world.run(2_500, () => heard.text === 'is anybody there?')).toBe(true)
    expect(asked(it).length).toBeGreaterThan(0)
  })

  it('that carries data is left alone, and so is one on which nothing is said', () => {
    const it = scene(3)
    const { world, direct } = it
    const stream = direct.openStream(['/echo/1'])
    listen(stream)
    for (let i = 0; i < 50; i += 1) {
      stream.write(utf8('tick'))
      world.run(100)
    }
    world.run(60_000)
    expect(asked(it)).toEqual([])
  })

  it('outlives `failed` while the network is away, and nothing is tried before it is back', () => {
    const it = scene(4)
    const { world, network, a, direct, rtc } = it
    network.fate = 'silent'
    rtc[0].breakPath()
    a.node.offline()
    rtc[0].tell('failed')
    world.run(60_000)
    expect(rtc[0].asked.filter((what) => what === 'restart')).toEqual([])
    expect(direct.status).toBe('open')
    network.fate = 'connects'
    a.node.online()
    expect(world.run(1_000, () => direct.proven)).toBe(true)
  })

  it('is checked when the network changes, and restarted only if nothing comes back', () => {
    const it = scene(5)
    const { world, a, direct, rtc } = it
    a.node.online()
    world.run(5_000)
    expect(asked(it)).toEqual([])
    rtc[0].breakPath()
    a.node.online()
    expect(world.run(3_000, () => asked(it).length > 0)).toBe(true)
    world.run(3_000)
    expect([direct.status, direct.proven]).toEqual(['open', true])
  })

  it('does not wait for a circuit over a dead connection to the relay, once there is another', () => {
    const it = scene(20)
    const { world, a, c, direct, rtc } = it
    const stream = direct.openStream(['/echo/1'])
    const heard = listen(stream)
    world.run(200)
    it.hang = true
    rtc[0].breakPath()
    stream.write(utf8('during'))
    world.run(2_000)
    expect(asked(it)).toEqual([])
    it.hang = false
    a.node.dial({ addresses: [c.address] }, () => {})
    expect(world.run(1_000, () => heard.text === 'during')).toBe(true)
  })

  it('settles to one restart when both sides begin at once', () => {
    const it = scene(6)
    const { world, direct, rtc } = it
    const stream = direct.openStream(['/echo/1'])
    const heard = listen(stream)
    rtc[0].breakPath()
    stream.write(utf8('hello'))
    for (const each of rtc) each.tell('failed')
    expect(world.run(5_000, () => heard.text === 'hello')).toBe(true)
    world.run(20_000)
    expect(asked(it).length).toBeLessThanOrEqual(3)
    expect(direct.status).toBe('open')
  })

  it('is given up after MEND_TIMEOUT, with a code, and dialled anew', () => {
    const { world, network, a, b, direct, rtc } = scene(7)
    network.fate = 'silent'
    rtc[0].breakPath()
    for (const each of rtc) each.tell('failed')
    expect(world.run(MEND_TIMEOUT + 7_000, () => direct.status === 'closed')).toBe(true)
    const closed = a.events.find((event) => event.t === 'connection:close' && event.connection === direct)
    expect(closed).toMatchObject({ fault: { code: 'ERR_CONNECTION_CLOSED' } })
    network.fate = 'connects'
    expect(world.run(60_000, () => waysTo(a, b).includes('webrtc'))).toBe(true)
  })

  it('is given up at once when the remote knows nothing of it any more', () => {
    const { world, b, direct, rtc } = scene(8)
    rtc[0].breakPath()
    // What it says on its way out does not arrive.
    for (const each of b.node.connections(direct.remotePeer)) each.abort(Object.assign(new Error('gone'), { code: 'ERR_STOPPED' }) as never)
    for (const each of b.node.connections()) if (each.transport === 'webrtc') each.close()
    rtc[0].tell('failed')
    expect(world.run(3_000, () => direct.status === 'closed')).toBe(true)
  })

  it('closes at once where the remote can not restart it', () => {
    const { world, direct, rtc } = scene(9, false)
    rtc[0].tell('failed')
    world.run(10)
    expect(direct.status).toBe('closed')
  })
})

describe('a stranger', () => {
  const tells = (it: Scene, bytes: Uint8Array): { answer: string; over: string | undefined } => {
    const { world, b, c } = it
    const circuit = b.node.addresses.find(({ text }) => text.endsWith('/p2p-circuit'))
    if (circuit === undefined) throw new Error('B has no address')
    let stream: Stream | undefined
    c.node.dial({ addresses: [encapsulate(circuit, `/p2p/${b.node.self}`)] }, (outcome) => {
      if (outcome.ok) stream = outcome.value.openStream([ICE_RESTART])
    })
    world.run(5_000, () => stream !== undefined)
    if (stream === undefined) throw new Error('no stream')
    let said = new Uint8Array()
    let over: string | undefined
    stream.attach({
      onData: (more) => {
        said = concat([said, more]) as Uint8Array<ArrayBuffer>
      },
      onEnd: () => {},
      onClose: (fault) => {
        over = fault?.code ?? 'closed'
      },
    })
    stream.write(bytes)
    world.run(20_000, () => over !== undefined || said.length > 0)
    return { answer: Buffer.from(said).toString('hex'), over }
  }
  const unknown = Buffer.from(encodeRestart({ t: 'unknown' })).toString('hex')

  it('can not restart a session by guessing, nor one that is between others', () => {
    const it = scene(20)
    expect(tells(it, encodeRestart({ t: 'offer', session: new Uint8Array(32), sdp: 'offer 0' })).answer).toBe(unknown)
    expect(it.rtc[1].asked.filter((what) => what === 'makeAnswer').length).toBe(1)
  })

  it('that begins with something else is reset', () => {
    expect(tells(scene(21), encodeRestart({ t: 'answer', sdp: 'answer' })).over).toBe('ERR_STREAM_RESET')
  })

  it('that sends noise is reset', () => {
    expect(tells(scene(22), frame(new Uint8Array([255, 255, 255]))).over).toBe('ERR_STREAM_RESET')
  })

  it('that says nothing is reset after a while', () => {
    expect(tells(scene(23), new Uint8Array()).over).toBe('ERR_STREAM_RESET')
  })
})
