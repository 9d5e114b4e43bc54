/**
 * What an application asks of the DHT (specs: kad-dht/README.md §DHT operations): each is a query, and what is made of its answers.
 *
 *   closestPeers, findPeer ─▶ FIND_NODE           findProviders ─▶ GET_PROVIDERS           get ─▶ GET_VALUE, Values, PUT_VALUE to who lacks it
 *   announce ─▶ FIND_NODE, then ADD_PROVIDER to the nearest           put ─▶ validate, FIND_NODE, then PUT_VALUE to the nearest
 *
 * Results are told as they come. What nobody knows is no fault: undefined, or nothing. Each `done` is called once, after the call has
 * returned, unless the function that is returned gives it up.
 *
 * Bounds: those of the queries; KAD_MAX_PROVIDERS providers, of one answer KAD_PROVIDERS_SHARE before all have answered, KAD_MAX_ADDRESSES of a peer.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdToBytes } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { KAD_MAX_ADDRESSES, KAD_MAX_CONTENT_KEY, KAD_MAX_KEY, KAD_MAX_PROVIDERS, KAD_PROVIDERS_SHARE } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { type KadPeer, kadMessage } from './messages.ts'
import type { Admit } from './network.ts'
import type { Queries } from './query.ts'
import type { Records } from './records.ts'
import { isOfRemote, type Requests } from './requests.ts'
import type { ProviderStore, RecordStore } from './stores.ts'
import type { Contact, Table, TableInput } from './table.ts'
import { Values } from './values.ts'

export interface Operations {
  /** The addresses of a peer; undefined where nobody knows it. */
  findPeer(peer: PeerId, done: (outcome: Outcome<KadPeer | undefined>) => void): Cancel
  /** The k nearest to a key: each as soon as nobody nearer is waited for (Lookup's `near`), in the end all of them in order. */
  closestPeers(key: Uint8Array, onPeer: (peer: KadPeer) => void, done: (outcome: Outcome<readonly KadPeer[]>) => void): Cancel
  /** Tells the nearest that we have `key`; the outcome is how many took it. */
  announce(key: Uint8Array, done: (outcome: Outcome<number>) => void): Cancel
  /** Each provider once, as it is heard of and where it is; in the end those of whom nobody says where. */
  findProviders(key: Uint8Array, onProvider: (peer: KadPeer) => void, done: (outcome: Outcome<void>) => void): Cancel
  /** The outcome is how many stored it. */
  put(key: Uint8Array, value: Uint8Array, done: (outcome: Outcome<number>) => void): Cancel
  /** `onValue` hears of each value that is better than those before; the outcome is the best, or undefined. */
  get(
    key: Uint8Array,
    options: { readonly quorum?: number; onValue?(value: Uint8Array): void },
    done: (outcome: Outcome<Uint8Array | undefined>) => void,
  ): Cancel
}

export interface OperationsOptions {
  readonly net: Net
  readonly queries: Queries
  readonly requests: Requests
  readonly table: Table
  readonly namespaces: Records
  readonly records: RecordStore
  readonly providers: ProviderStore
  readonly admit: Admit
  /** What we know of a peer's addresses ourselves. */
  addressesOf(peer: PeerId): readonly Multiaddr[]
  tellTable(input: TableInput): void
  /** Whether we keep records for others, and so our own too. */
  isServing(): boolean
}

