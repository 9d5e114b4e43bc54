import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { TCP_RECEIVE_WINDOW, TCP_SEND_BUFFER } from '../engine/limits.ts'
import type { Link, Net } from '../engine/net/service.ts'
import { prng } from '../engine/testing/prng.ts'
import type { Channel } from '../engine/wire/channel.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { TabmeshError } from '../errors.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'
import { listenTcp, type TcpListener, type TcpListenOptions, tcpTransport } from './tcp.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const net = { host: nodeHost(newIdentity()) } as unknown as Net
const dial = (address: string): Promise<Outcome<Link>> =>
  new Promise((done) => {
    let returned = false
    tcpTransport().dial(parseMultiaddr(address), net, (outcome) => {
      expect(returned).toBe(true)
      done(outcome)
    })
    returned = true
  })

const listening = async (options: Partial<TcpListenOptions> = {}, address = '/ip4/127.0.0.1/tcp/0'): Promise<TcpListener> => {
  const listener = await listenTcp(parseMultiaddr(address), { accept: () => {}, ...options })
  open.push(listener)
  return listener
}

const portOf = (listener: TcpListener) => Number(listener.address.parts[1]?.value)

const channelOf = (link: Link): Channel => {
  if (link.t !== 'pipe') throw new Error('TCP is a pipe')
  return link.channel
}

/** Two ends of one connection. */
const pair = async (): Promise<[Channel, Channel, TcpListener]> => {
  let come: (link: Link) => void = () => {}
  const accepted = new Promise<Link>((done) => {
    come = done
  })
  const listener = await listening({ accept: come })
  const dialled = await dial(listener.address.text)
  if (!dialled.ok) throw dialled.fault
  return [channelOf(dialled.value), channelOf(await accepted), listener]
}

/** One end as ours, the other as a bare socket. */
const bare = async (): Promise<[Channel, Socket]> => {
  const server = createServer({ allowHalfOpen: true })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const dialled = await dial(`/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`)
  if (!dialled.ok) throw dialled.fault
  const [socket] = await accepted
  socket.on('error', () => {})
  open.push(server, { close: () => socket.destroy() })
  return [channelOf(dialled.value), socket]
}

