/**
 * The peers of a name in IndexedDB: one record for each, under its id, written a batch at a time.
 */

import { STORED_PEERS_READ } from '../engine/limits.ts'
import type { PeerShelf } from '../port/peer-shelf.ts'
import { PEERS, withDatabase } from './database.ts'

/** A page may be gone at any time, and its worker hears nothing of that: what it loses is this much. Milliseconds. */
const DELAY = 500

export const peersInDatabase = (name: string): PeerShelf => ({
  delay: DELAY,
  load: () =>
    withDatabase(name, async (database) => {
      const { store, done } = database.transaction(PEERS, 'readwrite')
      const [keys, values] = await Promise.all([store.getAllKeys(null, STORED_PEERS_READ), store.getAll(null, STORED_PEERS_READ)])
      const last = keys.at(-1)
      // More than we write: nobody would ever read it.
      if (keys.length === STORED_PEERS_READ && last !== undefined) await store.delete(IDBKeyRange.lowerBound(last, true))
      await done
      return keys.map((key, at) => [String(key), values[at] as unknown] as const)
    }),
  write: (changes) =>
    withDatabase(name, async (database) => {
      const { store, done } = database.transaction(PEERS, 'readwrite', { durability: 'relaxed' })
      const requests = [...changes].map(([key, stored]) => (stored === undefined ? store.delete(key) : store.put(stored, key)))
      await Promise.all([...requests, done])
    }),
})
