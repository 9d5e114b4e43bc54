// Points of edwards25519, −x² + y² = 1 + d·x²·y² (RFC 8032 §5.1), and tables of their multiples.
//
// A point that is added to is (X : Y : Z : T), x = X/Z, y = Y/Z, x·y = T/Z. One that is added is kept as y − x, y + x and 2d·x·y, of the
// affine point in a table. The formulas (Hisil, Wong, Carter, Dawson: Twisted Edwards Curves Revisited, §3.1) hold for all pairs of points.
//
// The table of a point P has k·256^w·P for all k from 1 to 128 and w from 0 to 31. With it a multiple of P is 32 additions and no doubling:
// of a scalar in base 256 with digits from −128 to 127 each digit names one entry, to be added or subtracted.

import { add, carry, copy, fromBytes, invert, isZero, multiply, set, subtract } from './field'
import { BATCH, ELEMENT, KEY, MULTIPLES, POINT, PRODUCTS, SCRATCH, TABLE, TABLES, WINDOWS } from './memory'

const TWICE_D: usize = memory.data<i32>([
  0x6b2f159, 0x1eb4dca1, 0xec55ba, 0x293505, 0x1d13000e, 0x797779, 0x139c663a, 0x1b8adbff, 0x2406d9,
])

/** The sum. */
export const X: usize = SCRATCH + 0x600
export const Y: usize = X + ELEMENT
export const Z: usize = X + 2 * ELEMENT
const T: usize = X + 3 * ELEMENT
const A: usize = X + 4 * ELEMENT
const B: usize = X + 5 * ELEMENT
const C: usize = X + 6 * ELEMENT
const D: usize = X + 7 * ELEMENT
/** What is added while a table is made: y − x, y + x, 2d·x·y, 2z. */
const STEP: usize = X + 8 * ELEMENT

/** The sum is the neutral point. */
export function clear(): void {
  set(X, 0)
  set(Y, 1)
  set(Z, 1)
  set(T, 0)
}

/** Whether the sum is the neutral point: x = 0 and y = 1. */
export function isNeutral(): bool {
  subtract(A, Y, Z)
  carry(A, A)
  return isZero(A) && isZero(X)
}

/** Adds the entry, or subtracts it; D is twice the product of the Z, reduced. */
@inline
function addEntry(entry: usize, negative: bool): void {
  const minus = negative ? entry + ELEMENT : entry
  const plus = negative ? entry : entry + ELEMENT
  subtract(A, Y, X)
  multiply(A, A, minus)
  add(B, Y, X)
  multiply(B, B, plus)
  multiply(C, T, entry + 2 * ELEMENT)
  // E = B − A, H = B + A, G = D + C, F = D − C; the latter two change places where the entry is negative.
  subtract(T, B, A)
  add(B, B, A)
  add(A, D, C)
  carry(A, A)
  subtract(D, D, C)
  const f = negative ? A : D
  const g = negative ? D : A
  multiply(X, T, f)
  multiply(Y, B, g)
  multiply(Z, f, g)
  multiply(T, T, B)
}

/** Adds `scalar` times the point of the table; the scalar is 32 bytes and below 2^253. */
export function addMultiple(table: usize, scalar: usize): void {
  let over = 0
  for (let window = 0; window < WINDOWS; window++) {
    let digit = <i32>load<u8>(scalar + window) + over
    over = (digit + 128) >> 8
    digit -= over << 8
    if (digit == 0) continue
    const negative = digit < 0
    const k = negative ? -digit : digit
    add(D, Z, Z)
    carry(D, D)
    addEntry(table + <usize>(window * MULTIPLES + k - 1) * POINT, negative)
  }
}

/** Adds STEP. */
function step(): void {
  multiply(D, Z, STEP + 3 * ELEMENT)
  addEntry(STEP, false)
}

/** STEP is the sum. */
function setStep(): void {
  subtract(STEP, Y, X)
  add(STEP + ELEMENT, Y, X)
  carry(STEP + ELEMENT, STEP + ELEMENT)
  multiply(STEP + 2 * ELEMENT, T, TWICE_D)
  add(STEP + 3 * ELEMENT, Z, Z)
}

/** Writes 1/Z of `count` points of BATCH in place of Z: one inversion, and three products for each. */
export function invertBatch(count: i32): void {
  set(PRODUCTS, 1)
  for (let i: usize = 0; i < <usize>count; i++)
    multiply(PRODUCTS + (i + 1) * ELEMENT, PRODUCTS + i * ELEMENT, BATCH + i * POINT + 2 * ELEMENT)
  invert(A, PRODUCTS + <usize>count * ELEMENT)
  for (let i = <usize>count; i-- > 0; ) {
    const z = BATCH + i * POINT + 2 * ELEMENT
    multiply(B, A, z)
    multiply(z, A, PRODUCTS + i * ELEMENT)
    copy(A, B)
  }
}

/** Makes the table of the affine point at KEY: x ‖ y, both below p. */
export function makeTable(number: usize): void {
  fromBytes(X, KEY)
  fromBytes(Y, KEY + 32)
  set(Z, 1)
  multiply(T, X, Y)
  let entry = TABLES + number * TABLE
  for (let window = 0; window < WINDOWS; window++) {
    setStep()
    for (let i: usize = 0; i < <usize>MULTIPLES; i++) {
      memory.copy(BATCH + i * POINT, X, POINT)
      if (i + 1 < <usize>MULTIPLES) step()
    }
    // Twice 128 is the 1 of the next window.
    setStep()
    step()
    invertBatch(MULTIPLES)
    for (let i: usize = 0; i < <usize>MULTIPLES; i++) {
      const x = BATCH + i * POINT
      const y = x + ELEMENT
      multiply(x, x, y + ELEMENT)
      multiply(y, y, y + ELEMENT)
      subtract(entry, y, x)
      add(entry + ELEMENT, y, x)
      carry(entry + ELEMENT, entry + ELEMENT)
      multiply(entry + 2 * ELEMENT, x, y)
      multiply(entry + 2 * ELEMENT, entry + 2 * ELEMENT, TWICE_D)
      entry += POINT
    }
  }
}
