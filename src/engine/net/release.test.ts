import { describe, expect, it } from 'vitest'
import { gossipsubService } from '../protocols/gossipsub/service.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Connection } from './connection.ts'
import type { Node } from './node.ts'
import type { DialOptions } from './service.ts'
import type { Stream } from './stream.ts'

const OWN = { tag: 'asker', protocol: '/ask' }

const trial = () => {
  const world = new World(1, 10, { toys: true })
  const member = () => {
    const pubsub = gossipsubService({ onMessage() {}, params: { floodPublish: false } })
    const idle = (stream: Stream): void => stream.attach({ onData() {}, onEnd() {}, onClose() {} })
    const service = { name: 'app', protocols: { '/ask': {}, '/app': {} }, onStream: idle }
    return { ...world.node(() => ({ services: [identifyService(), pubsub, service] })), pubsub }
  }
  const [a, b] = [member(), member()]
  const dial = (from: Node, { address }: WorldNode, options: DialOptions = {}): Connection => {
    let connection: Connection | undefined
    from.dial({ addresses: [address] }, (outcome) => (connection = outcome.ok ? outcome.value : undefined), options)
    world.run(5_000)
    if (connection === undefined) throw new Error('not dialled')
    return connection
  }
  return { world, a, b, dial }
}

describe('a connection that was dialled in passing', () => {
  it('is released when nobody else has a use for it, whatever its caller has open or makes of the peer', () => {
    const { world, a, b, dial } = trial()
    const connection = dial(a.node, b, { passing: true })
    connection.openStream(['/ask'])
    a.node.tag(b.node.self, 'asker', 5)
    world.run(1_000)
    // Pubsub has its streams there, but nothing to say.
    expect([...connection.streams].map(({ protocol }) => protocol).sort()).toEqual(['/ask', '/meshsub/1.3.0', '/meshsub/1.3.0'])
    expect(a.node.release(connection, OWN)).toBe(true)
    world.run(1_000)
    expect([a.node.connections(), b.node.connections()]).toEqual([[], []])
  })

  it.each<[string, (world: ReturnType<typeof trial>, connection: Connection) => void]>([
    ['somebody dialled the peer too', ({ a, b, dial }) => void dial(a.node, b)],
    ['somebody tagged the peer', ({ a, b }) => a.node.tag(b.node.self, 'friend', 1)],
    ['we have a stream of another protocol there', (_trial, connection) => void connection.openStream(['/app'])],
    ['the remote asks us', ({ a, b }) => void b.node.connections(a.node.self)[0]?.openStream(['/ask'])],
    [
      'both are in a topic',
      ({ a, b }) => {
        for (const { pubsub } of [a, b]) pubsub.join('news')
      },
    ],
    [
      'the remote is in a topic that we publish to',
      ({ a, b, world }) => {
        b.pubsub.join('news')
        world.run(1_000)
        a.pubsub.publish('news', Uint8Array.of(1))
      },
    ],
  ])('stays where %s', (_what, use) => {
    const made = trial()
    const connection = dialled(made)
    use(made, connection)
    made.world.run(1_000)
    expect([made.a.node.release(connection, OWN), connection.status]).toEqual([false, 'open'])
  })

  const dialled = ({ a, b, dial }: ReturnType<typeof trial>): Connection => dial(a.node, b, { passing: true })
})
