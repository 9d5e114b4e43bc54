import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodePrivateKey, encodePrivateKey } from '../engine/codec/keys.ts'
import { loadIdentity, newIdentity } from './identity.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabmesh-identity-'))
})
afterEach(() => rm(folder, { recursive: true }))

const file = () => join(folder, 'identity.key')

describe('the identity key', () => {
  it('is made at the first start and is the same ever after', async () => {
    const first = await loadIdentity(folder)
    expect(first.type).toBe('Ed25519')
    expect((await loadIdentity(folder)).publicKey.encoded).toEqual(first.publicKey.encoded)
  })

  it('is a libp2p private key in a file of its owner alone, with nothing left beside it', async () => {
    const key = await loadIdentity(folder)
    expect(new Uint8Array(await readFile(file()))).toEqual(encodePrivateKey(key))
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['identity.key'])
  })

  it('makes the folders that are missing, for its owner alone', async () => {
    const deep = join(folder, 'a', 'b')
    await loadIdentity(deep)
    expect((await stat(deep)).mode & 0o777).toBe(0o700)
  })

  it('is one when many start at once', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => loadIdentity(folder)))
    const [held] = all
    for (const each of all) expect(each.publicKey.encoded).toEqual(held?.publicKey.encoded)
    expect(decodePrivateKey(new Uint8Array(await readFile(file()))).publicKey.encoded).toEqual(held?.publicKey.encoded)
    expect(await readdir(folder)).toEqual(['identity.key'])
  })

  it.each([
    ['empty', () => new Uint8Array(0)],
    ['cut short', () => encodePrivateKey(newIdentity()).subarray(0, 40)],
    ['something else', () => Buffer.from('-----BEGIN PRIVATE KEY-----')],
  ])('is never replaced when it is %s', async (_what, damaged) => {
    const bytes = damaged()
    await writeFile(file(), bytes)
    await expect(loadIdentity(folder)).rejects.toMatchObject({ code: 'ERR_INVALID_KEY', message: expect.stringContaining(file()) })
    expect(new Uint8Array(await readFile(file()))).toEqual(new Uint8Array(bytes))
  })

  it('says where it can not be kept', async () => {
    await writeFile(join(folder, 'occupied'), '')
    await expect(loadIdentity(join(folder, 'occupied', 'below'))).rejects.toMatchObject({
      code: 'ERR_STORE',
      message: expect.stringContaining('occupied'),
      cause: { code: 'ENOTDIR' },
    })
  })

  it('says where it can not be read', async () => {
    await mkdir(file())
    await expect(loadIdentity(folder)).rejects.toMatchObject({ code: 'ERR_STORE', message: expect.stringContaining(file()) })
  })
})
