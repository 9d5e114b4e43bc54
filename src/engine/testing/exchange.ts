/**
 * Two nodes in a world that are connected and know each other: what the tests of request-and-answer protocols begin with.
 */

import type { TabmeshError } from '../../errors.ts'
import type { Connection } from '../net/connection.ts'
import type { Service } from '../net/service.ts'
import type { Stream } from '../net/stream.ts'
import type { Outcome } from '../wire/conversation.ts'
import { World, type WorldNode } from './world.ts'

export interface Exchange {
  readonly world: World
  readonly a: WorldNode
  readonly b: WorldNode
  /** From a to b. */
  readonly connection: Connection
  /** Runs `begin` and then the world until it has called back; throws if it does not within `ms`. */
  outcome<T>(begin: (done: (outcome: Outcome<T>) => void) => void, ms?: number): Outcome<T>
  /** What is received on `stream` until it closes, or until the world has run for `ms`. */
  listen(stream: Stream): Heard
}

export interface Heard {
  readonly bytes: number[]
  ended: boolean
  /** The code, or `'closed'`. */
  closed: string | undefined
}

/** `servicesOf` makes those of `a` and `b`. */
export const exchange = (seed: number, servicesOf: { a: () => Service[]; b: () => Service[] }, settleFor = 1_000): Exchange => {
  const world = new World(seed)
  const a = world.node(() => ({ services: servicesOf.a() }))
  const b = world.node(() => ({ services: servicesOf.b() }))
  const outcome = <T>(begin: (done: (outcome: Outcome<T>) => void) => void, ms = 120_000): Outcome<T> => {
    let got: Outcome<T> | undefined
    begin((value) => {
      got = value
    })
    world.run(ms, () => got !== undefined)
    if (got === undefined) throw new Error(`no outcome within ${ms} ms`)
    return got
  }
  const dialled = outcome<Connection>((done) => a.node.dial({ addresses: [b.address] }, done))
  if (!dialled.ok) throw dialled.fault
  world.run(settleFor)
  const listen = (stream: Stream): Heard => {
    const heard: Heard = { bytes: [], ended: false, closed: undefined }
    stream.attach({
      onData(bytes) {
        for (const byte of bytes) heard.bytes.push(byte)
        stream.release(bytes.length)
      },
      onEnd: () => {
        heard.ended = true
      },
      onClose: (fault?: TabmeshError) => {
        heard.closed = fault?.code ?? 'closed'
      },
    })
    return heard
  }
  return { world, a, b, connection: dialled.value, outcome, listen }
}

/** A service of `protocol` that does with a remote's stream what the test says. */
export const scripted = (protocol: string, onStream: (stream: Stream) => void): Service => ({
  name: 'scripted',
  protocols: { [protocol]: {} },
  onStream,
})
