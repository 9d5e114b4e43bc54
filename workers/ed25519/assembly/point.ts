// Points of edwards25519, −x² + y² = 1 + d·x²·y² (RFC 8032 §5.1), two at a time (field.ts), and tables of their multiples.
//
// A point that is added to is (X : Y : Z : T), x = X/Z, y = Y/Z, x·y = T/Z. One that is added is kept as y − x, y + x, 2d·x·y and 2; in a table
// as the half of that. The formulas (Hisil, Wong, Carter, Dawson: Twisted Edwards Curves Revisited, §3.1) hold for all pairs of points.
//
// The table of a point P has k·256^w·P for all k from 1 to 128 and w from 0 to 31. With it a multiple of P is 32 additions and no doubling:
// of a scalar in base 256 with digits from −128 to 127 each digit names one entry, to be added or subtracted.

import { add, carry, copy, fromBytes, gather, invert, isZero, multiply, negate, scatter, set, subtract, toBytes } from './field'
import { BATCH, ENTRY, KEY, LANE, MULTIPLES, NEUTRAL, PAIR, POINT, PRODUCTS, SCRATCH, TABLE, TABLES, WINDOWS } from './memory'

const TWICE_D_BYTES: usize = memory.data<u64>([0xebd69b9426b2f159, 0x00e0149a8283b156, 0x198e80f2eef3d130, 0x2406d9dc56dffce7, 0])
/** (p + 1) / 2. */
const HALF_BYTES: usize = memory.data<u64>([0xfffffffffffffff7, 0xffffffffffffffff, 0xffffffffffffffff, 0x3fffffffffffffff, 0])

/** The sums. */
export const X: usize = SCRATCH + 0x900
const Y: usize = X + PAIR
export const Z: usize = X + 2 * PAIR
const T: usize = X + 3 * PAIR
const A: usize = X + 4 * PAIR
const B: usize = X + 5 * PAIR
const C: usize = X + 6 * PAIR
const D: usize = X + 7 * PAIR
/** What is added: y − x, y + x, 2d·x·y, and 2z while a table is made. */
export const MINUS: usize = X + 8 * PAIR
export const PLUS: usize = X + 9 * PAIR
export const PRODUCT: usize = X + 10 * PAIR
const TWICE_Z: usize = X + 11 * PAIR
const TWICE_D: usize = X + 12 * PAIR
const HALF: usize = X + 13 * PAIR

/** The sums are the neutral point. */
export function clear(): void {
  set(X, 0)
  set(Y, 1)
  set(Z, 1)
  set(T, 0)
}

/** Whether the first sum is the neutral point: x = 0 and y = 1. */
export function isNeutral(): bool {
  subtract(A, Y, Z)
  carry(A, A)
  return isZero(A, 0) && isZero(X, 0)
}

/** Adds MINUS, PLUS and PRODUCT; `d` is the product of the Z. */
export function addNext(d: usize): void {
  subtract(A, Y, X)
  multiply(A, A, MINUS)
  add(B, Y, X)
  multiply(B, B, PLUS)
  multiply(C, T, PRODUCT)
  // E = B − A, H = B + A, F = D − C, G = D + C, and of each two that are multiplied one is reduced.
  subtract(T, B, A)
  add(B, B, A)
  carry(B, B)
  subtract(A, d, C)
  carry(A, A)
  add(D, d, C)
  multiply(X, A, T)
  multiply(Y, B, D)
  multiply(Z, A, D)
  multiply(T, B, T)
}

/** The entry of a table for a digit, or what adds nothing. */
function entryOf(table: usize, window: i32, digit: i32): usize {
  return digit == 0 ? NEUTRAL : table + <usize>(window * MULTIPLES + abs(digit) - 1) * ENTRY
}

/** To each sum adds a scalar times the point of a table; scalars are 32 bytes and below 2^253. What is read tells the scalars: only for checking. */
export function addMultiples(firstTable: usize, firstScalar: usize, secondTable: usize, secondScalar: usize): void {
  let firstOver = 0
  let secondOver = 0
  for (let window = 0; window < WINDOWS; window++) {
    let first = <i32>load<u8>(firstScalar + window) + firstOver
    firstOver = (first + 128) >> 8
    first -= firstOver << 8
    let second = <i32>load<u8>(secondScalar + window) + secondOver
    secondOver = (second + 128) >> 8
    second -= secondOver << 8
    // Of the negative of a point, y − x and y + x change places, and x·y its sign.
    const firstEntry = entryOf(firstTable, window, first)
    const secondEntry = entryOf(secondTable, window, second)
    const firstSwap: usize = first < 0 ? LANE : 0
    const secondSwap: usize = second < 0 ? LANE : 0
    gather(MINUS, firstEntry + firstSwap, secondEntry + secondSwap)
    gather(PLUS, firstEntry + LANE - firstSwap, secondEntry + LANE - secondSwap)
    gather(PRODUCT, firstEntry + 2 * LANE, secondEntry + 2 * LANE)
    negate(PRODUCT, first < 0, second < 0)
    addNext(Z)
  }
}

