import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { encodeVarint } from '../../codec/varint.ts'
import type { Service } from '../../net/service.ts'
import { World } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import { Authors } from './authors.ts'
import { Links } from './links.ts'
import { originMessageId } from './message-id.ts'
import { MESHSUB_13, PUBSUB_PROTOCOLS } from './peer.ts'
import { RpcReader } from './rpc-reader.ts'
import { TopicNames } from './text.ts'

/** Links without a router: it takes all RPCs and has nothing to say. */
const linked = (world: World) => {
  let links: Links
  const service: Service = {
    name: 'links',
    protocols: Object.fromEntries(PUBSUB_PROTOCOLS.map((protocol) => [protocol, {}])),
    start(net) {
      const rpcs = new RpcReader(new TopicNames(), new Authors(), originMessageId)
      links = new Links({ net, rpcs, allows: () => true, takes: () => true, take: () => undefined, handle: () => {} })
    },
    onStream: (stream) => links.accept(stream),
    onConnection: ({ remotePeer }) => links.settle(remotePeer),
    onDisconnect: ({ remotePeer }) => links.settle(remotePeer),
    onIdentify: ({ remotePeer }) => links.settle(remotePeer),
  }
  return { ...world.node(() => ({ services: [identifyService(), service] })), links: () => links }
}

describe('what is kept of a peer', () => {
  /** Two connected, the second has just opened its stream; `speaks`: it takes streams of pubsub as well. */
  const scene = (seed: number, speaks: boolean) => {
    const world = new World(seed)
    const ours = linked(world)
    const protocols = speaks ? { [MESHSUB_13]: {} } : {}
    const theirs = world.node(() => ({ services: [identifyService(), { name: 'theirs', protocols, onStream: () => {} }] }))
    theirs.node.dial({ addresses: [ours.address] }, () => {})
    world.run(5_000, () => theirs.node.connections(ours.node.self).length > 0)
    const stream = theirs.node.connections(ours.node.self)[0]?.openStream([MESHSUB_13])
    stream?.write(encodeVarint(0))
    return { world, ours, theirs, stream }
  }
  const arrived = ({ world, ours }: ReturnType<typeof scene>): void => {
    world.run(5_000, () => ours.links().peers === 1)
    expect(ours.links().peers).toBe(1)
  }

  it('ends with its connection, at whatever moment that goes', () => {
    for (const speaks of [true, false]) {
      for (let ms = 0; ms <= 100; ms += 5) {
        const at = scene(1 + ms, speaks)
        at.world.run(ms)
        at.world.cutAll()
        at.world.run(60_000)
        expect([ms, at.ours.node.connections().length, at.ours.links().peers]).toEqual([ms, 0, 0])
      }
    }
  })

  it('ends where the peer resets its stream, takes none of ours, and hangs up', () => {
    const at = scene(2, false)
    arrived(at)
    at.stream?.abort(new TabmeshError('ERR_STREAM_RESET', 'the peer gave up'))
    at.world.run(60_000)
    for (const connection of at.theirs.node.connections()) connection.close()
    at.world.run(60_000)
    expect([at.ours.node.connections().length, at.ours.links().peers]).toEqual([0, 0])
  })

  it('stays while the connection does', () => {
    const at = scene(3, true)
    arrived(at)
    at.world.run(60_000)
    expect([at.ours.node.connections().length, at.ours.links().peers]).toEqual([1, 1])
  })
})