const reader = (channel: Channel, releasing = true) => {
  const state = { releasing, chunks: [] as Uint8Array[], size: 0, log: [] as string[], fault: undefined as TabmeshError | undefined }
  channel.attach({
    onData(bytes) {
      state.chunks.push(bytes)
      state.size += bytes.length
      if (state.releasing) channel.release(bytes.length)
    },
    onDrain: () => state.log.push('drain'),
    onEnd: () => state.log.push('end'),
    onClose(fault) {
      state.log.push('close')
      state.fault = fault
    },
  })
  return state
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

describe('which addresses are TCP', () => {
  const matches = (address: string) => tcpTransport().matches(parseMultiaddr(address))
  it.each([
    '/ip4/192.0.2.1/tcp/1',
    '/ip6/2001:db8::1/tcp/1',
    '/dns/a.example/tcp/1',
    '/dns4/a/tcp/1',
    '/dns6/a/tcp/65535/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5',
  ])('%s', (address) => expect(matches(address)).toBe(true))
  it.each([
    '/ip4/192.0.2.1/tcp/0',
    '/ip4/192.0.2.1/tcp/1/ws',
    '/ip4/192.0.2.1/tcp/1/tls',
    '/ip4/192.0.2.1/udp/1',
    '/ip4/192.0.2.1/tcp/1/p2p-circuit',
    '/dnsaddr/a/tcp/1',
    '/tcp/1',
  ])('not %s', (address) => expect(matches(address)).toBe(false))
})

describe('a channel', () => {
  it('carries bytes both ways in order, and each side ends when it likes', async () => {
    const [near, far, listener] = await pair()
    const [here, there] = [reader(near), reader(far)]
    const sent = prng(1).bytes(3_000_000)
    for (let at = 0; at < sent.length; at += 100_000) near.write(sent.slice(at, at + 100_000))
    near.end()
    await until(() => there.log.includes('end'))
    expect(Buffer.compare(Buffer.concat(there.chunks), sent)).toBe(0)
    expect(here.log).not.toContain('end')
    far.write(Uint8Array.of(1, 2, 3))
    far.end()
    await until(() => here.log.includes('close') && there.log.includes('close'))
    expect(Buffer.concat(here.chunks)).toEqual(Buffer.of(1, 2, 3))
    expect([here.fault, there.fault]).toEqual([undefined, undefined])
    expect(here.log.filter((each) => each !== 'drain')).toEqual(['end', 'close'])
    await until(() => listener.sockets === 0)
  })

  it('keeps what arrives before anybody reads', async () => {
    const [near, far] = await pair()
    near.write(Uint8Array.of(1))
    near.end()
    far.end()
    const here = reader(near)
    await until(() => here.log.includes('close'))
    const there = reader(far)
    await until(() => there.log.includes('close'))
    expect([there.size, there.log, there.fault]).toEqual([1, ['end', 'close'], undefined])
  })

  it('slows a writer down to its reader, and wakes it when half has gone', async () => {
    const [near, far] = await pair()
    const [here, there] = [reader(near), reader(far, false)]
    let sent = 0
    for (let stood = 0; stood < 200; stood += 1) {
      while (near.credit > 0) {
        near.write(new Uint8Array(65_536))
        sent += 65_536
        stood = 0
      }
      await turn()
    }
    // What the system holds on both sides is its own affair: some 4 MiB on Linux.
    expect(there.size).toBeLessThanOrEqual(TCP_RECEIVE_WINDOW + 2 * 65_536)
    expect(sent).toBeLessThan(TCP_SEND_BUFFER + 16 * 1024 * 1024)
    // It may have been woken while the system's buffers grew.
    here.log.length = 0
    there.releasing = true
    far.release(there.size)
    await until(() => here.log.includes('drain'))
    expect(near.credit).toBeGreaterThanOrEqual(TCP_SEND_BUFFER / 2)
    await until(() => there.size === sent)
  })

  it('tells of an abort once, here and there', async () => {
    const [near, far] = await pair()
    const [here, there] = [reader(near), reader(far)]
    near.abort(new TabmeshError('ERR_TIMEOUT', 'enough'))
    near.abort(new TabmeshError('ERR_PROTOCOL', 'again'))
    near.write(Uint8Array.of(1))
    near.end()
    expect([here.log, here.fault?.code, near.credit]).toEqual([['close'], 'ERR_TIMEOUT', 0])
    await until(() => there.log.includes('end'))
  })

  it('drops at once what it can no longer deliver', async () => {
    const [near, socket] = await bare()
    const here = reader(near)
    let sent = 0
    while (near.credit > 0) {
      near.write(new Uint8Array(1_000_000))
      sent += 1_000_000
      await turn()
    }
    near.abort(new TabmeshError('ERR_TIMEOUT', 'enough'))
    expect(here.log).toEqual(['close'])
    // A socket of Node that was not being read takes a reset for the end.
    const over = new Promise((done) => socket.once('end', done).once('close', done))
    let received = 0
    socket.on('data', (data) => {
      received += data.length
    })
    await over
    expect(received).toBeLessThan(sent)
  })

  it('says why it broke', async () => {
    const [near, socket] = await bare()
    const here = reader(near)
    socket.resetAndDestroy()
    await until(() => here.log.includes('close'))
    expect(here.log).toEqual(['close'])
    expect(here.fault).toMatchObject({ code: 'ERR_CONNECTION_CLOSED', message: expect.stringContaining('ECONNRESET') })
  })

  it('takes many chunks in one write', async () => {
    const [near, socket] = await bare()
    const writer = near as Channel & { writev(chunks: readonly Uint8Array[]): void }
    writer.writev([Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)])
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(data).toEqual(Buffer.of(1, 2, 3))
  })
})

