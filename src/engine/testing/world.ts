/**
 * World: several nodes in one virtual time, for tests and simulations. Nothing happens but in `run`; same seed, same run.
 *
 * It implements `Host` for each node and a memory transport between them: `/memory/<n>`, in order, reliable, with a
 * latency. Links can be cut.
 *
 * With `toys` signatures are hashes and connections plain text: they protect nothing, and spare tests that are about something else the
 * milliseconds that each real one takes. Signatures that were made elsewhere are still verified.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { TabmeshError } from '../../errors.ts'
import { concat, equalBytes } from '../codec/bytes.ts'
import { type PublicKey, privateKey } from '../codec/keys.ts'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import { nobleAead } from '../crypto/noble-aead.ts'
import { signWith, verifySignature } from '../crypto/verify.ts'
import { nobleX25519 } from '../crypto/x25519.ts'
import type { Cancel, Host } from '../host.ts'
import { Node, type NodeOptions } from '../net/node.ts'
import type { Link, Net, NetEvent, Transport } from '../net/service.ts'
import { type Channel, Inlet, type Sink } from '../wire/channel.ts'
import type { Outcome } from '../wire/conversation.ts'
import { PLAINTEXT, plaintext } from './plaintext.ts'
import { prng } from './prng.ts'

interface Task {
  readonly at: number
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

export interface WorldNode {
  readonly node: Node
  /** Where it listens: `/memory/<n>/p2p/<id>`. */
  readonly address: Multiaddr
  readonly events: NetEvent[]
}

export class World {
  now = 0
  /** Milliseconds one way. */
  latency: number
  readonly random
  readonly #toys: boolean
  #tasks: Task[] = []
  #order = 0
  #deferred: (() => void)[] = []
  readonly #listeners = new Map<string, Net>()
  readonly #pipes = new Set<MemoryEnd>()
  /** What waits for the network, while that is away. */
  #stalled: (() => void)[] | undefined

  constructor(seed: number, latency = 10, { toys = false } = {}) {
    this.random = prng(seed)
    this.latency = latency
    this.#toys = toys
  }

