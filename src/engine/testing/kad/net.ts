/**
 * Net: servers of the DHT and whoever joins them, as whole nodes in one World, for the tests of the kad service. Signatures and connections
 * are toys: what is tested stands above them.
 */

import { TabmeshError } from '../../../errors.ts'
import { compareBytes } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Stream } from '../../net/stream.ts'
import { identifyService } from '../../protocols/identify/service.ts'
import { decodeMessage, frameMessage, type KadMessage } from '../../protocols/kad/messages.ts'
import type { Namespace } from '../../protocols/kad/records.ts'
import { KAD, type KadOptions, type KadService, kadService } from '../../protocols/kad/service.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { FrameReader } from '../../wire/frame.ts'
import { World, type WorldNode } from '../world.ts'

/** The key of some content: a multihash. */
export const content = Uint8Array.of(0x12, 32, ...new Uint8Array(32).fill(5))

/** Valid where the value begins with `ok`; the greatest is the best. */
export const app: Namespace = {
  validate: (_key, [first, second], done) =>
    done(first === 0x6f && second === 0x6b ? undefined : new TabmeshError('ERR_PROTOCOL', 'not ok')),
  select(_key, values, done) {
    done(values.reduce((best, value, at) => (compareBytes(value, values[best] as Uint8Array) > 0 ? at : best), 0))
  },
}

export interface Member extends WorldNode {
  readonly kad: KadService
}

export class Net {
  readonly world: World
  readonly servers: Member[] = []

  constructor(seed: number, servers: number) {
    this.world = new World(seed, 10, { toys: true })
    for (let i = 0; i < servers; i++) this.servers.push(this.join({ mode: 'server' }))
    if (servers > 0) this.world.run(60_000)
  }

  get first(): Member {
    return this.servers[0] as Member
  }

  /** One more, which knows the first server. */
  join(options: KadOptions): Member {
    let node: WorldNode | undefined
    const kad = kadService({
      network: 'any',
      namespaces: { app },
      serve: (server, on) => (on ? node?.node.mount(server) : node?.node.unmount(server)),
      ...options,
    })
    node = this.world.node(() => ({ services: [identifyService(), kad] }))
    const [first] = this.servers
    if (first !== undefined) node.node.dial({ addresses: [first.address] }, () => {})
    this.world.run(2_000)
    return { ...node, kad }
  }

  /** A server that does with requests what the test says, known to the first server and those after it. */
  liar(onStream: (stream: Stream) => void): WorldNode {
    const node = this.world.node(() => ({ services: [identifyService(), { name: 'liar', protocols: { [KAD]: {} }, onStream }] }))
    for (const { node: server } of this.servers) server.dial({ addresses: [node.address] }, () => {})
    this.world.run(2_000)
    return node
  }

  outcome<T>(begin: (done: (outcome: Outcome<T>) => void) => unknown, ms = 120_000): Outcome<T> {
    let got: Outcome<T> | undefined
    begin((value) => {
      if (got !== undefined) throw new Error('done twice')
      got = value
    })
    this.world.run(ms, () => got !== undefined)
    if (got === undefined) throw new Error(`no outcome within ${ms} ms`)
    return got
  }

  value<T>(begin: (done: (outcome: Outcome<T>) => void) => unknown): T {
    const got = this.outcome(begin)
    if (!got.ok) throw got.fault
    return got.value
  }

  providers(at: Member, key = content): PeerId[] {
    const found: PeerId[] = []
    this.value<void>((done) => at.kad.findProviders(key, ({ id }) => found.push(id), done))
    return found
  }
}

/** Answers each request with what `answer` makes of it, and ends a stream that its remote has ended, if `ends`. */
export const answering =
  (answer: (request: KadMessage, stream: Stream) => KadMessage | Uint8Array | undefined, ends = () => true) =>
  (stream: Stream): void => {
    const reader = new FrameReader(1 << 20)
    stream.attach({
      onData(bytes) {
        stream.release(bytes.length)
        for (const body of reader.push(bytes)) {
          const made = answer(decodeMessage(body), stream)
          if (made !== undefined) stream.write(made instanceof Uint8Array ? made : frameMessage(made))
        }
      },
      onEnd() {
        if (ends()) stream.end()
      },
      onClose: () => {},
    })
  }
