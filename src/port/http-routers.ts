/**
 * Delegated routing (https://specs.ipfs.tech/routing/http-routing-v1/): HTTP servers that look in the DHT for those who do not. A client.
 *
 *   GET /routing/v1/providers/{cid}   peers, a line of JSON each, as they are found; or all in one
 *   GET /routing/v1/peers/{id}        the same, of one peer
 *   GET, PUT /routing/v1/ipns/{name}  an IPNS record, in its bytes
 *
 * There is none unless the application names it: whoever is asked learns what is looked for. All that are named are asked at once. What they
 * answer is no truer than what a stranger in the DHT says: ids are parsed, addresses that name another peer left out, records not believed
 * before they are validated (routing.ts).
 *
 * Bounds: ROUTER_TIMEOUT for a whole answer, ROUTER_MAX_ANSWER bytes of it, ROUTER_MAX_LINE of a line, KAD_MAX_PROVIDERS peers,
 * KAD_MAX_ADDRESSES of each; KAD_MAX_VALUE of a record.
 */

import { concat } from '../engine/codec/bytes.ts'
import { type Multiaddr, parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { toBase32 } from '../engine/codec/multibase.ts'
import { type PeerId, parsePeerId, peerIdToCid } from '../engine/codec/peer-id.ts'
import type { Cancel } from '../engine/host.ts'
import {
  KAD_MAX_ADDRESSES,
  KAD_MAX_PROVIDERS,
  KAD_MAX_VALUE,
  ROUTER_MAX_ANSWER,
  ROUTER_MAX_LINE,
  ROUTER_TIMEOUT,
} from '../engine/limits.ts'
import type { Service } from '../engine/net/service.ts'
import { type KadPeer, ownAddresses } from '../engine/protocols/kad/messages.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { asTabmeshError, TabmeshError } from '../errors.ts'

export interface HttpRouters extends Service {
  /** Of the first router that knows any of its addresses; undefined where none does. */
  findPeer(peer: PeerId, done: (outcome: Outcome<KadPeer | undefined>) => void): Cancel
  /** Each once. A fault where no router answered. */
  findProviders(key: Uint8Array, onProvider: (peer: KadPeer) => void, done: (outcome: Outcome<void>) => void): Cancel
  /** Every record that one of them has, unchecked. */
  getIpns(name: PeerId, done: (outcome: Outcome<readonly Uint8Array[]>) => void): Cancel
  /** How many took it. */
  putIpns(name: PeerId, record: Uint8Array, done: (outcome: Outcome<number>) => void): Cancel
}

/** Throws ERR_INVALID_ARGUMENT where one is no http(s) URL. */
export const httpRouters = (urls: readonly string[], timeout = ROUTER_TIMEOUT): HttpRouters => {
  const bases = urls.map(baseOf)

  /** Runs one request for each router; the results are of those that answered. A fault where none did. */
  const all = <T>(
    run: (base: URL, signal: AbortSignal) => Promise<T>,
    done: (outcome: Outcome<readonly T[]>) => void,
    isEnough: (result: T) => boolean = () => false,
  ): Cancel => {
    const given = new AbortController()
    const results: T[] = []
    let fault: TabmeshError | undefined
    let left = bases.length
    let isOver = false
    const end = (outcome: Outcome<readonly T[]>): void => {
      if (isOver) return
      isOver = true
      given.abort()
      done(outcome)
    }
    const settled = (): void => {
      left -= 1
      if (left > 0) return
      end(results.length > 0 || fault === undefined ? { ok: true, value: results } : { ok: false, fault })
    }
    for (const base of bases) {
      run(base, AbortSignal.any([given.signal, AbortSignal.timeout(timeout)])).then(
        (result) => {
          results.push(result)
          if (isEnough(result)) end({ ok: true, value: [result] })
          else settled()
        },
        (cause: unknown) => {
          fault = asTabmeshError(cause, 'ERR_ROUTING', `${base.origin} gives no answer`)
          settled()
        },
      )
    }
    return () => {
      isOver = true
      given.abort()
    }
  }

  const findPeer: HttpRouters['findPeer'] = (peer, done) => {
    const ask = async (base: URL, signal: AbortSignal): Promise<readonly Multiaddr[]> => {
      const addresses = new Map<string, Multiaddr>()
      await list(new URL(`peers/${peerIdToCid(peer)}`, base), 'Peers', signal, (found) => {
        if (found.id === peer) for (const each of found.addresses) addresses.set(each.text, each)
        return addresses.size < KAD_MAX_ADDRESSES
      })
      return [...addresses.values()].slice(0, KAD_MAX_ADDRESSES)
    }
    const told = (outcome: Outcome<readonly (readonly Multiaddr[])[]>): void => {
      if (!outcome.ok) return done(outcome)
      const addresses = outcome.value.find((each) => each.length > 0)
      done({ ok: true, value: addresses && { id: peer, addresses } })
    }
    return all(ask, told, (addresses) => addresses.length > 0)
  }

  return {
    name: 'http routers',
    protocols: {},
    findPeer,
    search: (peer, done) => findPeer(peer, (outcome) => done(outcome.ok ? (outcome.value?.addresses ?? []) : [])),
    findProviders(key, onProvider, done) {
      const told = new Set<PeerId>()
      let isWanted = true
      const cid = toBase32(concat([CID_V1_RAW, key]))
      const ask = (base: URL, signal: AbortSignal): Promise<void> =>
        list(new URL(`providers/${cid}`, base), 'Providers', signal, (found) => {
          if (isWanted && !told.has(found.id) && told.size < KAD_MAX_PROVIDERS) {
            told.add(found.id)
            onProvider(found)
          }
          return told.size < KAD_MAX_PROVIDERS
        })
      const cancel = all(ask, (outcome) => done(outcome.ok ? { ok: true, value: undefined } : outcome))
      return () => {
        isWanted = false
        cancel()
      }
    },
    getIpns: (name, done) =>
      all(
        async (base, signal) => {
          const response = await request(new URL(`ipns/${peerIdToCid(name)}`, base), { headers: { accept: IPNS_RECORD }, signal })
          if (response === undefined) return undefined
          const type = response.headers.get('content-type') ?? ''
          if (!type.startsWith(IPNS_RECORD)) throw wrong(base, `a record of type ${JSON.stringify(type)}`)
          const chunks: Uint8Array[] = []
          for await (const chunk of bytesOf(response, base, KAD_MAX_VALUE)) chunks.push(chunk)
          return concat(chunks)
        },
        (outcome) => done(outcome.ok ? { ok: true, value: outcome.value.filter((each) => each !== undefined) } : outcome),
      ),
    putIpns: (name, record, done) =>
      all(
        async (base, signal) => {
          const body = record as Uint8Array<ArrayBuffer>
          const url = new URL(`ipns/${peerIdToCid(name)}`, base)
          const response = await request(url, { method: 'PUT', headers: { 'content-type': IPNS_RECORD }, body, signal })
          if (response === undefined) throw wrong(base, 'HTTP 404')
          await response.body?.cancel()
        },
        (outcome) => done(outcome.ok ? { ok: true, value: outcome.value.length } : outcome),
      ),
  }
}

const IPNS_RECORD = 'application/vnd.ipfs.ipns-record'
const LINES = 'application/x-ndjson'
/** Version and codec: routing looks at the multihash behind them only. */
const CID_V1_RAW = Uint8Array.of(0x01, 0x55)

const wrong = (base: URL, what: string): TabmeshError =>
  new TabmeshError('ERR_ROUTING', `${base.origin} answers with ${what}`, { remote: true })

const baseOf = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`delegatedRouting\` has ${JSON.stringify(text)}, which is not the URL of a router`)
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return new URL('routing/v1/', url)
}

