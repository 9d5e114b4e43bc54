/**
 * Keeps the records of a DHT over restarts: reads what an earlier start left on the host's disk, and puts there what changes, in batches.
 *
 *   open ─▶ read, a slice at a time beside the running peer ─┬─▶ what changes is written, gathered over the disk's delay
 *                                                            └─▶ refused: an error, and nothing is kept
 *   written ─▶ refused: an error, once, and nothing is kept any more          close ─▶ what is left is read, and written
 *
 * Names on the disk begin with the letter of their kind. Sweeping is the stores' business: what goes there goes here.
 *
 * Bounds: those of the stores; of changes that wait for a slow disk KAD_SHELF_MAX_CHANGES.
 */

import { KAD_SHELF_MAX_CHANGES } from '../engine/limits.ts'
import type { KadService, Shelves } from '../engine/protocols/kad/service.ts'
import type { Shelf } from '../engine/protocols/kad/stores.ts'
import { asTabmeshError, TabmeshError } from '../errors.ts'

export type KadEntry = readonly [name: string, bytes: Uint8Array]

export interface KadDisk {
  /** Milliseconds over which changes are gathered. */
  readonly delay: number
  load(): Promise<readonly KadEntry[]>
  /** Undefined takes an entry away. `all` are those there are now, for a disk that is written anew. */
  write(changes: ReadonlyMap<string, Uint8Array | undefined>, all: () => Iterable<KadEntry>): Promise<void>
  close(): Promise<void>
}

export interface KeptRecords {
  /** For the service. */
  readonly shelves: Shelves
  /** The service runs: reads what there is into it. Never rejects. */
  open(kad: Pick<KadService, 'load' | 'shelved'>): Promise<void>
  /** Writes what is left. The service runs no more. */
  close(): Promise<void>
}

const letters = { records: 'r', providers: 'p', provided: 'o' } as const
type Kind = keyof typeof letters
const kinds = Object.keys(letters) as Kind[]

/** Entries that are read before others get their turn: some 20 ms. */
const SLICE = 1_000

export const keepRecords = (disk: KadDisk, onError: (error: TabmeshError) => void): KeptRecords => {
  const changes = new Map<string, Uint8Array | undefined>()
  let service: Pick<KadService, 'shelved'> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let working: Promise<void> = Promise.resolve()
  let isRead = false
  let isKept = true
  let isClosed = false

  const give = (error: TabmeshError): void => {
    if (isKept) onError(error)
    isKept = false
    changes.clear()
  }
  const change = (name: string, bytes: Uint8Array | undefined): void => {
    if (!isKept || isClosed) return
    changes.set(name, bytes)
    if (changes.size > KAD_SHELF_MAX_CHANGES) return give(new TabmeshError('ERR_STORE', 'the disk is too slow for the records of the DHT'))
    if (isRead) timer ??= setTimeout(queue, disk.delay)
  }
  const shelfOf = (kind: Kind): Shelf => ({
    put: (name, bytes) => change(letters[kind] + name, bytes),
    delete: (name) => change(letters[kind] + name, undefined),
  })
  function* all(): Generator<KadEntry> {
    if (service === undefined) return
    const { shelved } = service
    for (const kind of kinds) for (const [name, bytes] of shelved[kind]) yield [letters[kind] + name, bytes]
  }
  const write = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    if (changes.size === 0 || !isKept) return
    const batch = new Map(changes)
    changes.clear()
    try {
      await disk.write(batch, all)
    } catch (error) {
      give(asTabmeshError(error, 'ERR_STORE', 'the records of the DHT can not be kept'))
    }
  }
  const queue = (): Promise<void> => {
    working = working.then(write)
    return working
  }

  const read = async (kad: Pick<KadService, 'load' | 'shelved'>): Promise<void> => {
    try {
      const entries = await disk.load()
      for (let at = 0; at < entries.length; at += SLICE) {
        const sorted: Record<Kind, KadEntry[]> = { records: [], providers: [], provided: [] }
        for (const [name, bytes] of entries.slice(at, at + SLICE)) {
          const kind = kinds.find((each) => letters[each] === name[0])
          // What has changed meanwhile is newer.
          if (kind !== undefined && !changes.has(name)) sorted[kind].push([name.slice(1), bytes])
        }
        kad.load(sorted)
        await new Promise((resolve) => setTimeout(resolve))
      }
    } catch (error) {
      return give(asTabmeshError(error, 'ERR_STORE', 'the records of the DHT can not be read'))
    }
    service = kad
    isRead = true
    if (changes.size > 0) queue()
  }

  return {
    shelves: { records: shelfOf('records'), providers: shelfOf('providers'), provided: shelfOf('provided') },
    open(kad) {
      working = read(kad)
      return working
    },
    async close() {
      // A disk that is written anew gets all there is: before that is read, what has changed can't be written.
      await working
      isClosed = true
      if (isRead) await write()
      await disk.close().catch(() => {})
    },
  }
}
