/**
 * Prune: which connections give way when there are too many.
 *
 *   kept     peers with a tag `keep-alive…` (relays we are reachable through, rooms); connections younger than PRUNE_GRACE
 *   first    the lowest sum of tags, then the fewest streams, then inbound before outbound, then the oldest (as js-libp2p orders)
 *
 * A connection that was dialled in passing goes as soon as nobody has a use for it (`isSpare`), be there room or not.
 *
 * Pure: it is told what there is, and says who goes.
 */

import { PRUNE_GRACE } from '../limits.ts'
import type { Connection } from './connection.ts'
import type { Direction, Stream } from './stream.ts'

/** What is weighed of a connection. */
export interface Weighed {
  readonly remotePeer: string
  readonly direction: Direction
  /** Unix milliseconds. */
  readonly openedAt: number
  readonly streams: { readonly size: number }
}

/** Peers tagged so are never pruned. */
export const KEEP_ALIVE = 'keep-alive'

/** The sum of a peer's tags; without bound where one of them keeps it. */
export const worthOf = (tags: Readonly<Record<string, number>>): number => {
  let sum = 0
  for (const [name, value] of Object.entries(tags)) sum += name.startsWith(KEEP_ALIVE) ? Number.POSITIVE_INFINITY : value
  return sum
}

/** Whether nobody would miss a connection but those who have the tag `own.tag`, and open streams of `own.protocol`. */
export const isSpare = (
  { wanted, streams }: Connection,
  own: { readonly tag: string; readonly protocol: string },
  tags: Readonly<Record<string, number>>,
  spares: (stream: Stream) => boolean,
): boolean => {
  if (wanted || Object.keys(tags).some((name) => name !== own.tag)) return false
  for (const stream of streams) if ((stream.direction === 'inbound' || stream.protocol !== own.protocol) && !spares(stream)) return false
  return true
}

/** At most `count` of `connections`, the least worth first. `now` is Unix milliseconds, `tags` those of a peer. */
export const leastWorth = <C extends Weighed>(
  connections: readonly C[],
  count: number,
  tags: (peer: string) => Readonly<Record<string, number>>,
  now: number,
): C[] => {
  const worth = new Map<string, number>()
  for (const { remotePeer } of connections) {
    if (!worth.has(remotePeer)) worth.set(remotePeer, worthOf(tags(remotePeer)))
  }
  const of = ({ remotePeer }: C): number => worth.get(remotePeer) ?? 0
  return connections
    .filter((each) => of(each) !== Number.POSITIVE_INFINITY && now - each.openedAt >= PRUNE_GRACE)
    .sort(
      (a, b) =>
        of(a) - of(b) ||
        a.streams.size - b.streams.size ||
        Number(a.direction === 'outbound') - Number(b.direction === 'outbound') ||
        a.openedAt - b.openedAt,
    )
    .slice(0, count)
}
