/**
 * dnsaddr: addresses that stand in DNS (https://github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md)
 *
 *   /dnsaddr/NAME[/p2p/X] ── TXT of _dnsaddr.NAME ──▶ `dnsaddr=<multiaddr>` each, those that end in the same /p2p/X
 *                                                       └── and again where one of them is a /dnsaddr itself
 *
 * What can't be read is passed over; what can't be looked up is told beside what was found.
 *
 * Bounds: DNSADDR_MAX_DEPTH levels, DNSADDR_MAX_LOOKUPS names, DNSADDR_MAX_RESULTS addresses, DNS_TIMEOUT for all of it.
 */

import { TabmeshError } from '../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { Cancel, Host } from '../host.ts'
import { DNS_TIMEOUT, DNSADDR_MAX_DEPTH, DNSADDR_MAX_LOOKUPS, DNSADDR_MAX_RESULTS } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'

/** The TXT records of a name, each as one text; no name, no texts. Answers once, never before it has returned. */
export type LookUpTxt = (name: string, done: (outcome: Outcome<readonly string[]>) => void) => Cancel

const PREFIX = 'dnsaddr='

const isDnsaddr = ({ parts }: Multiaddr): boolean => parts[0]?.name === 'dnsaddr'

export interface Resolved {
  readonly addresses: readonly Multiaddr[]
  /** One for each name that came to nothing. */
  readonly faults: readonly TabmeshError[]
}

/** Replaces every /dnsaddr of `addresses` by what stands for it, in its place. Answers once, never before it has returned. */
export const resolveDnsaddrs = (
  addresses: readonly Multiaddr[],
  lookUp: LookUpTxt | undefined,
  host: Pick<Host, 'defer' | 'after'>,
  done: (resolved: Resolved) => void,
): Cancel => {
  let lookups = 0
  let over = false
  const faults: TabmeshError[] = []
  /** Names that are being looked up, and how to give each up. */
  const pending = new Map<string, Cancel>()

  /** In the order of the tree, whichever answer comes first. */
  interface Place {
    address?: Multiaddr
    below?: Place[]
  }
  const settle = (): void => {
    if (pending.size > 0 || over) return
    over = true
    late()
    done({ addresses: flatten(root).slice(0, DNSADDR_MAX_RESULTS), faults })
  }
  const fail = (what: string, cause?: TabmeshError): void => void faults.push(new TabmeshError('ERR_DNS', what, { cause }))
  const flatten = (place: Place): Multiaddr[] => [
    ...(place.address === undefined ? [] : [place.address]),
    ...(place.below ?? []).flatMap(flatten),
  ]

  const resolve = (address: Multiaddr, place: Place, depth: number): void => {
    if (!isDnsaddr(address)) {
      place.address = address
      return
    }
    const name = `_dnsaddr.${address.parts[0]?.value}`
    if (lookUp === undefined) return fail(`${address.text} needs DNS, and none is configured here`)
    // Asked twice at once, it would answer the same.
    if (pending.has(address.text)) return
    if (depth === DNSADDR_MAX_DEPTH || lookups === DNSADDR_MAX_LOOKUPS) return fail(`${address.text} leads to ever more names`)
    lookups += 1
    pending.set(address.text, () => {})
    const cancel = lookUp(name, (outcome) => {
      if (over) return
      pending.delete(address.text)
      if (outcome.ok) place.below = answersTo(address, outcome.value).map((each) => follow(each, depth + 1))
      else fail(`the TXT records of ${name} can't be had`, outcome.fault)
      if (outcome.ok && place.below?.length === 0) fail(`no address stands at ${name}`)
      settle()
    })
    if (pending.has(address.text)) pending.set(address.text, cancel)
  }
  const follow = (address: Multiaddr, depth: number): Place => {
    const place: Place = {}
    resolve(address, place, depth)
    return place
  }

  const giveUp = (): void => {
    for (const cancel of pending.values()) cancel()
  }
  const late = host.after(DNS_TIMEOUT, () => {
    giveUp()
    for (const text of pending.keys()) fail(`${text}: no answer within ${DNS_TIMEOUT} ms`)
    pending.clear()
    settle()
  })
  const root: Place = { below: [] }
  root.below = addresses.map((address) => follow(address, 0))
  if (pending.size === 0) host.defer(settle)
  return () => {
    over = true
    late()
    giveUp()
  }
}

/** What the records say, as far as it can be read and ends as the question did. */
const answersTo = ({ parts, text }: Multiaddr, records: readonly string[]): Multiaddr[] => {
  const suffix = text.slice(`/dnsaddr/${parts[0]?.value}`.length)
  return records.slice(0, DNSADDR_MAX_RESULTS).flatMap((record) => {
    if (!record.startsWith(PREFIX)) return []
    try {
      const address = parseMultiaddr(record.slice(PREFIX.length))
      return address.text.endsWith(suffix) ? [address] : []
    } catch {
      return []
    }
  })
}
