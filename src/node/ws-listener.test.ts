import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import type { Link } from '../engine/net/service.ts'
import type { TabmeshError } from '../errors.ts'
import { listenWs, type WsListener, type WsListenOptions } from './ws-listener.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const listening = async (options: Partial<WsListenOptions> = {}, address = '/ip4/127.0.0.1/tcp/0/ws'): Promise<WsListener> => {
  const listener = await listenWs(parseMultiaddr(address), { accept: () => {}, ...options })
  open.push(listener)
  return listener
}

const portOf = (listener: WsListener) => Number(listener.address.parts[1]?.value)

/** Opens a WebSocket; `autoPong` false is a client that has gone silent. */
const client = async (listener: WsListener, options: object = {}, path = '/'): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${portOf(listener)}${path}`, options)
  open.push({ close: () => socket.terminate() })
  await once(socket, 'open')
  return socket
}

/** The fault that ends a channel. */
const endOf = (link: Link): Promise<TabmeshError | undefined> =>
  new Promise((done) => {
    if (link.t === 'pipe') link.channel.attach({ onData: (bytes) => link.channel.release(bytes.length), onEnd: () => {}, onClose: done })
  })

/** What a bare TCP client that sends `text` is answered, until the server closes. */
const answerTo = async (listener: WsListener, text: string): Promise<string> => {
  const socket = connect(portOf(listener), '127.0.0.1')
  let said = ''
  socket.setEncoding('latin1').on('data', (more) => (said += more))
  socket.on('error', () => {})
  socket.write(text)
  await once(socket, 'close')
  return said
}

const upgrade = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`

describe('a listener', () => {
  it('says which port the system chose', async () =>
    expect((await listening()).address.text).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/ws$/))

  it('answers HTTP and WebSocket on one port', async () => {
    const listener = await listening({ request: (_request, response) => void response.end('page') })
    await client(listener)
    expect(await (await fetch(`http://127.0.0.1:${portOf(listener)}/`)).text()).toBe('page')
  })

  it('asks HTTP to upgrade where nothing else is offered', async () =>
    expect((await fetch(`http://127.0.0.1:${portOf(await listening())}/`)).status).toBe(426))

  it('answers upgrades on its own path only', async () => {
    const root = await listening()
    expect(await answerTo(root, upgrade('/other'))).toMatch(/^HTTP\/1\.1 404 /)
    await client(root, {}, '/?token=1')
    const below = await listening({}, '/ip4/127.0.0.1/tcp/0/ws/http-path/a%2Frelay')
    expect(await answerTo(below, upgrade('/'))).toMatch(/^HTTP\/1\.1 404 /)
    await client(below, {}, '/a/relay')
  })

  it('refuses what is no WebSocket handshake', async () => {
    const listener = await listening()
    expect(await answerTo(listener, upgrade('/').replace('Version: 13', 'Version: 8x'))).toMatch(/^HTTP\/1\.1 400 /)
    expect(await answerTo(listener, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await answerTo(listener, `GET / HTTP/1.1\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
    expect(listener.sockets).toBe(0)
  })

  it('survives a client that is gone in the middle of the handshake', async () => {
    const listener = await listening()
    for (let at = 1; at < upgrade('/').length; at += 7) {
      const socket = connect(portOf(listener), '127.0.0.1')
      socket.on('error', () => {})
      socket.write(upgrade('/').slice(0, at))
      await once(socket, 'connect')
      socket.resetAndDestroy()
    }
    await client(listener)
    expect(listener.sockets).toBe(1)
  })

  it('takes so many sockets and no more', async () => {
    const listener = await listening({ maxSockets: 2 })
    const [first] = [await client(listener), await client(listener)]
    await expect(client(listener)).rejects.toThrow()
    first?.close()
    while (listener.sockets > 1) await new Promise(setImmediate)
    await client(listener)
  })

  it.each([
    ['the socket', false, '203.0.113.9', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws$/],
    ['what the proxy adds', true, '198.51.100.1, 203.0.113.9', /^\/ip4\/203\.0\.113\.9\/tcp\/\d+\/ws$/],
    ['what the proxy adds, IPv6', true, '2001:db8::9', /^\/ip6\/2001:db8::9\/tcp\/\d+\/ws$/],
    ['the socket, where the proxy adds nonsense', true, 'unknown', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws$/],
  ])('takes the remote address from %s', async (_what, trustProxy, forwarded, seen) => {
    const addresses: string[] = []
    const listener = await listening({ trustProxy, accept: (link) => void addresses.push(link.remoteAddr.text) })
    await client(listener, { headers: { 'x-forwarded-for': forwarded } })
    expect(addresses).toEqual([expect.stringMatching(seen)])
  })

  it('drops a client that answers no ping, and keeps one that does', async () => {
    const links: Link[] = []
    const listener = await listening({ pingInterval: 250, accept: (link) => void links.push(link) })
    const silent = await client(listener, { autoPong: false })
    const lively = await client(listener)
    let pings = 0
    lively.on('ping', () => pings++)
    const [fault] = await Promise.all([endOf(links[0] as Link), once(silent, 'close')])
    expect(fault).toMatchObject({ code: 'ERR_CONNECTION_CLOSED', message: expect.stringContaining('ping') })
    expect(pings).toBeGreaterThan(0)
    await once(lively, 'ping')
    expect(lively.readyState).toBe(WebSocket.OPEN)
    expect(listener.sockets).toBe(1)
  })

  it('says goodbye with 1001 when it closes, and is gone', async () => {
    const listener = await listening()
    const socket = await client(listener)
    const closed = once(socket, 'close')
    await listener.close()
    expect((await closed)[0]).toBe(1001)
    await expect(client(listener)).rejects.toThrow(/ECONNREFUSED/)
    await listener.close()
  })

  it('goes on with those who are there while it takes no new ones', async () => {
    const links: Link[] = []
    const listener = await listening({ accept: (link) => void links.push(link) })
    const socket = await client(listener)
    listener.stopAccepting()
    await expect(client(listener)).rejects.toThrow(/ECONNREFUSED/)
    const [link] = links
    if (link?.t !== 'pipe') throw new Error('no link')
    link.channel.write(Uint8Array.of(7))
    expect(await once(socket, 'message')).toMatchObject([Buffer.of(7), true])
    link.channel.end()
    expect((await once(socket, 'close'))[0]).toBe(1001)
  })

  it('drops a client that does not answer the close', async () => {
    const listener = await listening()
    const raw = connect(portOf(listener), '127.0.0.1')
    open.push({ close: () => raw.destroy() })
    raw.on('error', () => {})
    raw.write(upgrade('/'))
    await once(raw, 'data')
    raw.pause()
    expect(listener.sockets).toBe(1)
    await listener.close()
    expect(listener.sockets).toBe(0)
  })

  it('says that the port is taken', async () => {
    const { address } = await listening()
    await expect(listening({}, address.text)).rejects.toMatchObject({
      code: 'ERR_LISTEN',
      message: expect.stringContaining(`port ${address.parts[1]?.value} is in use`),
    })
  })

  it.each([
    '/ip4/127.0.0.1/tcp/0',
    '/dns4/localhost/tcp/0/ws',
    '/ip4/127.0.0.1/tcp/0/tls/ws',
    '/ip4/127.0.0.1/udp/0/webrtc-direct',
    '/p2p-circuit',
  ])('does not listen on %s', (address) => expect(listening({}, address)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' }))
})
