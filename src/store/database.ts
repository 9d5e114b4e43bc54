/**
 * The one database of a name on this origin, and what is in it:
 *
 *   1   identity   'ed25519' → the key (identity.ts)
 *   2   peers      peer id → bytes (peers.ts)
 *   3   records    name → bytes (records.ts)
 *
 * It is opened for each use and closed behind it, so that nobody who upgrades or deletes it has to wait for us. One that a newer
 * version has upgraded is used as it is, as far as it has what we look for.
 */

import { type IDBPDatabase, openDB } from 'idb'

export const IDENTITY = 'identity'
export const PEERS = 'peers'
export const RECORDS = 'records'
const stores = [IDENTITY, PEERS, RECORDS]

/** Rejects as IndexedDB does, where it is refused, full or damaged. */
export const withDatabase = async <T>(name: string, use: (database: IDBPDatabase) => Promise<T>): Promise<T> => {
  const database = await open(name)
  try {
    return await use(database)
  } finally {
    database.close()
  }
}

const open = async (name: string): Promise<IDBPDatabase> => {
  try {
    return await openDB(name, stores.length, {
      upgrade(database) {
        for (const store of stores) if (!database.objectStoreNames.contains(store)) database.createObjectStore(store)
      },
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'VersionError') return openDB(name)
    throw error
  }
}
