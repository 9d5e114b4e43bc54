import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { DCUTR_MAX_REDIALS, DCUTR_REDIAL } from '../engine/limits.ts'
import type { Connection } from '../engine/net/connection.ts'
import type { Link, Net } from '../engine/net/service.ts'
import { TabmeshError } from '../errors.ts'
import { nodePuncher } from './hole.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'
import { localPort } from './local-port.ts'
import { listenTcp, type TcpListener, tcpTransport } from './tcp.ts'

/** Elsewhere one port serves one socket, and dials go out of any other. */
const linux = process.platform === 'linux'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const net = { host: nodeHost(newIdentity()) } as unknown as Net
const over = new TabmeshError('ERR_CONNECTION_CLOSED', 'the test is over')
const drop = (link: Link): void => {
  if (link.t === 'pipe') link.channel.abort(over)
}

/** A listener, and the ports that it was dialled from. */
const listening = async (): Promise<{ listener: TcpListener; from: number[] }> => {
  const from: number[] = []
  const accept = (link: Link): void => {
    from.push(Number(link.remoteAddr.parts[1]?.value))
    closers.push(() => drop(link))
  }
  const listener = await listenTcp(parseMultiaddr('/ip4/127.0.0.1/tcp/0'), { accept })
  closers.push(() => listener.close())
  return { listener, from }
}

const until = async (what: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !what(); i++) await pause(10)
  expect(what()).toBe(true)
}

describe('one local port', () => {
  it('serves dials to many remotes; where it can not, a dial goes out of another', async () => {
    const port = localPort()
    const transport = tcpTransport({ port })
    const targets = [await listening(), await listening()]
    const again = targets[0] as (typeof targets)[0]
    for (const { listener } of [...targets, again]) {
      const link = await new Promise<Link>((done, fail) =>
        transport.dial(listener.address, net, (outcome) => (outcome.ok ? done(outcome.value) : fail(outcome.fault))),
      )
      closers.push(() => drop(link))
    }
    await until(() => targets.flatMap(({ from }) => from).length === 3)
    const [first, second] = targets.map(({ from }) => from)
    expect(first?.[0]).toBe(port.number)
    expect(first?.[1]).not.toBe(port.number)
    if (linux) expect(second).toEqual([port.number])
    expect(targets.map(({ listener }) => port.carries(listener.address))).toEqual([true, linux])
  })

  it('says so only while the connection is there', async () => {
    const port = localPort()
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    closers.push(() => server.close())
    const address = parseMultiaddr(`/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`)
    const done = port.taken(address)
    expect(port.carries(parseMultiaddr(`${address.text}/p2p/12D3KooWGzh9HPDLmJyKVEMSbbnrcXj4EuBqPLWqGMxQ4bZpLtEB`))).toBe(true)
    done()
    expect(port.carries(address)).toBe(false)
  })
})

describe('a hole', () => {
  const side = () => {
    const port = localPort()
    const links: Link[] = []
    closers.push(() => links.forEach(drop))
    const at = parseMultiaddr(`/ip4/127.0.0.1/tcp/${port.number}`)
    return { puncher: nodePuncher({ port, quic: undefined }), links, at, onLink: (link: Link) => void links.push(link) }
  }

  it('lets in who knocks while it is open, before we knock ourselves, and nobody afterwards', async () => {
    const [a, b] = [side(), side()]
    const ours = a.puncher.open(net, [b.at], a.onLink)
    const theirs = b.puncher.open(net, [a.at], b.onLink)
    theirs.punch()
    await until(() => a.links.length > 0 && b.links.length > 0)
    if (linux) expect(a.links[0]?.remoteAddr.text).toBe(b.at.text)
    ours.punch()
    await pause(50)
    ours.close()
    theirs.close()
    const late = connect(Number(a.at.parts[1]?.value), '127.0.0.1')
    await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('both knock at once', async () => {
    for (let i = 0; i < 10; i++) {
      const [a, b] = [side(), side()]
      const holes = [a.puncher.open(net, [b.at], a.onLink), b.puncher.open(net, [a.at], b.onLink)]
      for (const hole of holes) hole.punch()
      await until(() => a.links.length > 0 && b.links.length > 0)
      for (const hole of holes) hole.close()
    }
  })

  it('is found by who comes later than we knocked', async () => {
    const [a, b] = [side(), side()]
    const ours = a.puncher.open(net, [b.at], a.onLink)
    ours.punch()
    await pause(DCUTR_REDIAL / 2)
    const theirs = b.puncher.open(net, [a.at], b.onLink)
    await until(() => a.links.length > 0 && b.links.length > 0)
    ours.close()
    theirs.close()
  })

  it('is no place for strangers', async () => {
    const a = side()
    const hole = a.puncher.open(net, [parseMultiaddr('/ip4/127.0.0.9/tcp/9')], a.onLink)
    closers.push(() => hole.close())
    const stranger = connect(Number(a.at.parts[1]?.value), '127.0.0.1')
    await once(stranger, 'close')
    expect(a.links).toEqual([])
  })

  it('where nobody is, a few knocks are all', async () => {
    const a = side()
    const [nobody] = [side()]
    const hole = a.puncher.open(net, [nobody.at], a.onLink)
    hole.punch()
    await pause((DCUTR_MAX_REDIALS + 1) * 1.5 * DCUTR_REDIAL)
    // It has come to rest, and would still let somebody in.
    const late = nobody.puncher.open(net, [a.at], nobody.onLink)
    late.punch()
    await until(() => a.links.length > 0)
    hole.close()
    late.close()
  })

  it('is told of by what a remote saw of the port, and of no other', () => {
    const port = localPort()
    const puncher = nodePuncher({ port, quic: undefined })
    const seen = (transport: string, remote: string, direction = 'outbound') =>
      puncher.outside({
        direction,
        direct: true,
        transport,
        identified: { observed: parseMultiaddr('/ip4/203.0.113.1/tcp/4001/ws') },
        remoteAddr: parseMultiaddr(remote),
      } as unknown as Connection)?.text
    const done = port.taken(parseMultiaddr('/ip4/203.0.113.9/tcp/1/ws'))
    expect(seen('websocket', '/ip4/203.0.113.9/tcp/1/ws')).toBe('/ip4/203.0.113.1/tcp/4001')
    expect(seen('websocket', '/ip4/203.0.113.9/tcp/2/ws')).toBeUndefined()
    expect(seen('websocket', '/ip4/203.0.113.9/tcp/1/ws', 'inbound')).toBeUndefined()
    expect(seen('quic', '/ip4/203.0.113.9/udp/1/quic-v1')).toBeUndefined()
    done()
    expect(seen('websocket', '/ip4/203.0.113.9/tcp/1/ws')).toBeUndefined()
  })
})
