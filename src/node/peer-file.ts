/**
 * The peers on disk: one file beside the identity key, readable by its owner only. A line for each peer, so that a damaged one takes no
 * other with it:
 *
 *   tabmesh peers 1
 *   12D3Koo… <the bytes of engine/net/stored-peer.ts in base64url>
 *
 * It is always written whole, beside, synced, and put in its place: whoever reads it finds the old or the new one. What begins with
 * another number is of a newer version, and is left alone.
 *
 * Bounds: PEER_FILE_MAX bytes, STORED_PEERS_READ lines.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { STORED_PEER_MAX, STORED_PEERS_READ } from '../engine/limits.ts'
import { TabmeshError } from '../errors.ts'
import type { PeerShelf } from '../port/peer-shelf.ts'

const TITLE = 'tabmesh peers '
const VERSION = '1'

/** The file is written whole for each batch, and what a crash loses is learnt again. Milliseconds. */
const DELAY = 5_000
/** Base64 takes four bytes for three; an id has some 50. */
const PEER_FILE_MAX = STORED_PEERS_READ * (STORED_PEER_MAX * 1.5 + 128)

/** Kept in `peers` in `directory`. */
export const peersInFile = (directory: string): PeerShelf => {
  const file = join(directory, 'peers')
  /** Peer id → base64url, as in the file. */
  let lines = new Map<string, string>()
  return {
    delay: DELAY,
    async load() {
      lines = await refusing(file, () => readLines(file))
      return [...lines].map(([id, text]) => [id, new Uint8Array(Buffer.from(text, 'base64url'))] as const)
    },
    async write(changes) {
      for (const [id, stored] of changes) {
        if (stored === undefined) lines.delete(id)
        else lines.set(id, Buffer.from(stored.buffer, stored.byteOffset, stored.length).toString('base64url'))
      }
      const text = [TITLE + VERSION, ...[...lines].map(([id, line]) => `${id} ${line}`), ''].join('\n')
      await refusing(file, () => replace(directory, file, text))
    },
  }
}

const readLines = async (file: string): Promise<Map<string, string>> => {
  const text = await readAtMost(file)
  if (text === undefined) return new Map()
  const [title = '', ...rest] = text.split('\n')
  if (/^tabmesh peers \d+$/.test(title) && title !== TITLE + VERSION)
    throw new TabmeshError('ERR_STORE', `${file} is of a newer version and left alone; no peers are kept`)
  // Without its title it is damaged at least there: what follows is told line by line.
  const all = title === TITLE + VERSION ? rest : [title, ...rest]
  const lines = new Map<string, string>()
  for (const line of all.slice(0, STORED_PEERS_READ)) {
    const [id = '', stored = ''] = line.split(' ')
    if (line !== '') lines.set(id, stored)
  }
  return lines
}

const readAtMost = async (file: string): Promise<string | undefined> => {
  try {
    const { size } = await stat(file)
    if (size > PEER_FILE_MAX) throw new TabmeshError('ERR_STORE', `${file} has ${size} bytes, which is more than we write; remove it`)
    return await readFile(file, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const replace = async (directory: string, file: string, text: string): Promise<void> => {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text, 'latin1')
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, file)
  } catch (error) {
    await unlink(draft).catch(() => {})
    throw error
  }
}

const refusing = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TabmeshError) throw error
    throw new TabmeshError('ERR_STORE', `${file}: ${(error as Error).message}`, { cause: error })
  }
}
