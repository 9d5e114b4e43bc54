import { describe, expect, it } from 'vitest'
import { message, string, uint } from '../../codec/protobuf.ts'
import { frame } from '../../codec/varint.ts'
import type { Service } from '../../net/service.ts'
import { World } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import { STUN, type StunPlace, stunClient, stunDirectory } from './service.ts'

/** A client that has dialled a relay whose directory is `directory`. */
const meet = (directory: Service, dialler: 'client' | 'relay' = 'client') => {
  const world = new World(3)
  const stun = stunClient()
  const client = world.node(() => ({ services: [identifyService(), stun] }))
  const relay = world.node(() => ({ services: [identifyService(), directory] }))
  const [from, to] = dialler === 'client' ? [client, relay] : [relay, client]
  from.node.dial({ addresses: [to.address] }, () => {})
  world.run(2_000)
  return { world, stun, client, relay }
}

/** An answer as it would be written by hand. */
const says = (answer: Uint8Array): Service => ({
  name: 'directory by hand',
  protocols: { [STUN]: {} },
  onStream(stream) {
    stream.write(answer)
    stream.end()
  },
})
const Answer = message({ port: uint(1), host: string(2) })

describe('where a relay answers STUN', () => {
  it('is learnt from it, for as long as it is connected', () => {
    const place: StunPlace = { port: 3478, host: 'relay.example' }
    const { world, stun, client, relay } = meet(stunDirectory(() => place))
    expect(stun.servers()).toEqual(['stun:relay.example:3478'])
    client.node.hangUp(relay.node.self)
    world.run(5_000)
    expect(stun.servers()).toEqual([])
  })

  it('is not asked of a peer that dialled us', () => {
    expect(
      meet(
        stunDirectory(() => ({ port: 3478, host: 'spy.example' })),
        'relay',
      ).stun.servers(),
    ).toEqual([])
  })

  it('is nowhere where the relay gives no host and was dialled at none', () => {
    expect(meet(stunDirectory(() => ({ port: 3478 }))).stun.servers()).toEqual([])
  })

  it('is refused where the answer is no place', () => {
    for (const answer of [
      Answer.encode({ port: 0, host: 'a.example' }),
      Answer.encode({ port: 65_536, host: 'a.example' }),
      Answer.encode({ port: undefined, host: 'a.example' }),
      Answer.encode({ port: 1, host: 'a.example?transport=tcp' }),
      Answer.encode({ port: 1, host: '' }),
      Answer.encode({ port: 1, host: 'user@a.example' }),
      Uint8Array.of(0xff, 0xff, 0xff),
    ])
      expect(meet(says(frame(answer))).stun.servers()).toEqual([])
    expect(meet(says(new Uint8Array(2_000))).stun.servers()).toEqual([])
    expect(meet(says(frame(Answer.encode({ port: 1, host: '[::1]' })))).stun.servers()).toEqual(['stun:[::1]:1'])
  })
})
