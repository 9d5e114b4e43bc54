/** Nothing leaks: a thousand dials and closes leave sockets, timers and heap as they were. */

import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import type { Connection } from '../engine/net/connection.ts'
import { Node } from '../engine/net/node.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { der, selfSigned } from './certificate.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'
import { listenTcp, tcpTransport } from './tcp.ts'
import { TLS, tlsSecurity } from './tls/security.ts'
import { wsTransport } from './ws-dialer.ts'
import { listenWs } from './ws-listener.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const ROUNDS = 1_000
/** Until code is compiled and pools are filled. */
const WARM_UP = 300

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const { pem: cert, keyPem: key } = selfSigned({
  notBefore: Date.now() - 86_400_000,
  notAfter: Date.now() + 86_400_000,
  // RFC 5280 §4.2.1.6: [7] is an IP address.
  extensions: [{ oid: '2.5.29.17', critical: false, value: der(0x30, der(0x87, Uint8Array.of(127, 0, 0, 1))) }],
})

const node = (propose: readonly string[]): Node => {
  const identity = newIdentity()
  const made = new Node({
    host: nodeHost(identity),
    services: [],
    transports: [tcpTransport(), wsTransport({ ca: [cert] })],
    securities: [tlsSecurity(identity)],
    propose,
  })
  made.start()
  open.push({ close: () => new Promise<void>((done) => made.stop(done)) })
  return made
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

/** Heap in use once all that can go has gone. */
const heapUsed = async (): Promise<number> => {
  for (let i = 0; i < 3; i += 1) {
    collectGarbage()
    // Handles are closed, and finalizers run, between turns.
    await new Promise((done) => setTimeout(done, 20))
  }
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const resources = (): string[] => process.getActiveResourcesInfo().filter((each) => /TCP|TLS|Pipe|GetAddrInfo/.test(each))

describe(`${ROUNDS} rounds`, () => {
  it.each([
    ['tcp', '/ip4/127.0.0.1/tcp/0', '/noise'],
    ['tcp with tls', '/ip4/127.0.0.1/tcp/0', TLS],
    ['ws', '/ip4/127.0.0.1/tcp/0/ws', '/noise'],
    ['wss', '/ip4/127.0.0.1/tcp/0/tls/ws', '/noise'],
  ])(
    'of %s',
    async (_what, address, security) => {
      const [server, client] = [node([security]), node([security])]
      const options = { accept: server.accept.bind(server), tls: { cert, key } }
      const listener = await (address.includes('ws') ? listenWs : listenTcp)(parseMultiaddr(address), options)
      open.push(listener)

      const round = async (): Promise<void> => {
        const outcome = await new Promise<Outcome<Connection>>((done) =>
          client.dial({ peer: server.self, addresses: [listener.address] }, done),
        )
        if (!outcome.ok) throw outcome.fault
        outcome.value.close()
        await until(() => listener.sockets === 0 && client.connections().length === 0)
      }
      for (let i = 0; i < WARM_UP; i += 1) await round()
      const [heap, held] = [await heapUsed(), resources()]
      for (let i = 0; i < ROUNDS; i += 1) await round()
      await until(() => resources().length === held.length)
      const grown = (await heapUsed()) - heap
      // Some 2 KB a round: a socket, or a connection, that stayed would be more.
      expect(grown).toBeLessThan(heap / 10)
      expect(resources()).toEqual(held)
      expect([server.connections().length, server.pending, client.pending]).toEqual([0, 0, 0])
    },
    60_000,
  )
})
