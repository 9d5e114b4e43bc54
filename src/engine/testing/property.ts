/**
 * Property tests: a check that is run on many seeds. A failure names its seed; `property(1, check, seed)` replays it.
 */

import { TabmeshError } from '../../errors.ts'
import { type Prng, prng } from './prng.ts'

export const property = (rounds: number, check: (random: Prng) => void, firstSeed = 1): void => {
  for (let seed = firstSeed; seed < firstSeed + rounds; seed++) {
    try {
      check(prng(seed))
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
}

/** Runs a decoder on hostile bytes: a coded error is an answer, any other one comes through. Returns whether it decoded. */
export const decodes = (decode: () => unknown): boolean => {
  try {
    decode()
    return true
  } catch (error) {
    if (error instanceof TabmeshError && error.code !== 'ERR_INTERNAL') return false
    throw error
  }
}

/** The code of the error that `run` throws, or undefined where it throws none. */
export const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof TabmeshError) return error.code
    throw error
  }
}

/** `valid` with a few bytes changed, dropped or put in: it gets further into a decoder than noise does. */
export const mutate = (random: Prng, valid: Uint8Array): Uint8Array => {
  const bytes = [...valid]
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const at = random.below(bytes.length + 1)
    const kind = random.below(3)
    if (kind === 0) bytes[at] = random.below(256)
    else if (kind === 1) bytes.splice(at, 1)
    else bytes.splice(at, 0, random.below(256))
  }
  return Uint8Array.from(bytes)
}