export const operations = (options: OperationsOptions): Operations => {
  const { net, queries, requests, table, namespaces, records, providers, admit, addressesOf } = options

  /** For what is known at once: told when the call has returned. */
  const soon = (run: () => void): Cancel => {
    let wanted = true
    net.host.defer(() => {
      if (wanted) run()
    })
    return () => {
      wanted = false
    }
  }

  const closestPeers: Operations['closestPeers'] = (key, onPeer, done) => {
    checkKey(key, KAD_MAX_KEY)
    return queries.run({
      message: kadMessage('FIND_NODE', key),
      onNear: (contact) => onPeer(peerOf(contact)),
      done: (outcome) => done(outcome.ok ? { ok: true, value: outcome.value.closest.map(peerOf) } : outcome),
    })
  }

  const findPeer: Operations['findPeer'] = (peer, done) => {
    const known = table.get(peer)
    if (known !== undefined && net.connections(peer).length > 0) return soon(() => done({ ok: true, value: peerOf(known) }))
    /** By their text, with how many have named them. */
    const named = new Map<string, { readonly address: Multiaddr; times: number }>()
    let itself: readonly Multiaddr[] | undefined
    let namedBy = 0
    return queries.run({
      message: kadMessage('FIND_NODE', peerIdToBytes(peer)),
      onAnswer(contact, answer) {
        // Itself: then its address was right.
        if (contact.peer === peer) {
          itself = contact.addresses
          return true
        }
        const told = answer.closer.find(({ id }) => id === peer)?.addresses ?? []
        if (told.length === 0) return false
        for (const address of told) {
          const known = named.get(address.text)
          if (known === undefined) named.set(address.text, { address, times: 1 })
          else known.times += 1
        }
        namedBy += 1
        // Of one alone nobody knows whether it lies.
        return namedBy > 1 && admit(told).length === 0
      },
      done(outcome) {
        if (!outcome.ok && named.size === 0) return done(outcome)
        // What most say comes first: one who makes some up must not crowd out what is true.
        const most = [...named.values()].sort((a, b) => b.times - a.times).map(({ address }) => address)
        const addresses = itself ?? most.slice(0, KAD_MAX_ADDRESSES)
        done({ ok: true, value: addresses.length === 0 ? undefined : { id: peer, addresses } })
      },
    })
  }

  const findProviders: Operations['findProviders'] = (key, onProvider, done) => {
    checkKey(key, KAD_MAX_CONTENT_KEY)
    const told = new Set<PeerId>()
    /** Of whom nobody has said yet where they are: others may know. */
    const bare = new Set<PeerId>()
    /** Of each answer, what was more than its share; as many together as may be told. */
    const surplus: (readonly KadPeer[])[] = []
    let room = KAD_MAX_PROVIDERS
    const tellOf = (heard: readonly KadPeer[], most = KAD_MAX_PROVIDERS): void => {
      let left = most
      for (const [at, { id, addresses }] of heard.entries()) {
        if (told.has(id) || told.size >= KAD_MAX_PROVIDERS) continue
        if (left === 0) {
          const more = heard.slice(at, at + room)
          room -= more.length
          if (more.length > 0) surplus.push(more)
          return
        }
        const known = addresses.length > 0 ? addresses : addressesOf(id)
        if (known.length === 0) {
          if (bare.size < KAD_MAX_PROVIDERS) bare.add(id)
          continue
        }
        told.add(id)
        left -= 1
        bare.delete(id)
        onProvider({ id, addresses: known })
      }
    }
    tellOf(providers.get(key, net.host.date()).map(({ peer, addresses }) => ({ id: peer, addresses })))
    return queries.run({
      message: kadMessage('GET_PROVIDERS', key),
      onAnswer(_contact, answer) {
        tellOf(answer.providers, KAD_PROVIDERS_SHARE)
        return told.size >= KAD_MAX_PROVIDERS
      },
      done(outcome) {
        for (let each = surplus.shift(); each !== undefined; each = surplus.shift()) {
          room += each.length
          tellOf(each, KAD_PROVIDERS_SHARE)
        }
        for (const id of bare) {
          if (told.size >= KAD_MAX_PROVIDERS) break
          told.add(id)
          onProvider({ id, addresses: [] })
        }
        done(outcome.ok ? { ok: true, value: undefined } : outcome)
      },
    })
  }

  /** Says the same to all of them; the outcome is how many took it, or why nobody did. */
  const sayTo = (
    contacts: readonly Contact[],
    say: (contact: Contact, done: (outcome: Outcome<unknown>) => void) => Cancel,
    own: number,
    done: (outcome: Outcome<number>) => void,
  ): Cancel => {
    let left = contacts.length
    let took = own
    let fault: TabmeshError | undefined
    const cancels = new Set<Cancel>()
    const end = (): void => {
      if (took > 0 || fault === undefined) done({ ok: true, value: took })
      else done({ ok: false, fault })
    }
    if (left === 0) return soon(end)
    for (const contact of contacts) {
      let isTold = false
      let cancel: Cancel = () => {}
      cancel = say(contact, (outcome) => {
        isTold = true
        cancels.delete(cancel)
        left -= 1
        if (outcome.ok) took += 1
        else {
          fault = outcome.fault
          // It may only not have liked what it was told.
          if (isOfRemote(outcome.fault) && !outcome.fault.code.startsWith('ERR_STREAM'))
            options.tellTable({ t: 'failed', peer: contact.peer })
        }
        if (left === 0) net.host.defer(end)
      })
      if (!isTold) cancels.add(cancel)
    }
    return () => {
      for (const cancel of cancels) cancel()
    }
  }

  /** Looks `key` up, then says it to the nearest. */
  const spread = (
    key: Uint8Array,
    say: (contact: Contact, done: (outcome: Outcome<unknown>) => void) => Cancel,
    own: number,
    done: (outcome: Outcome<number>) => void,
  ): Cancel => {
    let cancel: Cancel = () => {}
    cancel = queries.run({
      message: kadMessage('FIND_NODE', key),
      done(outcome) {
        if (outcome.ok) cancel = sayTo(outcome.value.closest, say, own, done)
        else done(outcome)
      },
    })
    return () => cancel()
  }

  const announce: Operations['announce'] = (key, done) => {
    checkKey(key, KAD_MAX_CONTENT_KEY)
    const addresses = net.addresses
    if (addresses.length === 0) {
      return soon(() =>
        done({ ok: false, fault: new TabmeshError('ERR_NO_ADDRESS', 'nobody could reach us: a provider needs an address') }),
      )
    }
    const message = kadMessage('ADD_PROVIDER', key, { providers: [{ id: net.self, addresses }] })
    return spread(key, (contact, told) => requests.tell(contact, message, told), 0, done)
  }

  const put: Operations['put'] = (key, value, done) => {
    checkKey(key, KAD_MAX_KEY)
    let cancel: Cancel = () => {}
    let wanted = true
    namespaces.validate(key, value, (fault) => {
      if (!wanted) return
      if (fault !== undefined) {
        // Our own caller's, not a remote's.
        const own = new TabmeshError('ERR_INVALID_RECORD', 'a record that is not valid', { cause: fault })
        cancel = soon(() => done({ ok: false, fault: own }))
        return
      }
      if (options.isServing()) records.put(key, value, net.host.date())
      cancel = spread(key, (contact, told) => putTo(contact, key, value, told), 0, done)
    })
    return () => {
      wanted = false
      cancel()
    }
  }

  const putTo = (contact: Contact, key: Uint8Array, value: Uint8Array, done: (outcome: Outcome<unknown>) => void): Cancel =>
    requests.ask(contact, kadMessage('PUT_VALUE', key, { record: { key, value } }), done)

  const get: Operations['get'] = (key, { quorum, onValue }, done) => {
    checkKey(key, KAD_MAX_KEY)
    const values = new Values(key, quorum)
    let isEnough = false
    let ended: Outcome<{ readonly closest: readonly Contact[] }> | undefined
    let isOver = false
    let cancel: Cancel = () => {}

    const drain = (): void => {
      for (let output = values.poll(); output !== undefined && !isOver; output = values.poll()) {
        if (output.t === 'validate') {
          const { ticket } = output
          namespaces.validate(key, output.value, (fault) => {
            values.handle({ t: 'validated', ticket, valid: fault === undefined })
            drain()
          })
        } else if (output.t === 'select') {
          namespaces.select(key, output.values, (best) => {
            values.handle({ t: 'selected', best })
            drain()
          })
        } else if (output.t === 'value') onValue?.(output.value)
        else isEnough = true
      }
      if (ended === undefined ? isEnough : !values.pending) finish()
    }
    const finish = (): void => {
      if (isOver) return
      isOver = true
      cancel()
      const { best } = values
      if (ended?.ok === false && best === undefined) return done(ended)
      // §Entry correction: only who was among the nearest when all of them had answered is known to lack it.
      if (best !== undefined && ended?.ok === true) {
        for (const contact of values.outdated(ended.value.closest)) putTo(contact, key, best, () => {})
      }
      done({ ok: true, value: best })
    }

    const own = records.get(key, net.host.date())
    if (own !== undefined) values.handle({ t: 'record', from: net.self, record: own })
    cancel = queries.run({
      message: kadMessage('GET_VALUE', key),
      onAnswer({ peer }, { record }) {
        values.handle({ t: 'record', from: peer, record })
        drain()
        return isOver
      },
      done(outcome) {
        ended = outcome
        drain()
      },
    })
    if (own !== undefined) net.host.defer(drain)
    return () => {
      isOver = true
      cancel()
    }
  }

  return { closestPeers, findPeer, findProviders, announce, put, get }
}

const checkKey = (key: Uint8Array, max: number): void => {
  if (key.length === 0 || key.length > max) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a key of ${key.length} bytes where 1 to ${max} are allowed`)
  }
}

const peerOf = ({ peer, addresses }: Contact): KadPeer => ({ id: peer, addresses })
