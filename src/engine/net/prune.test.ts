import { describe, expect, it } from 'vitest'
import { leastWorth, type Weighed } from './prune.ts'

const NOW = 1_000_000
const made = (remotePeer: string, more: Partial<Weighed> = {}): Weighed => ({
  remotePeer,
  direction: 'inbound',
  openedAt: 0,
  streams: { size: 0 },
  ...more,
})
const names = (connections: Weighed[], count: number, tags: Record<string, Record<string, number>> = {}): string[] =>
  leastWorth(connections, count, (peer) => tags[peer] ?? {}, NOW).map(({ remotePeer }) => remotePeer)

describe('connections that give way', () => {
  it('are those whose tags are worth least', () => {
    const tags = { a: { friend: 50 }, b: { friend: 20, room: 20 }, c: {} }
    expect(names([made('a'), made('b'), made('c')], 2, tags)).toEqual(['c', 'b'])
  })

  it('are never those of peers kept alive, however many must go', () => {
    const tags = { a: { 'keep-alive': 0 }, b: { 'keep-alive-relay': 1 } }
    expect(names([made('a'), made('b'), made('c')], 3, tags)).toEqual(['c'])
  })

  it('are those with fewest streams, then inbound ones, then the oldest', () => {
    expect(
      names(
        [
          made('busy', { streams: { size: 3 } }),
          made('ours', { direction: 'outbound' }),
          made('young', { openedAt: 9 }),
          made('old', { openedAt: 1 }),
        ],
        4,
      ),
    ).toEqual(['old', 'young', 'ours', 'busy'])
  })

  it('are not those that have only just come', () => {
    expect(names([made('new', { openedAt: NOW - 9_999 }), made('not so new', { openedAt: NOW - 10_000 })], 2)).toEqual(['not so new'])
  })
})
