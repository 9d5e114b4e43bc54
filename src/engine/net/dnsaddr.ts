/**
 * dnsaddr: addresses that stand in DNS (https://github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md)
 *
 *   /dnsaddr/NAME[/p2p/X] ── TXT of _dnsaddr.NAME ──▶ `dnsaddr=<multiaddr>` each, those that end in the same /p2p/X
 *                                                       └── and again where one of them is a /dnsaddr itself
 *
 * What can't be looked up or read is passed over; only where nothing at all is left does the fault come out.
 *
 * Bounds: DNSADDR_MAX_DEPTH levels, DNSADDR_MAX_LOOKUPS names, DNSADDR_MAX_RESULTS addresses.
 */

import { TabmeshError } from '../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { Cancel, Host } from '../host.ts'
import { DNSADDR_MAX_DEPTH, DNSADDR_MAX_LOOKUPS, DNSADDR_MAX_RESULTS } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'

/** The TXT records of a name, each as one text; no name, no texts. Answers once, never before it has returned. */
export type LookUpTxt = (name: string, done: (outcome: Outcome<readonly string[]>) => void) => Cancel

const PREFIX = 'dnsaddr='

export const isDnsaddr = ({ parts }: Multiaddr): boolean => parts[0]?.name === 'dnsaddr'

/** Replaces every /dnsaddr of `addresses` by what stands for it, in its place. Answers once, never before it has returned. */
export const resolveDnsaddrs = (
  addresses: readonly Multiaddr[],
  lookUp: LookUpTxt | undefined,
  host: Pick<Host, 'defer'>,
  done: (outcome: Outcome<Multiaddr[]>) => void,
): Cancel => {
  let lookups = 0
  let pending = 0
  let over = false
  let fault: TabmeshError | undefined
  const cancels = new Set<Cancel>()

  /** In the order of the tree, whichever answer comes first. */
  interface Place {
    address?: Multiaddr
    below?: Place[]
  }
  const settle = (): void => {
    if (pending > 0 || over) return
    over = true
    const found = flatten(root).slice(0, DNSADDR_MAX_RESULTS)
    if (found.length === 0 && fault !== undefined) done({ ok: false, fault })
    else done({ ok: true, value: found })
  }
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
    if (lookUp === undefined) {
      fault ??= new TabmeshError('ERR_DNS', `${address.text} needs DNS, and none is configured here`)
      return
    }
    if (depth === DNSADDR_MAX_DEPTH || lookups === DNSADDR_MAX_LOOKUPS) {
      fault ??= new TabmeshError('ERR_DNS', `${address.text} leads to ever more names`)
      return
    }
    lookups += 1
    pending += 1
    const cancel = lookUp(name, (outcome) => {
      cancels.delete(cancel)
      pending -= 1
      if (over) return
      if (outcome.ok) place.below = answersTo(address, outcome.value).map((each) => follow(each, depth + 1))
      else fault ??= new TabmeshError('ERR_DNS', `the TXT records of ${name} can't be had`, { cause: outcome.fault })
      if (outcome.ok && place.below?.length === 0) fault ??= new TabmeshError('ERR_DNS', `no address stands at ${name}`)
      settle()
    })
    cancels.add(cancel)
  }
  const follow = (address: Multiaddr, depth: number): Place => {
    const place: Place = {}
    resolve(address, place, depth)
    return place
  }

  const root: Place = { below: [] }
  root.below = addresses.map((address) => follow(address, 0))
  if (pending === 0) host.defer(settle)
  return () => {
    over = true
    for (const cancel of cancels) cancel()
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
