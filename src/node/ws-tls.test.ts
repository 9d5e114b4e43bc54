/** WebSockets over TLS: what the dialler asks for and trusts, what the listener shows. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import type { Link, Net } from '../engine/net/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { type Certificate, der, selfSigned } from './certificate.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'
import { wsTransport } from './ws-dialer.ts'
import { listenWs, type ServerCertificate, type WsListener, type WsListenOptions } from './ws-listener.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const day = 86_400_000

/** Self-signed, for these names and 127.0.0.1 (RFC 5280 §4.2.1.6: [2] is a name, [7] an IP address). */
const certificateFor = (names: readonly string[], notAfter = Date.now() + day): Certificate => {
  const alternatives = [...names.map((name) => der(0x82, Buffer.from(name))), der(0x87, Uint8Array.of(127, 0, 0, 1))]
  const extensions = [{ oid: '2.5.29.17', critical: false, value: der(0x30, ...alternatives) }]
  return selfSigned({ notBefore: Date.now() - 2 * day, notAfter, extensions })
}

const ours = certificateFor(['localhost', 'relay.example'])
const tls: ServerCertificate = { cert: ours.pem, key: ours.keyPem }

const listening = async (address: string, options: Partial<WsListenOptions> = {}): Promise<WsListener> => {
  const listener = await listenWs(parseMultiaddr(address), { accept: () => {}, tls, ...options })
  open.push(listener)
  return listener
}
const portOf = (listener: WsListener) => Number(listener.address.parts[1]?.value)

const net = { host: nodeHost(newIdentity()) } as unknown as Net
const dial = (address: string, ca: readonly string[] = [ours.pem]): Promise<Outcome<Link>> =>
  new Promise((done) => {
    wsTransport(ca.length === 0 ? {} : { ca }).dial(parseMultiaddr(address), net, (outcome) => {
      if (outcome.ok && outcome.value.t === 'pipe') {
        const { channel } = outcome.value
        channel.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
        open.push({ close: () => channel.end() })
      }
      done(outcome)
    })
  })

