import { expect, it } from 'vitest'
import { dial, held, makePeer, ping, until } from './fixture.ts'

it('holds after 1,000 WebRTC-direct connections what it held after 100', async () => {
  const [alice, bob] = [await makePeer(), await makePeer({ listen: '/ip4/127.0.0.1/udp/0/webrtc-direct' })]
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      const connection = await dial(alice, bob.address)
      await ping(alice, connection)
      alice.node.hangUp(bob.node.self)
      await until(() => alice.node.connections().length + bob.node.connections().length === 0)
    }
    await until(() => bob.listener?.connections === 0)
  }
  await rounds(100)
  const before = await held()
  await rounds(1_000)
  const after = await held()
  expect(after.sockets).toBe(before.sockets)
  expect(after.threads).toBeLessThanOrEqual(before.threads)
  expect(after.heap).toBeLessThan(before.heap * 1.1)
  await Promise.all([alice.stop(), bob.stop()])
}, 600_000)