/** Undefined where nothing was found. */
const request = async (url: URL, init: RequestInit): Promise<Response | undefined> => {
  const response = await fetch(url, { credentials: 'omit', ...init })
  if (response.ok) return response
  await response.body?.cancel()
  if (response.status === 404) return undefined
  throw wrong(url, `HTTP ${response.status}`)
}

/** Rejects when there are more than `max`. */
async function* bytesOf({ body }: Response, base: URL, max: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (body === null) return
  const reader = body.getReader()
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      size += value.length
      if (size > max) throw wrong(base, `over ${max} bytes`)
      yield value
    }
  } finally {
    // Whoever leaves the loop wants no more of it.
    await reader.cancel().catch(() => {})
  }
}

/** Tells of each peer in the answer, as it comes, while `onPeer` returns true. */
const list = async (url: URL, field: 'Peers' | 'Providers', signal: AbortSignal, onPeer: (peer: KadPeer) => boolean): Promise<void> => {
  const response = await request(url, { headers: { accept: `${LINES}, application/json;q=0.9` }, signal })
  if (response === undefined) return
  const isLines = (response.headers.get('content-type') ?? '').startsWith(LINES)
  const text = new TextDecoder()
  const max = isLines ? ROUTER_MAX_LINE : ROUTER_MAX_ANSWER
  let rest = ''
  for await (const chunk of bytesOf(response, url, ROUTER_MAX_ANSWER)) {
    rest += text.decode(chunk, { stream: true })
    for (let end = isLines ? rest.indexOf('\n') : -1; end >= 0; end = rest.indexOf('\n')) {
      const peer = peerOf(parse(rest.slice(0, end), url))
      rest = rest.slice(end + 1)
      if (peer !== undefined && !onPeer(peer)) return
    }
    if (rest.length > max) throw wrong(url, `a line of over ${max} bytes`)
  }
  const last = parse(rest, url)
  const all: unknown = isLines ? [last] : (last as Record<string, unknown> | undefined)?.[field]
  if (!Array.isArray(all)) return
  for (const each of all) {
    const peer = peerOf(each)
    if (peer !== undefined && !onPeer(peer)) return
  }
}

const parse = (text: string, url: URL): unknown => {
  if (text.trim() === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    throw wrong(url, 'what is no JSON')
  }
}

/** Of any schema that has an ID and addresses; undefined for what is none. */
const peerOf = (record: unknown): KadPeer | undefined => {
  const { ID, Addrs } = (typeof record === 'object' && record !== null ? record : {}) as { ID?: unknown; Addrs?: unknown }
  if (typeof ID !== 'string') return undefined
  let id: PeerId
  try {
    id = parsePeerId(ID)
  } catch {
    return undefined
  }
  const texts: unknown[] = Array.isArray(Addrs) ? Addrs.slice(0, KAD_MAX_ADDRESSES) : []
  return { id, addresses: ownAddresses(id, texts.flatMap(addressOf)) }
}

const addressOf = (text: unknown): Multiaddr[] => {
  try {
    return typeof text === 'string' ? [parseMultiaddr(text)] : []
  } catch {
    return []
  }
}
