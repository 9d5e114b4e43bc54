/** Integers from 0 to `n` − 1 out of the host's randomness, which is asked for a thousand bytes at a time. */

import type { Host } from '../../host.ts'

const POOL = 1_024

export const chance = (host: Pick<Host, 'random'>): ((n: number) => number) => {
  let pool: DataView = new DataView(new ArrayBuffer(0))
  let at = 0
  return (n) => {
    if (at + 4 > pool.byteLength) {
      const bytes = host.random(POOL)
      pool = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      at = 0
    }
    const value = pool.getUint32(at)
    at += 4
    return Math.floor((value / 0x1_0000_0000) * n)
  }
}