describe('a dial', () => {
  it('reaches a name in the family that it asks for', async () => {
    const listener = await listening()
    const dialled = await dial(`/dns4/localhost/tcp/${portOf(listener)}`)
    expect(dialled).toMatchObject({
      ok: true,
      value: { transport: 'tcp', remoteAddr: { text: `/dns4/localhost/tcp/${portOf(listener)}` } },
    })
    if (dialled.ok) channelOf(dialled.value).end()
  })

  it.each([
    ['/ip4/127.0.0.1/tcp/1', 'ECONNREFUSED'],
    ['/dns4/nowhere.invalid/tcp/1', /ENOTFOUND|EAI_AGAIN/],
    ['/dns6/127.0.0.1/tcp/1', /E[A-Z_]+/],
  ])('to %s says what the system said', async (address, why) => {
    const fault = { code: 'ERR_UNREACHABLE', message: expect.stringMatching(why) }
    expect(await dial(address)).toMatchObject({ ok: false, fault })
  })

  it('that is given up says nothing, and leaves no socket', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    open.push(server)
    const { port } = server.address() as AddressInfo
    const outcomes: unknown[] = []
    const cancel = tcpTransport().dial(parseMultiaddr(`/ip4/127.0.0.1/tcp/${port}`), net, (outcome) => outcomes.push(outcome))
    cancel()
    cancel()
    const next = await dial(`/ip4/127.0.0.1/tcp/${port}`)
    if (next.ok) channelOf(next.value).abort(new TabmeshError('ERR_STOPPED', 'done'))
    while ((await connectionsOf(server)) > 0) await turn()
    expect(outcomes).toEqual([])
  })
})

const connectionsOf = (server: Server): Promise<number> => new Promise((done) => server.getConnections((_error, count) => done(count)))

/** Ends where the remote has. */
const ending = (link: Link): void => {
  const channel = channelOf(link)
  channel.attach({ onData: () => {}, onEnd: () => channel.end(), onClose: () => {} })
}

describe('a listener', () => {
  it('says which port the system chose, and where the remote is', async () => {
    let remote = ''
    const listener = await listening({
      accept(link) {
        remote = link.remoteAddr.text
      },
    })
    expect(listener.address.text).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*$/)
    const socket = connect(portOf(listener), '127.0.0.1')
    await once(socket, 'connect')
    await until(() => remote !== '')
    expect(remote).toBe(`/ip4/127.0.0.1/tcp/${socket.localPort}`)
    socket.destroy()
  })

  it('takes so many sockets and no more', async () => {
    const listener = await listening({ maxSockets: 2, accept: ending })
    const sockets = [1, 2, 3].map(() => connect(portOf(listener), '127.0.0.1'))
    for (const socket of sockets) open.push({ close: () => socket.destroy() })
    await once(sockets[2]?.resume() as Socket, 'close')
    expect(listener.sockets).toBe(2)
    sockets[0]?.destroy()
    await until(() => listener.sockets === 1)
    const next = connect(portOf(listener), '127.0.0.1')
    open.push({ close: () => next.destroy() })
    await until(() => listener.sockets === 2)
  })

  it('ends in order, is gone, and drops who does not end', async () => {
    const [near, far, listener] = await pair()
    const [here, there] = [reader(near), reader(far)]
    const silent = connect({ port: portOf(listener), host: '127.0.0.1', allowHalfOpen: true })
    silent.on('error', () => {})
    await once(silent, 'connect')
    await until(() => listener.sockets === 2)
    const closing = listener.close()
    await until(() => here.log.includes('end'))
    near.end()
    await until(() => there.log.includes('close'))
    expect([here.fault, there.fault]).toEqual([undefined, undefined])
    expect(listener.sockets).toBe(1)
    await closing
    expect(listener.sockets).toBe(0)
    expect(await dial(listener.address.text)).toMatchObject({ ok: false, fault: { code: 'ERR_UNREACHABLE' } })
    await listener.close()
    silent.destroy()
  })

  it('says that the port is taken', async () => {
    const { address } = await listening()
    await expect(listening({}, address.text)).rejects.toMatchObject({ code: 'ERR_LISTEN', message: expect.stringContaining('is in use') })
  })

  it.each([
    '/dns4/localhost/tcp/0',
    '/ip4/127.0.0.1/udp/0',
    '/ip4/127.0.0.1/tcp/0/ws',
    '/ip4/127.0.0.1/tcp/0/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5',
  ])('does not listen on %s', (address) => expect(listening({}, address)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' }))
})
