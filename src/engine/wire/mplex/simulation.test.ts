/**
 * Two machines, a wire that cuts what it carries at random, and readers and writers that do anything in any order: what was
 * written must arrive, whole and in order, unless its reader was too slow; and in the end nothing must be left. A failure
 * prints the seed.
 */

import { describe, expect, it } from 'vitest'
import { concat } from '../../codec/bytes.ts'
import { MPLEX_MAX_UNREAD, MPLEX_OPEN_PERIOD } from '../../limits.ts'
import type { Prng } from '../../testing/prng.ts'
import { property } from '../../testing/property.ts'
import { Mplex } from './machine.ts'

const OPERATIONS = 10_000
/** Small enough that readers do fall behind. */
const BUFFER = 600_000

/** What one side has written to a stream, or what came out at the other, as a running hash: order and content. */
interface Flow {
  bytes: number
  hash: number
}

const feed = (flow: Flow, bytes: Uint8Array): void => {
  for (const byte of bytes) flow.hash = (Math.imul(flow.hash, 31) + byte) >>> 0
  flow.bytes += bytes.length
}

/** The other side's name for the same stream. */
const mirror = (key: number): number => key ^ 1

class Peer {
  readonly machine = new Mplex({ receiveBuffer: BUFFER })
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
  overflows = 0
  far!: Peer

  start(key: number): void {
    this.live.add(key)
    this.written.set(key, { bytes: 0, hash: 7 })
    this.read.set(key, { bytes: 0, hash: 7 })
    this.unread.set(key, 0)
  }

  poll(): void {
    for (let event = this.machine.poll(); event !== undefined; event = this.machine.poll()) {
      const { key } = event as { key: number }
      switch (event.t) {
        case 'stream':
          this.start(key)
          break
        case 'data':
          if (!this.live.has(key)) throw new Error(`data for stream ${key}, which is over`)
          if (this.remoteEnded.has(key)) throw new Error(`data behind the end of stream ${key}`)
          feed(this.read.get(key) as Flow, event.bytes)
          this.unread.set(key, (this.unread.get(key) as number) + event.bytes.length)
          if ((this.unread.get(key) as number) > BUFFER) throw new Error('more than a buffer is unread')
          break
        case 'end':
          this.remoteEnded.add(key)
          break
        case 'closed':
          this.live.delete(key)
          if (event.fault === undefined) this.closed.add(key)
          else {
            this.cut.add(key)
            this.unread.delete(key)
            if (event.fault.code === 'ERR_STREAM_OVERFLOW') this.overflows++
          }
          break
        case 'fault':
          throw new Error(event.fault.what)
        default:
      }
    }
    let unread = 0
    for (const bytes of this.unread.values()) unread += bytes
    if (unread > MPLEX_MAX_UNREAD) throw new Error('more than the bound of all streams is unread')
  }

  pull(maxBytes: number, now: number): boolean {
    const chunks = this.machine.pull(maxBytes, now)
    if (chunks === undefined) return false
    // The far side gets bytes of its own: nothing may depend on shared buffers.
    this.wire.push(concat(chunks))
    this.poll()
    return true
  }

  /** Carries at most `size` bytes to the far side, unless that is paused and `patient`. */
  carry(size: number, now: number, patient: boolean): boolean {
    if (patient && this.far.machine.paused) return false
    const first = this.wire.shift()
    if (first === undefined) return false
    if (first.length > size) this.wire.unshift(first.subarray(size))
    this.far.machine.handle({ t: 'bytes', bytes: first.slice(0, size) }, now)
    this.far.poll()
    return true
  }

  release(key: number, bytes: number, now: number): void {
    this.machine.handle({ t: 'release', key, bytes }, now)
    this.unread.set(key, (this.unread.get(key) as number) - bytes)
  }

