/** What is the dialler's own; the rest is in src/sockets, where both ends are tested together. */

import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import type { Link, Net } from '../engine/net/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'
import { wsTransport } from './ws-dialer.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const listening = async <S extends Server>(server: S): Promise<number> => {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const net = { host: nodeHost(newIdentity()) } as unknown as Net
const dial = (address: string) => new Promise<Outcome<Link>>((done) => wsTransport().dial(parseMultiaddr(address), net, done))

describe("Node's dial", () => {
  it.each([
    ['an address', 'ip4/127.0.0.1'],
    ['a name', 'dns4/localhost'],
  ])('goes to %s and asks for the certificate of another name', async (_what, host) => {
    const { promise: hello, resolve } = deferred<Buffer>()
    const port = await listening(
      createServer((socket) => {
        socket.once('data', (first) => {
          resolve(first)
          socket.destroy()
        })
        socket.on('error', () => {})
      }),
    )
    const outcome = dial(`/${host}/tcp/${port}/tls/sni/relay.example/ws`)
    // RFC 6066 §3: the name stands in the ClientHello as it is.
    expect((await hello).includes('relay.example')).toBe(true)
    expect(await outcome).toMatchObject({
      ok: false,
      fault: { code: 'ERR_RELAY_UNREACHABLE', message: expect.stringContaining(`wss://relay.example:${port}/`) },
    })
  })

  it('says what HTTP status it got instead', async () => {
    const port = await listening(createHttpServer((_request, response) => response.writeHead(403).end()))
    expect(await dial(`/ip4/127.0.0.1/tcp/${port}/ws`)).toMatchObject({
      ok: false,
      fault: { message: expect.stringContaining('answers HTTP 403 instead of a WebSocket') },
    })
  })

  it('says what the system said', async () =>
    expect(await dial('/dns4/nowhere.invalid/tcp/9090/ws')).toMatchObject({
      ok: false,
      fault: { code: 'ERR_RELAY_UNREACHABLE', cause: { code: expect.stringMatching(/^E(NOTFOUND|AI_AGAIN)$/) } },
    }))
})

const deferred = <T>() => {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
