/**
 * The records of a DHT in IndexedDB: an entry each, under its name, written a batch at a time.
 */

import { KAD_SHELF_MAX_READ } from '../engine/limits.ts'
import type { KadDisk } from '../port/kad-shelf.ts'
import { RECORDS, withDatabase } from './database.ts'

/** A page may be gone at any time: what it loses is this much. Milliseconds. */
const DELAY = 500

export const recordsInDatabase = (name: string): KadDisk => ({
  delay: DELAY,
  load: () =>
    withDatabase(name, async (database) => {
      const { store, done } = database.transaction(RECORDS)
      const [keys, values] = await Promise.all([store.getAllKeys(null, KAD_SHELF_MAX_READ), store.getAll(null, KAD_SHELF_MAX_READ)])
      await done
      // What is no bytes is damaged: as nothing, it is read and taken away.
      return keys.map((key, at) => [String(key), values[at] instanceof Uint8Array ? values[at] : new Uint8Array(0)] as const)
    }),
  write: (changes) =>
    withDatabase(name, async (database) => {
      const { store, done } = database.transaction(RECORDS, 'readwrite', { durability: 'relaxed' })
      const requests = [...changes].map(([key, bytes]) => (bytes === undefined ? store.delete(key) : store.put(bytes, key)))
      await Promise.all([...requests, done])
    }),
  close: () => Promise.resolve(),
})
