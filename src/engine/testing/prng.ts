/**
 * A seeded source of randomness for tests and simulations: xoshiro128** (https://prng.di.unimi.it/). Same seed, same run,
 * on every machine. Not for keys.
 */

export interface Prng {
  /** An integer from 0 to 2^32 − 1. */
  u32(): number
  /** An integer from 0 to `n` − 1. */
  below(n: number): number
  bytes(n: number): Uint8Array
}

export const prng = (seed: number): Prng => {
  // splitmix32 spreads the seed, so that seeds 1, 2, 3 … do not begin alike.
  let spread = seed >>> 0
  const next = (): number => {
    spread = (spread + 0x9e3779b9) >>> 0
    let z = spread
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
  let a = next()
  let b = next()
  let c = next()
  let d = next()

  const u32 = (): number => {
    const x = Math.imul(b, 5)
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0
    const t = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = (d << 11) | (d >>> 21)
    return result
  }
  return {
    u32,
    below: (n) => Math.floor((u32() / 0x1_0000_0000) * n),
    bytes(n) {
      const bytes = new Uint8Array(n)
      const whole = new Uint32Array(bytes.buffer, 0, n >> 2)
      for (let i = 0; i < whole.length; i++) whole[i] = u32()
      for (let i = whole.length * 4; i < n; i++) bytes[i] = u32()
      return bytes
    },
  }
}
