// Messages that number themselves, and the count of those that came: thousands of them need not cross the border of a process or page to
// know that none was lost and none came twice. ../go/series.go has the same.
//
// A message is text, `<peer id> <number> ` and dots up to its length.

/**
 * @typedef {{ count: number, distinct: number }} Heard of one sender: how many came, and how many of them were not the same
 * @typedef {{ senders: Record<string, Heard>, wrong: number }} Tally `wrong`: messages whose text names another sender than they have
 */

/** A turn of a burst, in milliseconds, and how many messages go in one at most: a peer that was kept waiting has much to catch up on. */
const TURN = 5
const MOST_A_TURN = 4

/**
 * @param {string} from
 * @param {number} n
 * @param {number} bytes
 */
export const seriesMessage = (from, n, bytes) => `${from} ${n} `.padEnd(bytes, '.')

/** @param {string} text */
const parse = (text) => /^(\S+) (\d+) \.*$/.exec(text)

export const newTally = () => {
  /** @type {Map<string, { count: number, seen: Set<number> }>} */
  const senders = new Map()
  let wrong = 0
  return {
    /** Whether it was one of a series. @param {string} from @param {Uint8Array} data */
    add(from, data) {
      const parts = parse(new TextDecoder().decode(data))
      if (parts === null) return false
      if (parts[1] !== from) {
        wrong++
        return true
      }
      const heard = senders.get(from) ?? { count: 0, seen: new Set() }
      senders.set(from, heard)
      heard.count++
      heard.seen.add(Number(parts[2]))
      return true
    },
    /** @returns {Tally} */
    read: () => ({
      senders: Object.fromEntries([...senders].map(([from, { count, seen }]) => [from, { count, distinct: seen.size }])),
      wrong,
    }),
  }
}

/**
 * Publishes the numbers from 0 to `count - 1`, `rate` of them a second; returns how many milliseconds that took.
 *
 * @param {string} from
 * @param {{ count: number, bytes: number, rate: number, signal?: AbortSignal }} options
 * @param {(text: string) => unknown} publish waited for
 */
export const publishSeries = async (from, { count, bytes, rate, signal }, publish) => {
  const began = performance.now()
  for (let n = 0; n < count; ) {
    const due = Math.min(count, n + MOST_A_TURN, Math.ceil(((performance.now() - began + TURN) / 1000) * rate))
    for (; n < due; n++) await publish(seriesMessage(from, n, bytes))
    signal?.throwIfAborted()
    if (n < count) await new Promise((resolve) => setTimeout(resolve, TURN))
  }
  return performance.now() - began
}
