/**
 * Two machines, a wire that cuts what it carries at random, and readers and writers that do anything in any order: what
 * was written must arrive, whole and in order, and in the end nothing must be left. A failure prints the seed.
 */

import { describe, expect, it } from 'vitest'
import { concat } from '../../codec/bytes.ts'
import { YAMUX_MAX_WINDOW } from '../../limits.ts'
import type { Prng } from '../../testing/prng.ts'
import { property } from '../../testing/property.ts'
import { Yamux } from './machine.ts'

const OPERATIONS = 20_000

/** What one side has written to a stream, or what came out at the other, as a running hash: order and content. */
interface Flow {
  bytes: number
  hash: number
}

const feed = (flow: Flow, bytes: Uint8Array): void => {
  for (const byte of bytes) flow.hash = (Math.imul(flow.hash, 31) + byte) >>> 0
  flow.bytes += bytes.length
}

class Peer {
  readonly machine: Yamux
  readonly written = new Map<number, Flow>()
  readonly read = new Map<number, Flow>()
  /** Bytes received and not yet released. */
  readonly unread = new Map<number, number>()
  readonly ended = new Set<number>()
  readonly remoteEnded = new Set<number>()
  readonly cut = new Set<number>()
  readonly closed = new Set<number>()
  readonly live = new Set<number>()
  readonly wire: Uint8Array[] = []
  far!: Peer

  constructor(role: 'dialer' | 'listener') {
    this.machine = new Yamux({ role })
  }

  start(id: number): void {
    this.live.add(id)
    this.written.set(id, { bytes: 0, hash: 7 })
    this.read.set(id, { bytes: 0, hash: 7 })
    this.unread.set(id, 0)
  }

  poll(): void {
    for (let event = this.machine.poll(); event !== undefined; event = this.machine.poll()) {
      switch (event.t) {
        case 'stream':
          this.start(event.id)
          break
        case 'data':
          if (!this.live.has(event.id)) throw new Error(`data for stream ${event.id}, which is over`)
          if (this.remoteEnded.has(event.id)) throw new Error(`data behind the end of stream ${event.id}`)
          feed(this.read.get(event.id) as Flow, event.bytes)
          this.unread.set(event.id, (this.unread.get(event.id) as number) + event.bytes.length)
          if ((this.unread.get(event.id) as number) > YAMUX_MAX_WINDOW) throw new Error('more than a window is unread')
          break
        case 'end':
          this.remoteEnded.add(event.id)
          break
        case 'closed':
          this.live.delete(event.id)
          if (event.fault === undefined) this.closed.add(event.id)
          else this.cut.add(event.id)
          break
        case 'fault':
          throw event.error
        default:
      }
    }
  }

  pull(maxBytes: number, now: number): boolean {
    const chunks = this.machine.pull(maxBytes, now)
    if (chunks === undefined) return false
    // The far side gets bytes of its own: nothing may depend on shared buffers.
    this.wire.push(concat(chunks))
    this.poll()
    return true
  }

  /** Carries at most `size` bytes to the far side. */
  carry(size: number, now: number): boolean {
    const first = this.wire.shift()
    if (first === undefined) return false
    if (first.length > size) this.wire.unshift(first.subarray(size))
    this.far.machine.handle({ t: 'bytes', bytes: first.slice(0, size) }, now)
    this.far.poll()
    return true
  }

  release(id: number, bytes: number, now: number): void {
    this.machine.handle({ t: 'release', id, bytes }, now)
    this.unread.set(id, (this.unread.get(id) as number) - bytes)
  }

  act(random: Prng, now: number): void {
    const ids = [...this.live]
    const id = ids[random.below(ids.length)]
    const what = random.below(20)
    if (id === undefined || what === 0) {
      if (ids.length > 300) return
      const opened = this.machine.open()
      if (typeof opened === 'number') this.start(opened)
    } else if (what < 9) {
      const credit = this.machine.credit(id)
      if (credit <= 0 || this.ended.has(id)) return
      const bytes = random.bytes(random.below(random.below(4) === 0 ? credit + 1 : 500))
      feed(this.written.get(id) as Flow, bytes)
      this.machine.handle({ t: 'write', id, bytes }, now)
    } else if (what < 17) {
      const unread = this.unread.get(id) as number
      this.release(id, random.below(2) === 0 ? unread : random.below(unread + 1), now)
    } else if (what < 19) {
      if (random.below(4) > 0) return
      this.machine.handle({ t: 'end', id }, now)
      this.ended.add(id)
    } else if (random.below(10) === 0) {
      this.machine.handle({ t: 'reset', id, code: 0 }, now)
      this.live.delete(id)
      this.cut.add(id)
    }
    this.poll()
  }
}

const simulate = (random: Prng): { streams: number; bytes: number; cut: number } => {
  const sides = [new Peer('dialer'), new Peer('listener')] as const
  sides[0].far = sides[1]
  sides[1].far = sides[0]
  let now = 0
  for (let step = 0; step < OPERATIONS; step++) {
    const side = sides[random.below(2) as 0 | 1]
    now += random.below(3)
    const what = random.below(10)
    if (what < 4) side.act(random, now)
    else if (what < 7) side.pull(1 + random.below(200_000), now)
    else side.carry(random.below(3) === 0 ? 1 + random.below(40) : 100_000, now)
    if (step % 1_000 === 0) side.machine.handle({ t: 'wake' }, now)
  }
  // Everybody ends and reads to the end.
  for (let quiet = false; !quiet; ) {
    quiet = true
    for (const side of sides) {
      for (const id of side.live) {
        side.machine.handle({ t: 'end', id }, now)
        side.ended.add(id)
      }
      for (const [id, bytes] of side.unread) if (bytes > 0) side.release(id, bytes, now)
      while (side.pull(100_000, now)) quiet = false
      while (side.carry(100_000, now)) quiet = false
    }
  }
  let bytes = 0
  for (const side of sides) {
    for (const [id, flow] of side.read) {
      const sent = side.far.written.get(id) as Flow
      const cut = side.cut.has(id) || side.far.cut.has(id)
      if (cut) expect(flow.bytes).toBeLessThanOrEqual(sent.bytes)
      else expect([id, flow]).toEqual([id, sent])
      bytes += flow.bytes
    }
    expect([...side.live]).toEqual([])
    expect(side.machine.size).toBe(0)
    expect(side.machine.pull(1, now)).toBeUndefined()
    for (const id of side.closed) expect(side.remoteEnded.has(id)).toBe(true)
  }
  return { streams: sides[0].written.size, bytes, cut: sides[0].cut.size }
}

describe('two machines', () => {
  it(`deliver what was written, over ${OPERATIONS} random operations`, () => {
    let cut = 0
    property(2, (random) => {
      const result = simulate(random)
      expect(result.streams).toBeGreaterThan(100)
      expect(result.bytes).toBeGreaterThan(10_000_000)
      cut += result.cut
    })
    expect(cut).toBeGreaterThan(0)
  })
})
