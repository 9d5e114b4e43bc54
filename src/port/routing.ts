/**
 * Routing: the DHT and the HTTP routers beside each other, as `peer.dht` sees them.
 *
 *   findPeer                 whoever knows an address first
 *   findProviders            of both, each once
 *   get  of /ipns/…          the best of both; when a router has a valid one the DHT has ROUTER_GRACE more to find a better one
 *   put  of /ipns/…          to both
 *   all else                 the DHT alone
 *
 * A DHT of which nobody is known, and nobody will be, is not waited for.
 */

import type { PeerId } from '../engine/codec/peer-id.ts'
import { peerIdFromBytes } from '../engine/codec/peer-id.ts'
import type { Cancel, Host } from '../engine/host.ts'
import { KAD_MAX_PROVIDERS, ROUTER_GRACE } from '../engine/limits.ts'
import type { KadPeer } from '../engine/protocols/kad/messages.ts'
import { type Namespace, recordsOf, splitKey } from '../engine/protocols/kad/records.ts'
import type { KadService } from '../engine/protocols/kad/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { TabmeshError } from '../errors.ts'
import type { HttpRouters } from './http-routers.ts'

/** What finds peers, content and records for the application. */
export type Routing = Pick<KadService, 'findPeer' | 'findProviders' | 'closestPeers' | 'provide' | 'unprovide' | 'put' | 'get'>

export interface RoutingOptions {
  readonly kad: KadService | undefined
  readonly routers: HttpRouters | undefined
  readonly host: Host
  readonly namespaces: Readonly<Record<string, Namespace>>
}

type Ask<T> = (done: (outcome: Outcome<T>) => void) => Cancel