/** What step() adds is the sums. */
export function setStep(): void {
  subtract(MINUS, Y, X)
  carry(MINUS, MINUS)
  add(PLUS, Y, X)
  carry(PLUS, PLUS)
  multiply(PRODUCT, T, TWICE_D)
  add(TWICE_Z, Z, Z)
}

export function step(): void {
  multiply(D, Z, TWICE_Z)
  addNext(D)
}

/** Writes the four coordinates of both sums, each by itself. */
export function scatterSums(first: usize, second: usize): void {
  for (let i: usize = 0; i < 4; i++) scatter(X + i * PAIR, first + i * LANE, second + i * LANE)
}

/** Reads what scatterSums wrote. */
export function gatherSums(first: usize, second: usize): void {
  for (let i: usize = 0; i < 4; i++) gather(X + i * PAIR, first + i * LANE, second + i * LANE)
}

/** Writes 1/Z of `count` pairs of points of BATCH in place of Z, or the half of it: one inversion, and three products for each. */
export function invertBatch(count: i32, halve: bool): void {
  set(PRODUCTS, 1)
  for (let i: usize = 0; i < <usize>count; i++)
    multiply(PRODUCTS + (i + 1) * PAIR, PRODUCTS + i * PAIR, BATCH + i * POINT + 2 * PAIR)
  invert(A, PRODUCTS + <usize>count * PAIR)
  if (halve) multiply(A, A, HALF)
  for (let i = <usize>count; i-- > 0; ) {
    const z = BATCH + i * POINT + 2 * PAIR
    multiply(B, A, z)
    multiply(z, A, PRODUCTS + i * PAIR)
    copy(A, B)
  }
}

/** Writes the encoding of the `i`th point of BATCH after invertBatch; they are taken one after the other. */
export function encodeBatch(bytes: usize, i: usize): void {
  const x = BATCH + (i >> 1) * POINT
  const y = x + PAIR
  if ((i & 1) == 0) {
    multiply(x, x, y + PAIR)
    multiply(y, y, y + PAIR)
  }
  // The lowest bit of x is the highest of the encoding.
  toBytes(bytes, x, i & 1)
  const sign = load<u8>(bytes) << 7
  toBytes(bytes, y, i & 1)
  store<u8>(bytes, load<u8>(bytes, 31) | sign, 31)
}

function setConstants(): void {
  for (let lane: usize = 0; lane < 2; lane++) {
    fromBytes(TWICE_D, lane, TWICE_D_BYTES)
    fromBytes(HALF, lane, HALF_BYTES)
  }
  set(A, 0)
  scatter(HALF, NEUTRAL, NEUTRAL + LANE)
  scatter(A, NEUTRAL + 2 * LANE, NEUTRAL + 2 * LANE)
}

/** Makes the table of the affine point at KEY: x ‖ y, both below p. Its lower windows are made beside its upper ones. */
export function makeTable(number: usize): void {
  setConstants()
  set(Z, 1)
  for (let lane: usize = 0; lane < 2; lane++) {
    fromBytes(X, lane, KEY)
    fromBytes(Y, lane, KEY + 32)
  }
  multiply(T, X, Y)
  const once = BATCH
  const doubled = BATCH + 4 * LANE
  scatterSums(once, once)
  for (let i = 0; i < 4 * WINDOWS; i++) {
    setStep()
    step()
  }
  scatterSums(doubled, doubled)
  gatherSums(once, doubled)
  let lower = TABLES + number * TABLE
  let upper = lower + TABLE / 2
  for (let window = 0; window < WINDOWS / 2; window++) {
    setStep()
    for (let i: usize = 0; i < <usize>MULTIPLES; i++) {
      memory.copy(BATCH + i * POINT, X, POINT)
      if (i + 1 < <usize>MULTIPLES) step()
    }
    // Twice 128 is the 1 of the next window.
    setStep()
    step()
    invertBatch(MULTIPLES, true)
    for (let i: usize = 0; i < <usize>MULTIPLES; i++) {
      const x = BATCH + i * POINT
      const y = x + PAIR
      multiply(x, x, y + PAIR)
      multiply(y, y, y + PAIR)
      subtract(A, y, x)
      carry(A, A)
      scatter(A, lower, upper)
      add(A, y, x)
      carry(A, A)
      scatter(A, lower + LANE, upper + LANE)
      // Of the halves of x and y: 2d times that twice is the half of 2d·x·y.
      multiply(A, x, y)
      multiply(A, A, TWICE_D)
      add(A, A, A)
      carry(A, A)
      scatter(A, lower + 2 * LANE, upper + 2 * LANE)
      lower += ENTRY
      upper += ENTRY
    }
  }
}
