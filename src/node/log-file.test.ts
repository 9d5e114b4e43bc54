import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TabmeshError } from '../errors.ts'
import type { KadEntry } from '../port/kad-shelf.ts'
import { recordsInFile } from './log-file.ts'

let folder = ''
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabmesh-log-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const fresh = (): string => join(folder, `${count++}`, 'dht')
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const none = (): never[] => []
const read = async (file: string): Promise<[string, string][]> =>
  (await recordsInFile(file).load()).map(([name, value]) => [name, Buffer.from(value).toString()])

describe('a log of entries', () => {
  it('gives back what was written, the later one of a name, in the order in which they were written', async () => {
    const file = fresh()
    expect(await read(file)).toEqual([])
    const disk = recordsInFile(file)
    await disk.load()
    await disk.write(
      new Map([
        ['a', bytes('1')],
        ['b', bytes('2')],
        ['c', bytes('3')],
      ]),
      none,
    )
    await disk.write(
      new Map([
        ['a', bytes('4')],
        ['b', undefined],
        ['e', bytes('')],
      ]),
      none,
    )
    expect(await read(file)).toEqual([
      ['c', '3'],
      ['a', '4'],
      ['e', ''],
    ])
    await disk.close()
    const next = recordsInFile(file)
    await next.load()
    await next.write(new Map([['d', bytes('5')]]), none)
    await next.close()
    expect((await read(file)).length).toBe(4)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('is written anew when most of it is over', async () => {
    const file = fresh()
    const disk = recordsInFile(file)
    await disk.load()
    const there = new Map<string, Uint8Array>()
    const all = (): Iterable<KadEntry> => there.entries()
    for (let round = 0; round < 60; round++) {
      const changes = new Map(Array.from({ length: 100 }, (_, at) => [`n${at}`, bytes(`round ${round}`)] as const))
      for (const [name, value] of changes) there.set(name, value)
      await disk.write(changes, all)
    }
    await disk.close()
    const lines = (await readFile(file, 'latin1')).split('\n').length
    expect(lines).toBeLessThan(4_500)
    expect(new Map(await read(file))).toEqual(new Map([...there].map(([name]) => [name, 'round 59'])))
  })

  it('loses only the lines that are damaged, and goes on behind a torn one', async () => {
    const file = fresh()
    const disk = recordsInFile(file)
    await disk.load()
    await disk.write(
      new Map([
        ['a', bytes('1')],
        ['b', bytes('2')],
      ]),
      none,
    )
    await disk.close()
    await appendFile(file, 'c MzM')
    expect(await read(file)).toEqual([
      ['a', '1'],
      ['b', '2'],
    ])
    const next = recordsInFile(file)
    const kept = await next.load()
    await next.write(new Map([['d', bytes('4')]]), () => [...kept, ['d', bytes('4')]])
    await next.close()
    expect(await read(file)).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['d', '4'],
    ])
    await writeFile(file, 'tabm\n\u0000 \u0000\nx eA\n')
    expect((await read(file)).find(([name]) => name === 'x')).toEqual(['x', 'x'])
  })

  it('of a newer version is left alone', async () => {
    const file = join(folder, 'newer')
    await writeFile(file, 'tabmesh dht 2\nwhatever\n')
    const fault = (await recordsInFile(file)
      .load()
      .catch((error) => error)) as TabmeshError
    expect([fault.code, fault.message.includes('newer version')]).toEqual(['ERR_STORE', true])
    expect(await readFile(file, 'latin1')).toBe('tabmesh dht 2\nwhatever\n')
  })

  it('that can not be written says so', async () => {
    const file = join(folder, 'plain', 'dht')
    await writeFile(join(folder, 'plain'), '')
    const disk = recordsInFile(file)
    const fault = (await disk.write(new Map([['a', bytes('1')]]), none).catch((error) => error)) as TabmeshError
    expect(fault.code).toBe('ERR_STORE')
    await disk.close()
  })
})