/** Undefined where there is neither. */
export const routingOf = ({ kad, routers, host, namespaces }: RoutingOptions): Routing | undefined => {
  if (routers === undefined) return kad
  const records = recordsOf(host, namespaces)
  const dht = (): KadService | undefined => (kad?.hopeful === true ? kad : undefined)
  const lacking = (): KadService => {
    if (kad !== undefined) return kad
    throw new TabmeshError('ERR_UNSUPPORTED', '`dht` is off, and routers do not do this')
  }

  /** Asks all; hears of each outcome, and whether it was the last. `heard` returns whether that is enough. */
  const together = <T>(asks: readonly Ask<T>[], heard: (outcome: Outcome<T>, isLast: boolean) => boolean): Cancel => {
    const cancels = new Set<Cancel>()
    let left = asks.length
    const cancel = (): void => {
      left = 0
      for (const each of cancels) each()
    }
    for (const ask of asks) {
      cancels.add(
        ask((outcome) => {
          if (left === 0) return
          left -= 1
          if (heard(outcome, left === 0)) cancel()
        }),
      )
    }
    return cancel
  }
  const present = <T>(asks: readonly (Ask<T> | undefined)[]): Ask<T>[] => asks.filter((ask) => ask !== undefined)

  const findPeer: Routing['findPeer'] = (peer, done) => {
    const ways = present<KadPeer | undefined>([
      (told) => routers.findPeer(peer, told),
      dht() && ((told) => (dht() ?? lacking()).findPeer(peer, told)),
    ])
    let answered: Outcome<KadPeer | undefined> | undefined
    return together(ways, (outcome, isLast) => {
      if (answered === undefined || outcome.ok) answered = outcome
      const isFound = outcome.ok && outcome.value !== undefined && outcome.value.addresses.length > 0
      if (isFound || isLast) done(isFound ? outcome : answered)
      return isFound
    })
  }

  const findProviders: Routing['findProviders'] = (key, onProvider, done) => {
    const told = new Set<PeerId>()
    const tell = (provider: KadPeer): void => {
      if (told.has(provider.id) || told.size >= KAD_MAX_PROVIDERS) return
      told.add(provider.id)
      onProvider(provider)
    }
    let answered: Outcome<void> | undefined
    const ways = present<void>([
      (heard) => routers.findProviders(key, tell, heard),
      dht() && ((heard) => (dht() ?? lacking()).findProviders(key, tell, heard)),
    ])
    return together(ways, (outcome, isLast) => {
      if (answered === undefined || outcome.ok) answered = outcome
      if (isLast) done(answered)
      return false
    })
  }

  const get: Routing['get'] = (key, options, done) => {
    const name = ipnsName(key)
    if (name === undefined) return lacking().get(key, options, done)
    const valid: Uint8Array[] = []
    /** The best that the caller has heard of. */
    let told: Uint8Array | undefined
    const tell = (value: Uint8Array): void => {
      if (isOver) return
      const better = (best: number): void => {
        if (best === 0 || isOver) return
        told = value
        options.onValue?.(value)
      }
      if (told === undefined) better(1)
      else records.select(key, [told, value], better)
    }
    let answered: Outcome<unknown> | undefined
    let isOver = false
    let grace: Cancel = () => {}
    const end = (): void => {
      if (isOver) return
      isOver = true
      grace()
      cancel()
      if (valid.length === 0) return done(answered?.ok === false ? answered : { ok: true, value: undefined })
      records.select(key, valid, (best) => done({ ok: true, value: valid[best] ?? valid[0] }))
    }
    const fromRouters: Ask<void> = (heard) =>
      routers.getIpns(name, (outcome) => {
        if (!outcome.ok) return heard(outcome)
        let left = outcome.value.length
        if (left === 0) return heard({ ok: true, value: undefined })
        for (const value of outcome.value) {
          records.validate(key, value, (fault) => {
            if (fault === undefined) {
              valid.push(value)
              tell(value)
            }
            left -= 1
            if (left > 0) return
            if (valid.length > 0 && !isOver) grace = host.after(ROUTER_GRACE, end)
            heard({ ok: true, value: undefined })
          })
        }
      })
    const known = dht()
    const fromDht: Ask<void> | undefined =
      known &&
      ((heard) =>
        known.get(key, { ...options, onValue: tell }, (outcome) => {
          if (outcome.ok && outcome.value !== undefined) valid.push(outcome.value)
          heard(outcome.ok ? { ok: true, value: undefined } : outcome)
        }))
    const cancel = together(present([fromRouters, fromDht]), (outcome, isLast) => {
      if (answered === undefined || outcome.ok) answered = outcome
      if (isLast) host.defer(end)
      return false
    })
    return () => {
      isOver = true
      grace()
      cancel()
    }
  }

  const put: Routing['put'] = (key, value, done) => {
    const name = ipnsName(key)
    if (name === undefined) return lacking().put(key, value, done)
    let cancel: Cancel = () => {}
    let isWanted = true
    records.validate(key, value, (cause) => {
      if (!isWanted) return
      if (cause !== undefined) {
        const fault = new TabmeshError('ERR_INVALID_RECORD', 'a record that is not valid', { cause })
        return host.defer(() => isWanted && done({ ok: false, fault }))
      }
      let answered: Outcome<number> | undefined
      let took = 0
      const known = dht()
      const ways = present<number>([(heard) => routers.putIpns(name, value, heard), known && ((heard) => known.put(key, value, heard))])
      cancel = together(ways, (outcome, isLast) => {
        if (outcome.ok) took += outcome.value
        if (answered === undefined || outcome.ok) answered = outcome
        if (isLast) done(answered.ok ? { ok: true, value: took } : answered)
        return false
      })
    })
    return () => {
      isWanted = false
      cancel()
    }
  }

  return {
    findPeer,
    findProviders,
    get,
    put,
    closestPeers: (key, onPeer, done) => lacking().closestPeers(key, onPeer, done),
    provide: (key, done) => lacking().provide(key, done),
    unprovide: (key) => lacking().unprovide(key),
  }
}

/** Of a key `/ipns/<multihash>`, whose it is. */
const ipnsName = (key: Uint8Array): PeerId | undefined => {
  const split = splitKey(key)
  if (split?.namespace !== 'ipns') return undefined
  try {
    return peerIdFromBytes(split.rest)
  } catch {
    return undefined
  }
}
