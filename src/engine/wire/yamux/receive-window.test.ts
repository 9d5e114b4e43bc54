import { describe, expect, it } from 'vitest'
import { YAMUX_MAX_WINDOW } from '../../limits.ts'
import { ReceiveWindow } from './receive-window.ts'

const KiB = 1024
const ALL = Number.POSITIVE_INFINITY

/** `bytes` arrive at `from` and are used at `to`; returns the credit handed back. */
const consume = (window: ReceiveWindow, bytes: number, from: number, to: number, rtt: number | undefined, room = ALL): number => {
  expect(window.admit(bytes)).toBe(true)
  window.arrive(bytes, from)
  return window.release(bytes, to, rtt, room)
}

describe('ReceiveWindow', () => {
  it('admits 256 KiB, and not a byte more', () => {
    const window = new ReceiveWindow()
    expect(window.admit(256 * KiB)).toBe(true)
    expect(window.admit(1)).toBe(false)
    expect(window.credit).toBe(0)
  })

  it('hands credit back when half the window is used, not before', () => {
    const window = new ReceiveWindow()
    window.admit(256 * KiB)
    window.arrive(256 * KiB, 0)
    expect(window.release(128 * KiB - 1, 0, undefined, ALL)).toBe(0)
    expect(window.release(1, 0, undefined, ALL)).toBe(128 * KiB)
    expect([window.credit, window.held, window.size]).toEqual([128 * KiB, 128 * KiB, 256 * KiB])
  })

  it('never hands back what was not held', () => {
    const window = new ReceiveWindow()
    expect(window.release(1_000_000, 0, undefined, ALL)).toBe(0)
    expect(consume(window, 128 * KiB, 0, 0, undefined)).toBe(128 * KiB)
    expect(window.release(1_000_000, 0, undefined, ALL)).toBe(0)
    expect(window.credit).toBe(256 * KiB)
  })

  it('doubles when a window is used in under four round trips', () => {
    const window = new ReceiveWindow()
    // Half a window in just under two round trips of 50 ms.
    expect(consume(window, 128 * KiB, 1_000, 1_099, 50)).toBe(128 * KiB + 256 * KiB)
    expect([window.size, window.credit]).toEqual([512 * KiB, 512 * KiB])
  })

  it('stays when it takes four round trips', () => {
    const window = new ReceiveWindow()
    expect(consume(window, 128 * KiB, 1_000, 1_100, 50)).toBe(128 * KiB)
    expect(window.size).toBe(256 * KiB)
  })

  it('stays while the round trip is unknown', () => {
    const window = new ReceiveWindow()
    consume(window, 256 * KiB, 0, 0, undefined)
    expect(window.size).toBe(256 * KiB)
  })

  it('does not count the silence before the first byte', () => {
    const window = new ReceiveWindow()
    consume(window, 128 * KiB, 0, 10_000, 50)
    expect(window.size).toBe(256 * KiB)
    consume(window, 128 * KiB, 60_000, 60_010, 50)
    expect(window.size).toBe(512 * KiB)
  })

  it('grows to 16 MiB and no further', () => {
    const window = new ReceiveWindow()
    for (let i = 0; i < 20; i++) consume(window, window.credit, i, i, 50)
    expect([window.size, window.credit]).toEqual([YAMUX_MAX_WINDOW, YAMUX_MAX_WINDOW])
  })

  it('grows by the room there is', () => {
    const window = new ReceiveWindow()
    consume(window, 256 * KiB, 0, 0, 50, 1_000)
    expect(window.size).toBe(256 * KiB + 1_000)
    consume(window, 256 * KiB, 0, 0, 50, -5)
    expect(window.size).toBe(256 * KiB + 1_000)
  })
})