describe('a dial', () => {
  it.each([
    ['/tls/ws', '/dns4/localhost/tcp/P/tls/ws', 'localhost:P', 'localhost', '/'],
    ['/wss', '/dns4/localhost/tcp/P/wss', 'localhost:P', 'localhost', '/'],
    ['an IP address, which is no SNI', '/ip4/127.0.0.1/tcp/P/tls/ws', '127.0.0.1:P', false, '/'],
    ['another name in the certificate', '/ip4/127.0.0.1/tcp/P/tls/sni/relay.example/ws', 'relay.example:P', 'relay.example', '/'],
    ['a path', '/dns4/localhost/tcp/P/tls/ws/http-path/a%2Fre%20lay', 'localhost:P', 'localhost', '/a/re%20lay'],
  ])('to %s says the right host, name and path', async (_what, address, host, name, path) => {
    const server = createServer({ cert: ours.pem, key: ours.keyPem })
    const upgrades = new WebSocketServer({ server })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    open.push(server, { close: () => upgrades.clients.forEach((each) => void each.terminate()) })
    const asked = once(upgrades, 'connection') as Promise<[unknown, IncomingMessage]>
    const { port } = server.address() as AddressInfo
    const outcome = await dial(address.replace('P', String(port)))
    expect(outcome.ok || outcome.fault).toBe(true)
    const [, { headers, url, socket }] = await asked
    expect(headers.host).toBe(host.replace('P', String(port)))
    expect((socket as unknown as { servername: unknown }).servername).toBe(name)
    expect(url).toBe(path)
  })

  it('refuses a certificate that nobody it trusts has signed, and says so', async () => {
    const listener = await listening('/ip4/127.0.0.1/tcp/0/tls/ws')
    const address = `/ip4/127.0.0.1/tcp/${portOf(listener)}/tls/ws`
    const outcome = await dial(address, [])
    const message = expect.stringContaining(
      `the certificate of wss://127.0.0.1:${portOf(listener)}/ is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT)`,
    )
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_CERTIFICATE', message } })
    expect((await dial(address)).ok).toBe(true)
  })

  it.each([
    ['for another name', certificateFor(['elsewhere.example']), '/dns4/localhost/tcp/P/tls/ws', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['that has expired', certificateFor(['localhost'], Date.now() - day), '/dns4/localhost/tcp/P/tls/ws', 'CERT_HAS_EXPIRED'],
  ])('refuses a certificate %s', async (_what, { pem: cert, keyPem: key }, address, why) => {
    const listener = await listening('/ip4/127.0.0.1/tcp/0/tls/ws', { tls: { cert, key } })
    const outcome = await dial(address.replace('P', String(portOf(listener))), [cert])
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_CERTIFICATE', message: expect.stringContaining(why) } })
  })

  it('refuses an authority that is none', () =>
    expect(() => wsTransport({ ca: ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'] })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    ))
})

describe('a listener', () => {
  it.each(['/ip4/127.0.0.1/tcp/0/tls/ws', '/ip4/127.0.0.1/tcp/0/wss'])(
    'on %s carries bytes, and knows where the client is',
    async (address) => {
      let come: (link: Link) => void = () => {}
      const accepted = new Promise<Link>((done) => {
        come = done
      })
      const listener = await listening(address, { accept: come })
      expect(listener.address.text).toBe(address.replace('/0/', `/${portOf(listener)}/`))
      const outcome = await dial(listener.address.text)
      const link = await accepted
      if (!outcome.ok || outcome.value.t !== 'pipe' || link.t !== 'pipe') throw new Error('no link')
      expect(link.remoteAddr.text).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/tls\/ws$/)
      outcome.value.channel.write(Uint8Array.of(1, 2, 3))
      const came = await new Promise<Uint8Array>((done) => link.channel.attach({ onData: done, onEnd: () => {}, onClose: () => {} }))
      expect([...came]).toEqual([1, 2, 3])
    },
  )

  it('shows another certificate from one moment on, and keeps those who are there', async () => {
    const listener = await listening('/ip4/127.0.0.1/tcp/0/tls/ws')
    expect((await dial(listener.address.text)).ok).toBe(true)
    const next = certificateFor(['localhost'])
    listener.replaceCertificate({ cert: next.pem, key: next.keyPem })
    expect(await dial(listener.address.text)).toMatchObject({ ok: false, fault: { code: 'ERR_CERTIFICATE' } })
    expect((await dial(listener.address.text, [next.pem])).ok).toBe(true)
    expect(listener.sockets).toBe(2)
    expect(() => listener.replaceCertificate({ cert: next.pem, key: ours.keyPem })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    )
  })

  it('speaks HTTP/1.1 only, to those who ask for another too', async () => {
    const listener = await listening('/ip4/127.0.0.1/tcp/0/tls/ws')
    const socket = connectTls({ port: portOf(listener), host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] })
    await once(socket, 'secureConnect')
    expect(socket.alpnProtocol).toBe('http/1.1')
    socket.destroy()
  })

  it('closes with a client that never begins TLS', async () => {
    const listener = await listening('/ip4/127.0.0.1/tcp/0/tls/ws')
    const socket = connect(portOf(listener), '127.0.0.1')
    await once(socket, 'connect')
    const closed = once(socket.resume(), 'close')
    // A dial that goes through was accepted behind it.
    expect((await dial(listener.address.text)).ok).toBe(true)
    await listener.close()
    await closed
  })

  it('can do nothing without a certificate, or with one that is none', async () => {
    const address = parseMultiaddr('/ip4/127.0.0.1/tcp/0/tls/ws')
    const without = { code: 'ERR_INVALID_ARGUMENT', message: expect.stringContaining('needs a certificate') }
    await expect(listenWs(address, { accept: () => {} })).rejects.toMatchObject(without)
    const broken = { cert: 'nothing', key: ours.keyPem }
    await expect(listenWs(address, { accept: () => {}, tls: broken })).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  })
})
