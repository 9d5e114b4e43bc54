import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { encapsulate, parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import type { Connection } from '../../engine/net/connection.ts'
import { Node } from '../../engine/net/node.ts'
import { pingService } from '../../engine/protocols/ping/service.ts'
import type { Outcome } from '../../engine/wire/conversation.ts'
import { nodeHost } from '../host.ts'
import { newIdentity } from '../identity.ts'
import { quicTransport } from './transport.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const heap = async (): Promise<number> => {
  for (let round = 0; round < 4; round++) {
    collect()
    await new Promise((next) => setTimeout(next, 20))
  }
  return process.memoryUsage().heapUsed
}

/** Open files of this process, sockets among them; -1 where the system does not tell. */
const files = (): number => {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return -1
  }
}

const promised = <T>(start: (done: (outcome: Outcome<T>) => void) => unknown): Promise<T> =>
  new Promise((resolve, reject) => start((outcome) => (outcome.ok ? resolve(outcome.value) : reject(outcome.fault))))

it('holds after 1,000 QUIC connections what it held after 100', async () => {
  const make = async () => {
    const key = await newIdentity()
    const quic = quicTransport(key)
    const ping = pingService()
    const node = new Node({ host: nodeHost(key), services: [ping], transports: [quic], limits: { maxPerPeer: 20 } })
    node.start()
    return { node, quic, ping }
  }
  const [alice, bob] = [await make(), await make()]
  const listener = bob.quic.listen(parseMultiaddr('/ip4/127.0.0.1/udp/0/quic-v1'), bob.node)
  const address = encapsulate(listener.address, `/p2p/${bob.node.self}`)
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      const connection = await promised<Connection>((done) => alice.node.dial({ addresses: [address] }, done))
      await promised<number>((done) => alice.ping.ping(connection, done))
      alice.node.hangUp(bob.node.self)
      while (alice.node.connections().length + bob.node.connections().length > 0) await new Promise((next) => setImmediate(next))
    }
  }
  await rounds(100)
  const before = { heap: await heap(), files: files() }
  await rounds(1_000)
  expect(files()).toBe(before.files)
  expect(await heap()).toBeLessThan(before.heap * 1.1)
  await Promise.all([alice, bob].map(({ node }) => new Promise<void>((done) => node.stop(done))))
  await listener.close()
  alice.quic.close()
  bob.quic.close()
}, 120_000)
