/** A thousand sockets that open and say nothing, on real TCP and HTTP: bounded, and those who mean it get in. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { CONNECTIONS_MAX_PENDING_INBOUND, PENDING_GRACE, UPGRADE_TIMEOUT } from '../engine/limits.ts'
import { createPeer, type Peer, type PeerOptions } from './index.ts'

/** What one flood needs, and how to end it: they run side by side. */
const stage = () => {
  const running: Peer[] = []
  const sockets: Socket[] = []
  return {
    sockets,
    async peer(options: PeerOptions = {}): Promise<Peer> {
      const made = await createPeer(options)
      running.push(made)
      return made
    },
    async clear(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      await Promise.all(running.map((each) => each.stop()))
    },
  }
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const MANY = 1_000
/** As many as may wait, those that the node has refused and whose end is on its way, and its own connections. */
const HELD = CONNECTIONS_MAX_PENDING_INBOUND + 100

/** Opens a thousand, each of which says `first` and no more; how many the listener keeps. */
const flood = async (sockets: Socket[], port: number, first: string): Promise<{ open(): number }> => {
  let open = 0
  for (let n = 0; n < MANY; n += 1) {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.on('error', () => {})
    const connected = once(socket, 'connect')
    open += 1
    socket.once('close', () => {
      open -= 1
    })
    // What is refused is closed, and that is all it hears.
    socket.resume()
    await connected
    if (first !== '') socket.write(first)
  }
  return { open: () => open }
}

const upgrade = ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
const websocket = [...upgrade, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''].join('\r\n')

describe('a thousand half-open connections', () => {
  it.concurrent.each([
    ['that say nothing', '/ip4/127.0.0.1/tcp/0', ''],
    ['that begin to agree on a protocol', '/ip4/127.0.0.1/tcp/0', '\x13/multistream/1.0.0\n'],
    ['that never ask for a WebSocket', '/ip4/127.0.0.1/tcp/0/ws', ''],
    ['that ask for half a WebSocket', '/ip4/127.0.0.1/tcp/0/ws', 'GET / HTTP/1.1\r\nHost: x\r\n'],
    ['that get their WebSocket', '/ip4/127.0.0.1/tcp/0/ws', websocket],
  ])(
    '%s, at %s: bounded; who is here stays, and who comes gets in',
    async (_how, listen, first) => {
      const { sockets, peer, clear } = stage()
      try {
        const server = await peer({ listen: [listen] })
        await until(() => server.addresses.length > 0)
        const friend = await peer()
        await friend.dial(server.addresses)
        const port = Number(server.addresses[0]?.split('/')[4])
        const { open } = await flood(sockets, port, first)
        expect(await friend.ping(server.id)).toBeGreaterThan(0)
        await until(() => open() <= HELD)
        // A refusal is tried again, as people do; whoever has had PENDING_GRACE gives way.
        const newcomer = await peer()
        const began = performance.now()
        let connected = false
        while (!connected && performance.now() - began < 3 * PENDING_GRACE) {
          connected = await newcomer.ping(server.addresses).then(
            () => true,
            () => false,
          )
        }
        expect(connected).toBe(true)
        await until(() => open() === 0)
        expect(performance.now() - began).toBeLessThan(2 * UPGRADE_TIMEOUT)
        expect(await newcomer.ping(server.id)).toBeGreaterThan(0)
        expect(server.connections.map(({ remotePeer }) => remotePeer).sort()).toEqual([friend.id, newcomer.id].sort())
      } finally {
        await clear()
      }
    },
    60_000,
  )
})
