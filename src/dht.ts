/**
 * `peer.dht`: the page's end. It knows no protocol: calls become commands, and what is found on the way comes as events.
 */

import { equalBytes, utf8 } from './engine/codec/bytes.ts'
import { KAD_LOOKUP_TIMEOUT, KAD_REQUEST_TIMEOUT } from './engine/limits.ts'
import { TabmeshError } from './errors.ts'
import type { ControlClient } from './port/control.ts'
import type { DhtEvent, EngineDht, FoundEvent } from './port/dht-messages.ts'
import { type Judges, judge } from './port/namespaces.ts'
import type { CallOptions, DhtOptions, FoundPeer, GetOptions } from './types.ts'

/**
 * Finds peers, content and records: by the DHT, and by the HTTP routers in `delegatedRouting`.
 *
 * A lookup takes a minute at most, and comes to its end with what it has by then; one request of it takes 10 seconds at most. Every call rejects
 * with ERR_NO_PEERS where nobody could be asked within 10 seconds, with ERR_TIMEOUT where 272 others are under way and do not end, with ERR_UNSUPPORTED
 * where there is neither a DHT nor a router, with ERR_INVALID_ARGUMENT for a CID or key that is none, and with the reason of its `signal`,
 * which ends what is under way. Connections that only lookups needed are closed after 30 idle seconds.
 */
export interface Dht {
  /** Where a peer is; rejects with ERR_NOT_FOUND where nobody knows, and ERR_INVALID_PEER_ID. `dial` asks by itself. */
  findPeer(id: string, options?: CallOptions): Promise<FoundPeer>
  /**
   * Tells the peers nearest to a CID that we have its content, now and every 22 hours until `unprovide`, with a persistent identity after a
   * restart too; resolves with how many took it. Rejects with ERR_NO_ADDRESS where nobody could reach us, and with why the last of them did not take it
   * where nobody did.
   */
  provide(cid: string, options?: CallOptions): Promise<number>
  /** Resolves with whether it was provided. Others forget it within 48 hours. */
  unprovide(cid: string): Promise<boolean>
  /** Each provider once, as it is heard of, at most 1,000; those last of whom nobody says where they are. Leaving the loop ends the search. */
  findProviders(cid: string, options?: CallOptions): AsyncIterable<FoundPeer>
  /**
   * Has a record kept by the peers nearest to its key; resolves with how many took it. Rejects with ERR_INVALID_RECORD where its namespace does
   * not accept it, and with why the last of them did not take it where nobody did: ERR_STREAM_RESET where they have a better one.
   *
   * Keys are `/namespace/…`, in text or bytes: `/ipns/<name>`, `/pk/<peer id>`, or a namespace of `dht.validators`.
   */
  put(key: string | Uint8Array, value: string | Uint8Array, options?: CallOptions): Promise<number>
  /** The best valid record that as many peers have as `quorum` says, or the best of all; ERR_NOT_FOUND where there is none. */
  get(key: string | Uint8Array, options?: GetOptions): Promise<Uint8Array>
  /**
   * The servers nearest to a key (a peer id, a record's key, or any bytes): each once it and everybody nearer of whom the search has heard have
   * answered. So they come nearest first; one of whom it hears late comes late, and may be one more than the 20 that there are in a network at
   * rest. Leaving the loop ends the search.
   */
  closestPeers(key: string | Uint8Array, options?: CallOptions): AsyncIterable<FoundPeer>
}

export interface DhtPort {
  readonly dht: Dht
  hear(event: DhtEvent): void
}

/** A lookup, and what follows it: a command that takes longer is not answered at all. Milliseconds. */
const LONGEST = 2 * KAD_LOOKUP_TIMEOUT + KAD_REQUEST_TIMEOUT

