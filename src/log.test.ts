import { afterEach, expect, it, vi } from 'vitest'
import { consoleLogger } from './log.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** The scopes that are written where `localStorage.debug` is `setting`. */
const written = (setting: string | null): string[] => {
  vi.stubGlobal('localStorage', { getItem: (name: string) => (name === 'debug' ? setting : null) })
  const scopes: string[] = []
  vi.spyOn(console, 'debug').mockImplementation((scope) => void scopes.push(String(scope)))
  const log = consoleLogger()
  for (const scope of ['tabmesh:peer', 'tabmesh:relay', 'tabmeshX', 'other']) log({ time: 0, scope, message: 'm', detail: 1 })
  return scopes
}

it.each<[string | null, string[]]>([
  [null, []],
  ['', []],
  ['other:*', []],
  ['tabmesh:*', ['tabmesh:peer', 'tabmesh:relay']],
  ['tabmesh:peer', ['tabmesh:peer']],
  ['other, tabmesh:re*', ['tabmesh:relay']],
  ['tabmesh:(.+', []],
  ['*', ['tabmesh:peer', 'tabmesh:relay', 'tabmeshX', 'other']],
])('localStorage.debug = %j', (setting, scopes) => {
  expect(written(setting)).toEqual(scopes)
})

it('is silent where storage may not be looked at', () => {
  vi.stubGlobal('localStorage', {
    getItem: () => {
      throw new DOMException('denied', 'SecurityError')
    },
  })
  const debug = vi.spyOn(console, 'debug')
  consoleLogger()({ time: 0, scope: 'tabmesh:peer', message: 'm' })
  expect(debug).not.toHaveBeenCalled()
})