  host(): Host {
    const key = privateKey('Ed25519', this.random.bytes(32))
    const sign = (bytes: Uint8Array): Uint8Array => (this.#toys ? toySignature(key.publicKey, bytes) : signWith(key, bytes))
    const isToy = (by: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean =>
      this.#toys && equalBytes(signature, toySignature(by, bytes))
    return {
      now: () => this.now,
      date: () => 1_750_000_000_000 + this.now,
      random: (bytes) => this.random.bytes(bytes),
      after: (ms, wake) => this.after(ms, wake),
      defer: (run) => void this.#deferred.push(run),
      sign: (bytes, done) => this.defer(() => done(sign(bytes))),
      verify: (by, bytes, signature, done) =>
        this.defer(() => done(isToy(by, bytes, signature) || (verifySignature(by, bytes, signature) ?? false))),
      x25519: nobleX25519((bytes) => this.random.bytes(bytes)),
      aead: nobleAead,
      publicKey: key.publicKey,
    }
  }

  /** A started node that listens at the next memory address and dials others. `make` gets its host. */
  node(make: (host: Host) => Omit<NodeOptions, 'host' | 'transports' | 'onEvent'> & { transports?: readonly Transport[] }): WorldNode {
    const host = this.host()
    const events: NetEvent[] = []
    const made = make(host)
    const node = new Node({
      ...(this.#toys ? { securities: [plaintext(host)], propose: [PLAINTEXT] } : {}),
      ...made,
      host,
      transports: [this.transport(), ...(made.transports ?? [])],
      onEvent: (event) => events.push(event),
    })
    const address = parseMultiaddr(`/memory/${this.#listeners.size + 1}`)
    this.#listeners.set(address.text, node)
    node.start()
    node.announce('memory', [address])
    return { node, address: parseMultiaddr(`${address.text}/p2p/${node.self}`), events }
  }

  transport(): Transport {
    return {
      name: 'memory',
      matches: (address) => address.parts[0]?.name === 'memory' && !address.parts.some((part) => part.name === 'p2p-circuit'),
      dial: (address, _net, done: (outcome: Outcome<Link>) => void) => {
        const where = `/memory/${address.parts[0]?.value}`
        return this.after(this.latency, () => {
          const listener = this.#listeners.get(where)
          if (listener === undefined) {
            return done({ ok: false, fault: new TabmeshError('ERR_RELAY_UNREACHABLE', `nobody listens at ${where}`) })
          }
          const [near, far] = this.pipe()
          listener.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: parseMultiaddr('/memory/0') })
          this.after(this.latency, () => done({ ok: true, value: { t: 'pipe', channel: near, transport: 'memory', remoteAddr: address } }))
        })
      },
    }
  }

  /** Two ends of one byte pipe through this world; `latency` where it is not the world's. */
  pipe(latency?: number): [Channel, Channel] {
    const near = new MemoryEnd(this, latency)
    const far = new MemoryEnd(this, latency)
    near.far = far
    far.far = near
    this.#pipes.add(near)
    return [near, far]
  }

  /** Every pipe breaks, as when the network goes. */
  cutAll(): void {
    for (const pipe of this.#pipes) pipe.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'the link was cut'))
    this.#pipes.clear()
  }

  /** The network is away: nothing breaks, and nothing comes. What was written comes when it is there again. */
  set network(there: boolean) {
    const stalled = this.#stalled ?? []
    this.#stalled = there ? undefined : stalled
    if (there) for (const run of stalled) this.defer(run)
  }

  /** A packet: after its time on the way, and when there is a network. */
  carry(ms: number, run: () => void): void {
    this.after(ms, () => {
      if (this.#stalled === undefined) run()
      else this.#stalled.push(run)
    })
  }

  /** Nobody answers at `address` any more. */
  silence(address: Multiaddr): void {
    this.#listeners.delete(`/memory/${address.parts[0]?.value}`)
  }

  /** `net` answers at `address` again. */
  listen(address: Multiaddr, net: Net): void {
    this.#listeners.set(`/memory/${address.parts[0]?.value}`, net)
  }

  /** Timers and bytes under way: what would still happen if time went on for ever. */
  get waiting(): number {
    return this.#tasks.reduce((count, task) => count + (task.cancelled ? 0 : 1), 0)
  }

  after(ms: number, run: () => void): Cancel {
    const task: Task = { at: this.now + ms, order: this.#order++, run, cancelled: false }
    let low = 0
    let high = this.#tasks.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#tasks[middle] as Task
      if (other.at < task.at || (other.at === task.at && other.order < task.order)) low = middle + 1
      else high = middle
    }
    this.#tasks.splice(low, 0, task)
    return () => {
      task.cancelled = true
    }
  }

  defer(run: () => void): void {
    this.#deferred.push(run)
  }

  /** Lets time pass until `ms` from now, or until `until` holds. Returns whether it did. */
  run(ms: number, until: () => boolean = () => false): boolean {
    const end = this.now + ms
    this.#drain()
    while (!until()) {
      const task = this.#tasks[0]
      if (task === undefined || task.at > end) {
        this.now = end
        return until()
      }
      this.#tasks.shift()
      if (task.cancelled) continue
      this.now = task.at
      task.run()
      this.#drain()
    }
    return true
  }

  #drain(): void {
    while (this.#deferred.length > 0) {
      const runs = this.#deferred
      this.#deferred = []
      for (const run of runs) run()
    }
  }
}

const toySignature = (by: PublicKey, bytes: Uint8Array): Uint8Array => sha256(concat([by.encoded, bytes]))

const WINDOW = 256 * 1024

class MemoryEnd implements Channel {
  far!: MemoryEnd
  readonly #world: World
  readonly #latency: number | undefined
  readonly #inlet = new Inlet()
  #unreleased = 0
  #ended = false

  constructor(world: World, latency: number | undefined) {
    this.#world = world
    this.#latency = latency
  }

  #after(run: () => void): void {
    this.#world.carry(this.#latency ?? this.#world.latency, run)
  }

  get credit(): number {
    return WINDOW - this.#unreleased
  }

  write(bytes: Uint8Array): void {
    if (this.#ended) return
    this.#unreleased += bytes.length
    this.#after(() => this.far.#inlet.push(bytes))
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#after(() => {
      this.far.#inlet.end()
      if (this.far.#ended) {
        this.far.#inlet.close()
        this.#inlet.close()
      }
    })
  }

  abort(fault: TabmeshError): void {
    this.#ended = true
    this.#inlet.close(fault)
    this.#after(() => this.far.#inlet.close(new TabmeshError('ERR_CONNECTION_CLOSED', 'the other end is gone', { cause: fault })))
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    const far = this.far
    this.#after(() => {
      const stuck = far.credit <= 0
      far.#unreleased -= bytes
      if (stuck && far.credit > 0) far.#inlet.drain()
    })
  }
}