export const openDht = (control: ControlClient, judges: Judges, report: (fault: TabmeshError) => void): DhtPort => {
  const hearing = new Map<number, (event: FoundEvent) => void>()
  let queries = 0
  const waiting = { longest: LONGEST }

  /** What a call finds, as it is found; `begin` starts it, its result is how many there were. Leaving the loop gives the call up. */
  async function* finding(
    begin: (query: number, signal: AbortSignal) => Promise<number>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FoundPeer, void, undefined> {
    queries += 1
    const query = queries
    const found: FoundPeer[] = []
    const left = new AbortController()
    let told = 0
    /** How many there are, once the search is over. */
    let all = Number.POSITIVE_INFINITY
    let failure: { readonly error: unknown } | undefined
    let wake = (): void => {}
    hearing.set(query, (event) => {
      if (event.t === 'found') found.push(event.peer)
      wake()
    })
    begin(query, signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]))
      .then(
        (count) => {
          all = count
        },
        (error: unknown) => {
          failure = { error }
        },
      )
      .finally(() => wake())
    try {
      while (told < all) {
        signal?.throwIfAborted()
        const peer = found.shift()
        if (peer !== undefined) {
          told += 1
          yield peer
        } else if (failure !== undefined) throw failure.error
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      hearing.delete(query)
      left.abort()
    }
  }

  const get: Dht['get'] = async (key, { signal, quorum, onValue } = {}) => {
    if (onValue === undefined) return control.run('getRecord', { query: undefined, key, quorum }, signal, waiting)
    queries += 1
    const query = queries
    let last: Uint8Array | undefined
    const hear = (value: Uint8Array): void => {
      last = value
      try {
        onValue(value)
      } catch (cause) {
        report(new TabmeshError('ERR_HANDLER', '`onValue` of a record failed', { cause }))
      }
    }
    hearing.set(query, (event) => {
      if (event.t === 'value') hear(event.value)
    })
    try {
      const best = await control.run('getRecord', { query, key, quorum }, signal, waiting)
      // Events may come later than the answer.
      if (last === undefined || !equalBytes(last, best)) hear(best)
      return best
    } finally {
      hearing.delete(query)
    }
  }

  const dht: Dht = {
    findPeer: (id, { signal } = {}) => control.run('findPeer', id, signal, waiting),
    provide: (cid, { signal } = {}) => control.run('provide', cid, signal, waiting),
    unprovide: (cid) => control.run('unprovide', cid),
    findProviders: (cid, { signal } = {}) =>
      finding((query, given) => control.run('findProviders', { query, cid }, given, waiting), signal),
    put: (key, value, { signal } = {}) =>
      control.run('putRecord', { key, value: typeof value === 'string' ? utf8(value) : value }, signal, waiting),
    get,
    closestPeers: (key, { signal } = {}) => finding((query, given) => control.run('closestPeers', { query, key }, given, waiting), signal),
  }
  return {
    dht,
    hear(event) {
      if (event.t === 'found' || event.t === 'value') return hearing.get(event.query)?.(event)
      void judge(judges, event, report).then((answer) => control.run('answerRecord', answer).catch(() => {}))
    },
  }
}

/** What the engine is told of the option. `near`: whether the page is at home in a private network. Throws ERR_INVALID_ARGUMENT. */
export const engineDht = (options: DhtOptions | false | undefined, near: boolean): EngineDht | undefined => {
  if (options === false) return undefined
  const { mode = 'client', protocol, network, validators = {}, selectors = {} } = options ?? {}
  const wrong = (what: string): TabmeshError => new TabmeshError('ERR_INVALID_ARGUMENT', `\`dht.${what}`)
  if (!['client', 'server', 'auto'].includes(mode)) throw wrong(`mode\` is ${JSON.stringify(mode)}`)
  if (network !== undefined && !['public', 'lan', 'any'].includes(network)) throw wrong(`network\` is ${JSON.stringify(network)}`)
  if (protocol !== undefined && !/^\/[!-~]{1,127}$/.test(protocol)) throw wrong(`protocol\` is ${JSON.stringify(protocol)}`)
  for (const [option, judges] of Object.entries({ validators, selectors })) {
    for (const [name, each] of Object.entries(judges)) {
      if (typeof each !== 'function') throw wrong(`${option}.${name}\` is no function`)
      if (!/^[!-.0-~]{1,63}$/.test(name)) throw wrong(`${option}\` has ${JSON.stringify(name)}, which is no namespace`)
      if (!(name in validators)) throw wrong(`selectors.${name}\` has no validator beside it`)
    }
  }
  return {
    mode,
    protocol,
    network: network ?? (near ? 'any' : undefined),
    validators: Object.keys(validators),
    selectors: Object.keys(selectors),
  }
}

/** The functions of the option. */
export const judgesOf = (options: DhtOptions | false = false): Judges => {
  const { validators = {}, selectors = {} } = options === false ? {} : options
  return { validators, selectors }
}
