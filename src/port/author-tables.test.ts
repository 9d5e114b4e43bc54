import { describe, expect, it } from 'vitest'
import { type Ed25519Instance, ed25519Tables, instantiateEd25519, TABLES } from '../../workers/ed25519/load.ts'
import { privateKey } from '../engine/codec/keys.ts'
import { signWith } from '../engine/crypto/verify.ts'
import { AUTHOR_TABLE_FROM } from '../engine/limits.ts'
import { prng } from '../engine/testing/prng.ts'
import { AuthorTables } from './author-tables.ts'
import { verifier } from './web-crypto.ts'

const random = prng(7)

/** Notes what the module is asked, and answers with the module's own voice. */
const watched = () => {
  const module = ed25519Tables(instantiateEd25519() as Ed25519Instance)
  const asked = { tables: [] as number[], batches: [] as number[] }
  const tables = new AuthorTables(() => ({
    takes: module.takes,
    make(table, key) {
      asked.tables.push(table)
      return module.make(table, key)
    },
    check(list) {
      asked.batches.push(list.length)
      return module.check(list)
    },
  }))
  const verify = verifier(tables)
  const author = () => {
    const key = privateKey('Ed25519', random.bytes(32))
    const bytes = random.bytes(50)
    const signature = signWith(key, bytes)
    const check = (count: number, given = signature): Promise<boolean[]> =>
      Promise.all(Array.from({ length: count }, () => new Promise<boolean>((done) => verify(key.publicKey, bytes, given, done))))
    return { check, signature }
  }
  return { asked, author }
}

describe('the tables of authors', () => {
  it('are made for who has shown many right signatures, and then a turn’s are checked together', async () => {
    const { asked, author } = watched()
    const { check } = author()
    expect(await check(AUTHOR_TABLE_FROM - 1)).not.toContain(false)
    expect(asked).toEqual({ tables: [], batches: [] })
    await check(1)
    expect(asked).toEqual({ tables: [1], batches: [] })
    expect(await check(150)).toEqual(new Array(150).fill(true))
    expect(asked.batches).toEqual([64, 64, 22])
  })

  it('refuse nobody: what is not right by them the platform decides on', async () => {
    const { asked, author } = watched()
    const { check, signature } = author()
    const wrong = signature.slice()
    wrong[3] = (wrong[3] as number) ^ 1
    // These count for nothing.
    expect(await check(2 * AUTHOR_TABLE_FROM, wrong)).not.toContain(true)
    expect(asked.tables).toEqual([])
    await check(AUTHOR_TABLE_FROM)
    expect(await Promise.all([check(1), check(1, wrong), check(1)])).toEqual([[true], [false], [true]])
    expect(asked.batches).toEqual([3])
  })

  it('are given to another author when all are taken: the least recently used one', async () => {
    const { asked, author } = watched()
    const authors = Array.from({ length: TABLES + 1 }, author)
    for (const { check } of authors.slice(0, TABLES)) await check(AUTHOR_TABLE_FROM)
    await authors[0]?.check(1)
    await authors[TABLES]?.check(AUTHOR_TABLE_FROM)
    expect(asked.tables).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 2])
    // The one whose table went starts anew.
    const before = asked.batches.length
    expect(await authors[1]?.check(AUTHOR_TABLE_FROM - 1)).not.toContain(false)
    expect([asked.tables.length, asked.batches.length]).toEqual([TABLES + 1, before])
  })

  it('are done without where there is no WebAssembly', async () => {
    const verify = verifier(new AuthorTables(() => undefined))
    const key = privateKey('Ed25519', random.bytes(32))
    const bytes = random.bytes(10)
    for (let i = 0; i < AUTHOR_TABLE_FROM + 2; i++)
      expect(await new Promise((done) => verify(key.publicKey, bytes, signWith(key, bytes), done))).toBe(true)
  })
})
