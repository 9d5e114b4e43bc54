/** The gater in Node, on real sockets: the same path as in a page, with the engine on this thread. */

import { afterEach, describe, expect, it } from 'vitest'
import { createPeer, type Gater, type Peer, type PeerOptions, type TabmeshError } from './index.ts'

const running: Peer[] = []
const peer = async (options: PeerOptions = {}): Promise<Peer> => {
  const made = await createPeer(options)
  running.push(made)
  return made
}
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()))
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}
const listening = async (gater: Gater): Promise<Peer> => {
  const made = await peer({ listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'], connections: { gater } })
  await until(() => made.addresses.length === 2)
  return made
}
const faultOf = (call: Promise<unknown>): Promise<TabmeshError | undefined> => call.then(() => undefined).catch((error) => error)

describe('a gater in Node', () => {
  it('is asked about every socket that comes, and who is refused is closed before a byte is read', async () => {
    const asked: string[] = []
    let open = false
    const server = await listening({ accept: ({ remoteAddr }) => asked.push(remoteAddr) > 0 && open })
    const client = await peer()
    for (const address of server.addresses) {
      const fault = await faultOf(client.dial(address))
      expect(fault).toMatchObject({
        code: 'ERR_DIAL_FAILED',
        errors: [{ code: expect.stringMatching(/^ERR_(CONNECTION|STREAM)_CLOSED$/) }],
      })
    }
    expect(asked.map((each) => each.replace(/\d+(?=$|\/ws)/, 'P'))).toEqual(['/ip4/127.0.0.1/tcp/P', '/ip4/127.0.0.1/tcp/P/ws'])
    open = true
    expect(await client.ping(server.addresses)).toBeGreaterThan(0)
    expect(server.peers).toEqual([client.id])
  })

  it('tells strangers from friends once they have proved who they are, and goes on with its friends', async () => {
    const [friend, stranger] = [await peer(), await peer()]
    class Doorman {
      readonly friends = new Set([friend.id])
      readonly turnedAway: string[] = []
      async secured({ remotePeer }: { remotePeer: string }): Promise<boolean> {
        const known = this.friends.has(remotePeer)
        if (!known) this.turnedAway.push(remotePeer)
        return known
      }
    }
    const doorman = new Doorman()
    const server = await listening(doorman)
    expect(await friend.ping(server.addresses)).toBeGreaterThan(0)
    // The handshake is over for who dialled: it has a connection, and that is closed.
    const fault = await faultOf(stranger.ping(server.addresses))
    expect(fault?.code).toMatch(/^ERR_(CONNECTION_CLOSED|STREAM_RESET|STREAM_CLOSED|DIAL_FAILED)$/)
    await until(() => stranger.connections.length === 0)
    expect(doorman.turnedAway[0]).toBe(stranger.id)
    expect(server.peers).toEqual([friend.id])
    expect(await friend.ping(server.id)).toBeGreaterThan(0)
  })

  it('keeps us from addresses, and from nothing else', async () => {
    const server = await listening({ accept: () => true })
    const [tcp, ws] = server.addresses as [string, string]
    const client = await peer({ connections: { gater: { dial: ({ remoteAddr }) => remoteAddr.includes('/ws/') } } })
    expect(await faultOf(client.dial(tcp))).toMatchObject({ code: 'ERR_DIAL_FAILED', errors: [{ code: 'ERR_GATED' }] })
    expect(await client.dial([tcp, ws])).toMatchObject({ transport: 'websocket' })
  })

  it('that throws is an error event, and the peer goes on', async () => {
    const broken = new Error('the list is on fire')
    let works = false
    const server = await listening({
      accept() {
        if (!works) throw broken
        return true
      },
    })
    const errors: TabmeshError[] = []
    server.addEventListener('error', ({ detail }) => errors.push(detail))
    const client = await peer()
    const [tcp] = server.addresses as [string]
    expect((await faultOf(client.dial(tcp)))?.code).toBe('ERR_DIAL_FAILED')
    expect(errors.map(({ code, cause }) => [code, cause])).toEqual([['ERR_HANDLER', broken]])
    works = true
    expect(await client.ping(server.addresses)).toBeGreaterThan(0)
  })
})

describe('options that make no sense', () => {
  it.each<[unknown, string]>([
    [{ gater: {} }, 'connections.gater'],
    [{ gater: { dail: () => false } }, 'connections.gater'],
    [{ gater: { secured: true } }, 'connections.gater.secured'],
    [{ maxPerIp: 0 }, 'connections.maxPerIp'],
    [{ maxPerIp: Number.NaN }, 'connections.maxPerIp'],
  ])('%j: ERR_INVALID_ARGUMENT', async (connections, named) => {
    const fault = await faultOf(peer({ connections: connections as NonNullable<PeerOptions['connections']> }))
    expect(fault).toMatchObject({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringContaining(named) })
  })

  it('a wanted number of reservations below 1 is one of them', async () => {
    expect(await faultOf(peer({ reservations: 0 }))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  })
})
