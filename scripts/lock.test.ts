/** The lock file names what every platform needs, not only the one it was written on: `npm ci` refuses it otherwise. */

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface Locked {
  readonly optionalDependencies?: Readonly<Record<string, string>>
}
const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Readonly<Record<string, Locked>>
}

describe('the lock file', () => {
  it('has every optional package of every package', () => {
    const missing = Object.entries(packages).flatMap(([at, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !(`${at}/node_modules/${name}` in packages || `node_modules/${name}` in packages)),
    )
    expect(missing).toEqual([])
  })
})
