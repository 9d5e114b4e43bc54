import { afterEach, describe, expect, it } from 'vitest'
import { fromUtf8 } from '../engine/codec/bytes.ts'
import { LANE_BATCH, LANE_WINDOW } from '../engine/limits.ts'
import { prng } from '../engine/testing/prng.ts'
import { type Batch, Lane, Records } from './lane.ts'

const lanes: Lane[] = []
afterEach(() => {
  for (const lane of lanes.splice(0)) lane.close()
})

/** A lane and the batches that came out at its other end. */
const make = (): { near: Lane; far: Lane; came: Batch[]; spaces: () => number } => {
  const { port1, port2 } = new MessageChannel()
  const came: Batch[] = []
  let spaces = 0
  const near = new Lane(
    port1,
    () => {},
    () => (spaces += 1),
  )
  const far = new Lane(port2, (batch) => came.push(batch))
  lanes.push(near, far)
  return { near, far, came, spaces: () => spaces }
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** Long enough for what was posted to be there. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a lane', () => {
  it('carries the records of one turn as one batch, and a text once', async () => {
    const { near, came } = make()
    for (const data of [Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)]) {
      near.begin(7, 10)
      near.text('kitchen')
      near.u32(0xffffffff)
      near.bytes(data)
      near.utf8('grüße')
      near.latin1('\u00ff\u0000')
    }
    expect(near.waiting).toBeGreaterThan(0)
    await until(() => came.length > 0)
    await settle()
    expect(came).toHaveLength(1)
    expect([came[0]?.texts, near.waiting]).toEqual([['kitchen'], 0])
    const records = new Records(came[0] as Batch)
    for (const data of [[1, 2], [], [3]]) {
      expect([records.next(), records.text(), records.u32(), [...records.bytes()]]).toEqual([7, 'kitchen', 0xffffffff, data])
      expect([fromUtf8(records.bytes()), [...records.bytes()]]).toEqual(['grüße', [255, 0]])
    }
    expect(records.more).toBe(false)
  })

  it('has so many batches on their way and no more; the rest waits, and grows into full ones', async () => {
    const { near, far, came, spaces } = make()
    for (let i = 0; i < 20; i++) {
      near.begin(0, 8)
      near.u32(i)
      await settle()
    }
    expect(came).toHaveLength(LANE_WINDOW)
    expect([near.open, near.waiting]).toEqual([false, 4 * (20 - LANE_WINDOW)])
    far.done()
    await until(() => came.length > LANE_WINDOW)
    const rest = new Records(came[LANE_WINDOW] as Batch)
    const numbers: number[] = []
    while (rest.more) {
      rest.next()
      numbers.push(rest.u32())
    }
    expect(numbers).toEqual(Array.from({ length: 20 - LANE_WINDOW }, (_, i) => i + LANE_WINDOW))
    expect([near.waiting, spaces()]).toEqual([0, 1])
  })

  it('keeps order and bytes whatever the sizes are', async () => {
    const seed = 11
    const random = prng(seed)
    const { near, far, came } = make()
    const sent = Array.from({ length: 300 }, () => random.bytes(random.below(random.below(4) === 0 ? 60_000 : 200)))
    for (const bytes of sent) {
      near.begin(1, bytes.length)
      near.bytes(bytes)
    }
    let at = 0
    while (at < sent.length) {
      await until(() => came.length > 0)
      const batch = came.shift() as Batch
      expect(batch.length).toBeLessThan(LANE_BATCH + 60_010)
      const records = new Records(batch)
      while (records.more) {
        records.next()
        expect(Buffer.compare(records.bytes(), sent[at] as Uint8Array), `record ${at}, seed ${seed}`).toBe(0)
        at += 1
      }
      far.done()
    }
    await settle()
    expect(came).toEqual([])
  })
})
