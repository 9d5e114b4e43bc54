import type { resolveTxt } from 'node:dns'
import { expect, it } from 'vitest'
import { systemTxt } from './dns.ts'

/** A system that answers so. */
const system = (code: string | null, records: string[][] = []) =>
  ((_name: string, done: (error: unknown, records: string[][]) => void) =>
    queueMicrotask(() => done(code === null ? null : Object.assign(new Error(code), { code }), records))) as unknown as typeof resolveTxt

const lookUp = (resolve: typeof resolveTxt) => new Promise((done) => systemTxt(resolve)('a.example', done))

it('TXT records: strings of one record are one text, no name is no text, all else is ERR_DNS', async () => {
  expect(await lookUp(system(null, [['dnsaddr=/ip4/', '1.2.3.4'], ['x']]))).toEqual({ ok: true, value: ['dnsaddr=/ip4/1.2.3.4', 'x'] })
  expect(await lookUp(system('ENOTFOUND'))).toEqual({ ok: true, value: [] })
  expect(await lookUp(system('ENODATA'))).toEqual({ ok: true, value: [] })
  expect(await lookUp(system('ESERVFAIL'))).toMatchObject({ ok: false, fault: { code: 'ERR_DNS' } })
})
