/**
 * Lab: peers as an application has them, and engines behind their ports, for tests. Their engines share one world (engine/testing/world.ts); its
 * virtual time passes while a test waits for something. What it opens it closes when the test is over.
 */

import { afterEach } from 'vitest'
import type { NetEvent } from '../engine/net/service.ts'
import { identifyService } from '../engine/protocols/identify/service.ts'
import { pingService } from '../engine/protocols/ping/service.ts'
import { World, type WorldNode } from '../engine/testing/world.ts'
import { TabmeshError } from '../errors.ts'
import { Peer } from '../peer.ts'
import { type EngineExtras, serveEngine } from '../port/engine-port.ts'
import type { EngineOptions } from '../port/messages.ts'

/** What passes of virtual time between two looks, in milliseconds. */
const STEP = 20
const MAX_STEPS = 5_000

/** What an engine is started with: nothing that takes more than a world. */
export const engineOptions: EngineOptions = {
  name: 'test',
  identity: 'ephemeral',
  relays: [],
  reservations: undefined,
  bootstrap: [],
  listen: undefined,
  transports: { webSocket: false, webTransport: false, webRTC: false, webRTCDirect: false, tcp: false, quic: false, circuitRelay: false },
  encryption: ['noise'],
  mplex: false,
  preSharedKey: undefined,
  perf: false,
  dht: undefined,
  delegatedRouting: [],
  pubsub: false,
  connections: {},
  gates: [],
  secureOnly: false,
  near: true,
  dnsOverHttps: undefined,
}

type PeerExtras = Omit<Parameters<typeof Peer.start>[2], 'log'> & EngineExtras

const ports: MessagePort[] = []
const peers: Peer[] = []
afterEach(() => {
  for (const { pubsub } of peers.splice(0)) pubsub.end(new TabmeshError('ERR_STOPPED', 'the test is over'))
  for (const port of ports.splice(0)) port.close()
})

export const closeAfterwards = (...opened: MessagePort[]): void => void ports.push(...opened)

/** The two ends of the ports between a page and its engine. */
export const openPorts = () => {
  const [control, events, rtc] = [new MessageChannel(), new MessageChannel(), new MessageChannel()]
  closeAfterwards(control.port1, control.port2, events.port1, events.port2, rtc.port1, rtc.port2)
  return {
    page: { control: control.port1, events: events.port1 },
    engine: { control: control.port2, events: events.port2, rtc: rtc.port2 },
  }
}

/** Readies a node of a world to be served by a port, which hears what it emits. */
export const toServe = ({ node }: WorldNode, onEvent: (event: NetEvent) => void): void => {
  // The world's node is started already; the port starts what it is given.
  const open = node as unknown as { start: () => void; emit: (event: NetEvent) => void }
  const emit = node.emit.bind(node)
  open.start = () => {}
  open.emit = (event) => {
    emit(event)
    onEvent(event)
  }
}

export class Lab {
  readonly world = new World(1, 1)

  /** Runs the world until `promise` has settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let over = false
    const done = promise.finally(() => {
      over = true
    })
    done.catch(() => {})
    while (!over) await this.pass(STEP)
    return done
  }

  async pass(ms: number): Promise<void> {
    this.world.run(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }

  async until(holds: () => boolean): Promise<void> {
    for (let i = 0; !holds(); i++) {
      if (i > MAX_STEPS) throw new Error('it never came')
      await this.pass(STEP)
    }
  }

  /** What it fails with, or `ok`. */
  codeOf(promise: Promise<unknown>): Promise<string> {
    return this.wait(
      promise.then(
        () => 'ok',
        (error: unknown) => (error instanceof TabmeshError ? error.code : String(error)),
      ),
    )
  }

  async peer(options: Partial<EngineOptions> = {}, { messageId, ...extras }: PeerExtras = {}): Promise<{ peer: Peer; address: string }> {
    const ports = openPorts()
    let address = ''
    serveEngine(
      ports.engine,
      async (_options, _rtc, onEvent, gater) => {
        const ping = pingService()
        const made = this.world.node(() => ({ services: [identifyService(), ping], gater }))
        address = made.address.text
        toServe(made, onEvent)
        return { node: made.node, ping: ping.ping, warnings: [], close: () => {} }
      },
      { messageId },
    )
    const engine = { ...ports.page, onDeath: () => {}, end: () => {} }
    const peer = await this.wait(Peer.start(engine, { ...engineOptions, ...options }, { log: () => {}, ...extras }))
    peers.push(peer)
    return { peer, address }
  }
}
