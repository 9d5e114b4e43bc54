import { describe, expect, it } from 'vitest'
import { KAD_SHELF_MAX_CHANGES } from '../engine/limits.ts'
import type { Shelved } from '../engine/protocols/kad/service.ts'
import type { TabmeshError } from '../errors.ts'
import { type KadDisk, type KadEntry, keepRecords } from './kad-shelf.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

/** A disk in memory. */
const scene = (there: readonly (readonly [string, string])[] = [], change: Partial<KadDisk> = {}) => {
  const entries = new Map(there.map(([name, text]) => [name, bytes(text)]))
  const log: string[] = []
  const faults: TabmeshError[] = []
  const disk: KadDisk = {
    delay: 0,
    load: async () => [...entries],
    async write(changes) {
      log.push([...changes.keys()].join())
      for (const [name, value] of changes) value === undefined ? entries.delete(name) : entries.set(name, value)
    },
    async close() {
      log.push('closed')
    },
    ...change,
  }
  const loaded: string[] = []
  const kad = {
    load(shelved: Partial<Shelved>) {
      for (const [kind, all] of Object.entries(shelved))
        for (const [name, value] of all) loaded.push(`${kind} ${name} ${Buffer.from(value)}`)
    },
    shelved: { records: [['1', bytes('one')]], providers: [['2', bytes('two')]], provided: [] as KadEntry[] } satisfies Shelved,
  }
  return { disk, kept: keepRecords(disk, (fault) => faults.push(fault)), entries, log, faults, loaded, kad }
}
const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

describe('what is kept of a DHT', () => {
  it('is read into its stores, each kind into its own, and what is of no kind is left alone', async () => {
    const { kept, kad, loaded, log } = scene([
      ['rx', 'a'],
      ['py/z', 'b'],
      ['ow', 'c'],
      ['?', 'd'],
    ])
    await kept.open(kad)
    expect(loaded).toEqual(['records x a', 'providers y/z b', 'provided w c'])
    await kept.close()
    expect(log).toEqual(['closed'])
  })

  it('is written in batches, the last one at the end', async () => {
    const { kept, kad, entries, log } = scene()
    await kept.open(kad)
    kept.shelves.records.put('x', bytes('1'))
    kept.shelves.records.put('x', bytes('2'))
    kept.shelves.providers.put('y', bytes('3'))
    await later()
    kept.shelves.records.delete('x')
    kept.shelves.provided.put('z', bytes('4'))
    await kept.close()
    kept.shelves.provided.put('late', bytes('5'))
    await later()
    expect([log, [...entries.keys()]]).toEqual([
      ['rx,py', 'rx,oz', 'closed'],
      ['py', 'oz'],
    ])
  })

  it('does not come back when it was changed before it was read', async () => {
    const { kept, kad, loaded, entries } = scene([
      ['rx', 'old'],
      ['ry', 'old'],
      ['rz', 'old'],
    ])
    const opened = kept.open(kad)
    kept.shelves.records.put('x', bytes('new'))
    kept.shelves.records.delete('y')
    await opened
    await kept.close()
    expect(loaded).toEqual(['records z old'])
    expect([...entries].map(([name, value]) => `${name} ${Buffer.from(value)}`)).toEqual(['rx new', 'rz old'])
  })

  it('that changes while a slow disk is read is written all the same, when it is closed meanwhile', async () => {
    let read = (_: KadEntry[]): void => {}
    const { kept, kad, loaded, entries, log } = scene([], { load: () => new Promise((resolve) => (read = resolve)) })
    const opened = kept.open(kad)
    kept.shelves.records.put('x', bytes('new'))
    const closed = kept.close()
    await later()
    expect(log).toEqual([])
    read([['py', bytes('old')]])
    await Promise.all([opened, closed])
    expect([loaded, log, [...entries.keys()]]).toEqual([['providers y old'], ['rx', 'closed'], ['rx']])
  })

  it('is handed out whole to a disk that is written anew', async () => {
    let all: KadEntry[] = []
    const { kept, kad } = scene([], {
      write: async (_changes, entries) => {
        all = [...entries()]
      },
    })
    await kept.open(kad)
    kept.shelves.records.put('x', bytes('1'))
    await kept.close()
    expect(all).toEqual([
      ['r1', bytes('one')],
      ['p2', bytes('two')],
    ])
  })

  it('is no more where a disk refuses: said once', async () => {
    for (const change of [
      { load: () => Promise.reject(new Error('no')) },
      { write: () => Promise.reject(new Error('full')) },
    ] satisfies Partial<KadDisk>[]) {
      const { kept, kad, faults } = scene([], change)
      await kept.open(kad)
      for (const name of ['x', 'y']) {
        kept.shelves.records.put(name, bytes('1'))
        await later()
      }
      await kept.close()
      expect(faults.map(({ code }) => code)).toEqual(['ERR_STORE'])
    }
  })

  it('does not pile up before a disk that is too slow', async () => {
    const { kept, kad, faults } = scene([], { write: () => new Promise(() => {}) })
    await kept.open(kad)
    const none = bytes('')
    kept.shelves.records.put('first', none)
    await later()
    for (let n = 0; n <= KAD_SHELF_MAX_CHANGES; n++) kept.shelves.records.put(String(n), none)
    expect(faults.map(({ code }) => code)).toEqual(['ERR_STORE'])
  })
})
