/**
 * What came of a simulation: deliveries against those that should have been, how long they took, what they cost, and what honest nodes
 * think of each other and of the hostile ones.
 */

import type { Router } from '../../protocols/gossipsub/router.ts'
import type { HostileKind } from './hostile.ts'
import { Histogram, type Presence, type Tally } from './tally.ts'

export interface Report {
  readonly messages: number
  /** Deliveries that should have been, and those that were. */
  readonly expected: number
  readonly delivered: number
  readonly hops: Histogram
  readonly milliseconds: Histogram
  /** Copies of a message that a node got besides the first. */
  readonly duplicates: number
  readonly bytesPerNode: { readonly mean: number; readonly max: number }
  readonly rpcs: number
  readonly degree: number
  /** Of honest nodes' meshes, the part that is hostile: after the warm-up, and at the end. */
  readonly hostileInMesh: { readonly before: number; readonly after: number }
  /** What honest nodes think of their honest and hostile neighbours at the end. */
  readonly honestScore: Opinion
  readonly hostileScore: Readonly<Record<HostileKind, Opinion>>
}

export interface Opinion {
  readonly links: number
  readonly mean: number
  /** The part below zero, and below the graylist threshold. */
  readonly negative: number
  readonly graylisted: number
}

/** What is asked of a node. */
export interface Reported {
  readonly index: number
  /** Undefined for an honest one. */
  readonly kind: HostileKind | undefined
  readonly presence: Presence
  readonly links: ReadonlySet<number>
  readonly router: Router
  readonly online: boolean
  readonly sent: number
}

/** Whoever was there from so many milliseconds before a message to as many after it should have got it. */
const SETTLED = 5_000

export const deliveriesOf = (
  nodes: readonly Reported[],
  tallies: Iterable<Tally>,
): Pick<Report, 'expected' | 'delivered' | 'hops' | 'milliseconds'> => {
  const hops = new Histogram()
  const milliseconds = new Histogram()
  let expected = 0
  let delivered = 0
  for (const tally of tallies) {
    const { publishedAt, author } = tally
    for (const node of nodes) {
      if (node.kind !== undefined || node.index === author) continue
      if (!node.presence.during(publishedAt - SETTLED, publishedAt + SETTLED)) continue
      expected += 1
      const count = tally.hops[node.index] as number
      if (count === 0) continue
      delivered += 1
      hops.add(count - 1)
      milliseconds.add(tally.milliseconds[node.index] as number)
    }
  }
  return { expected, delivered, hops, milliseconds }
}

export const costOf = (nodes: readonly Reported[]): Pick<Report, 'bytesPerNode' | 'degree'> => {
  let count = 0
  let bytes = 0
  let max = 0
  let links = 0
  for (const node of nodes) {
    if (node.kind !== undefined) continue
    count += 1
    bytes += node.sent
    max = Math.max(max, node.sent)
    links += node.links.size
  }
  return { bytesPerNode: { mean: bytes / count, max }, degree: links / count }
}

/** What honest nodes think of their neighbours of a kind, undefined for honest ones. */
export const opinionOf = (
  nodes: readonly (Reported & { readonly id: string })[],
  kind: HostileKind | undefined,
  graylist: number,
): Opinion => {
  let links = 0
  let sum = 0
  let negative = 0
  let graylisted = 0
  for (const node of nodes) {
    if (node.kind !== undefined || !node.online) continue
    for (const to of node.links) {
      const other = nodes[to]
      const score = other === undefined || other.kind !== kind ? undefined : node.router.score(other.id)
      if (score === undefined) continue
      links += 1
      sum += score
      if (score < 0) negative += 1
      if (score < graylist) graylisted += 1
    }
  }
  const part = (count: number): number => (links === 0 ? 0 : count / links)
  return { links, mean: part(sum), negative: part(negative), graylisted: part(graylisted) }
}
