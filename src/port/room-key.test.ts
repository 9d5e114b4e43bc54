import { scryptSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ROOM_SCRYPT } from '../engine/limits.ts'
import { openPlace, saltOf, sealedPlace } from '../engine/protocols/room/place.ts'
import { TabmeshError } from '../errors.ts'
import { placeOf } from './room-key.ts'

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof TabmeshError ? error.code : String(error)),
  )

describe('the place of a room', () => {
  it('is by scrypt, as anybody has it, and the same for what looks the same', async () => {
    const root = scryptSync('caf\u00e9', saltOf('kitchen'), 32, { ...ROOM_SCRYPT, maxmem: 256 * 1024 * 1024 })
    const places = await Promise.all([placeOf('kitchen', 'caf\u00e9'), placeOf('kitchen', 'cafe\u0301')])
    expect(places).toEqual([sealedPlace(root), sealedPlace(root)])
    expect(await placeOf('kitchen', undefined)).toEqual(openPlace('kitchen'))
  })

  it('lets others run while it is worked out', async () => {
    let turns = 0
    const timer = setInterval(() => {
      turns += 1
    }, 1)
    await placeOf('kitchen', 'secret')
    clearInterval(timer)
    expect(turns).toBeGreaterThan(5)
  })

  it('is refused where there is no name, or an empty password', async () => {
    expect(await codeOf(placeOf('', 'x'))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(placeOf('kitchen', ''))).toBe('ERR_INVALID_ARGUMENT')
  })
})
