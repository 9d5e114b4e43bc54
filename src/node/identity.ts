/**
 * The identity key on disk: one file, the libp2p protobuf of the private key, readable by its owner only.
 *
 *   read ──▶ there: decoded, or an error; a damaged key is never replaced, since that would be another peer
 *     └────▶ not there: made, written beside, synced, and linked to its name; who comes second takes the first one's
 */

import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PrivateKey } from '../engine/codec/keys.ts'
import { decodePrivateKey, encodePrivateKey, privateKey } from '../engine/codec/keys.ts'
import { TabmeshError } from '../errors.ts'

/** A key that nobody has had before. */
export const newIdentity = (): PrivateKey => privateKey('Ed25519', new Uint8Array(randomBytes(32)))

/** The key in `directory`, made there if there is none. Throws ERR_INVALID_KEY where it is damaged, ERR_STORE where it can't be read or written. */
export const loadIdentity = async (directory: string): Promise<PrivateKey> => {
  const file = join(directory, 'identity.key')
  const held = await readKey(file)
  if (held !== undefined) return held
  const made = newIdentity()
  const first = await refusing(file, () => writeNew(file, encodePrivateKey(made)))
  if (first) return made
  const theirs = await readKey(file)
  if (theirs === undefined) throw new TabmeshError('ERR_STORE', `${file} comes and goes`)
  return theirs
}

const readKey = async (file: string): Promise<PrivateKey | undefined> => {
  const bytes = await refusing(file, () =>
    readFile(file).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : Promise.reject(error))),
  )
  if (bytes === undefined) return undefined
  try {
    return decodePrivateKey(new Uint8Array(bytes))
  } catch (error) {
    throw new TabmeshError('ERR_INVALID_KEY', `${file} is damaged; restore it, or remove it to become another peer`, { cause: error })
  }
}

/** False where another process was first. What has the name is always whole: it gets it once it is on the disk. */
const writeNew = async (file: string, bytes: Uint8Array): Promise<boolean> => {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    return await nameIt(draft, file)
  } finally {
    await unlink(draft).catch(() => {})
  }
}

/** `link` fails where the name is taken, `rename` would replace it: the latter only where a file system has no links. */
const nameIt = async (draft: string, file: string): Promise<boolean> => {
  try {
    await link(draft, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS' && code !== 'EMLINK') throw error
    await rename(draft, file)
  }
  return true
}

const refusing = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    throw new TabmeshError('ERR_STORE', `${file}: ${(error as Error).message}`, { cause: error })
  }
}