  act(random: Prng, now: number): void {
    const keys = [...this.live]
    const key = keys[random.below(keys.length)]
    const what = random.below(20)
    if (key === undefined || what === 0) {
      if (keys.length > 150) return
      const opened = this.machine.open()
      if (typeof opened === 'number') this.start(opened)
    } else if (what < 10) {
      const credit = this.machine.credit(key)
      if (credit <= 0 || this.ended.has(key)) return
      const bytes = random.bytes(random.below(random.below(3) === 0 ? credit + 1 : 500))
      feed(this.written.get(key) as Flow, bytes)
      this.machine.handle({ t: 'write', key, bytes }, now)
    } else if (what < 16) {
      const unread = this.unread.get(key) as number
      this.release(key, random.below(2) === 0 ? unread : random.below(unread + 1), now)
    } else if (what < 18) {
      if (random.below(4) > 0) return
      this.machine.handle({ t: 'end', key }, now)
      this.ended.add(key)
    } else if (random.below(10) === 0) {
      this.machine.handle({ t: 'reset', key }, now)
      this.live.delete(key)
      this.cut.add(key)
      this.unread.delete(key)
    }
    this.poll()
  }
}

/** `patient`: the wire waits while a side is paused, as TCP does, and time passes slowly. Without it, slow readers lose their streams. */
const simulate = (random: Prng, patient: boolean): { streams: number; bytes: number; cut: number; overflows: number } => {
  const sides = [new Peer(), new Peer()] as const
  sides[0].far = sides[1]
  sides[1].far = sides[0]
  let now = 0
  for (let step = 0; step < OPERATIONS; step++) {
    const side = sides[random.below(2) as 0 | 1]
    now += random.below(patient ? 3 : 30)
    const what = random.below(10)
    if (what < 4) side.act(random, now)
    else if (what < 7) side.pull(1 + random.below(200_000), now)
    else side.carry(random.below(3) === 0 ? 1 + random.below(40) : 100_000, now, patient)
    const { deadline } = side.machine
    if (deadline !== undefined && deadline <= now) side.machine.handle({ t: 'wake' }, now)
    side.poll()
  }
  // Everybody ends and reads to the end.
  for (let quiet = 0; quiet < 2; quiet++) {
    now += MPLEX_OPEN_PERIOD
    for (const side of sides) {
      for (const key of side.live) {
        side.machine.handle({ t: 'end', key }, now)
        side.ended.add(key)
      }
      for (const [key, bytes] of side.unread) if (bytes > 0) side.release(key, bytes, now)
      while (side.pull(100_000, now)) quiet = 0
      while (side.carry(100_000, now, patient)) quiet = 0
    }
  }
  let bytes = 0
  for (const side of sides) {
    for (const [key, flow] of side.read) {
      const sent = side.far.written.get(mirror(key)) as Flow
      const cut = side.cut.has(key) || side.far.cut.has(mirror(key))
      if (cut) expect(flow.bytes).toBeLessThanOrEqual(sent?.bytes ?? 0)
      else expect([key, flow]).toEqual([key, sent])
      bytes += flow.bytes
    }
    expect([...side.live]).toEqual([])
    expect(side.machine.size).toBe(0)
    expect(side.machine.paused).toBe(false)
    expect(side.machine.pull(1, now)).toBeUndefined()
    for (const key of side.closed) expect(side.remoteEnded.has(key)).toBe(true)
  }
  return { streams: sides[0].written.size, bytes, cut: sides[0].cut.size, overflows: sides[0].overflows + sides[1].overflows }
}

describe('two machines', () => {
  it.each([
    ['that pause each other', true],
    ['that can not', false],
  ])(`%s deliver what was written, over ${OPERATIONS} random operations`, (_, patient) => {
    let cut = 0
    property(2, (random) => {
      const result = simulate(random, patient)
      expect(result.streams).toBeGreaterThan(50)
      expect(result.bytes).toBeGreaterThan(5_000_000)
      expect(result.overflows > 0).toBe(!patient)
      cut += result.cut
    })
    expect(cut).toBeGreaterThan(0)
  })
})
