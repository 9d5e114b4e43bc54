/**
 * The engine's end of `peer.dht`: commands become calls of the routing (the DHT, and HTTP routers beside it), keys and CIDs become bytes.
 *
 * Bounds: those of the calls; a command takes as long as a lookup and the requests that follow it.
 */

import { utf8 } from '../engine/codec/bytes.ts'
import { multihashOfCid } from '../engine/codec/cid.ts'
import { encapsulate, type Multiaddr } from '../engine/codec/multiaddr.ts'
import { parsePeerId, parsePeerIdBytes } from '../engine/codec/peer-id.ts'
import type { Cancel } from '../engine/host.ts'
import type { Transport } from '../engine/net/service.ts'
import type { KadPeer } from '../engine/protocols/kad/messages.ts'
import { type Network, reachOf } from '../engine/protocols/kad/network.ts'
import { ipnsKey, publicKeyKey } from '../engine/protocols/kad/records.ts'
import type { KadOptions } from '../engine/protocols/kad/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { TabmeshError } from '../errors.ts'
import type { FoundPeer } from '../types.ts'
import { type Commander, settle } from './control.ts'
import type { DhtCommands, DhtEvent, EngineDht, RecordAnswer } from './dht-messages.ts'
import type { Routing } from './routing.ts'

/** `routing` throws where there is none. */
export const dhtCommands = (
  routing: () => Routing,
  tell: (event: DhtEvent) => void,
  answer: (answer: RecordAnswer) => void,
): Pick<Commander, keyof DhtCommands> => {
  /** Each that is found is an event, and the result how many they were. */
  const finding = (
    query: number,
    begin: (found: (peer: KadPeer) => void, done: (outcome: Outcome<unknown>) => void) => Cancel,
    resolve: (count: number) => void,
    reject: (error: unknown) => void,
  ): Cancel => {
    let count = 0
    const found = (peer: KadPeer): void => {
      count += 1
      tell({ t: 'found', query, peer: foundPeer(peer) })
    }
    // Who has something does not miss what else there may be.
    return begin(found, (outcome) => (outcome.ok || count > 0 ? resolve(count) : reject(outcome.fault)))
  }
  return {
    findPeer(id, resolve, reject) {
      const peer = parsePeerId(id)
      return routing().findPeer(peer, (outcome) => {
        if (!outcome.ok) reject(outcome.fault)
        else if (outcome.value === undefined) reject(new TabmeshError('ERR_NOT_FOUND', `no address of ${peer} was found`))
        else resolve(foundPeer(outcome.value))
      })
    },
    provide: (cid, resolve, reject) => routing().provide(multihashOfCid(cid), settle(resolve, reject)),
    unprovide(cid, resolve) {
      resolve(routing().unprovide(multihashOfCid(cid)))
      return undefined
    },
    findProviders: ({ query, cid }, resolve, reject) =>
      finding(query, (found, done) => routing().findProviders(multihashOfCid(cid), found, done), resolve, reject),
    closestPeers: ({ query, key }, resolve, reject) =>
      finding(query, (found, done) => routing().closestPeers(lookupKey(key), found, done), resolve, reject),
    putRecord: ({ key, value }, resolve, reject) => routing().put(recordKey(key), value, settle(resolve, reject)),
    getRecord({ query, key, quorum }, resolve, reject) {
      const how = {
        ...(quorum === undefined ? {} : { quorum }),
        ...(query === undefined ? {} : { onValue: (value: Uint8Array) => tell({ t: 'value', query, value }) }),
      }
      return routing().get(recordKey(key), how, (outcome) => {
        if (!outcome.ok) reject(outcome.fault)
        else if (outcome.value === undefined) reject(new TabmeshError('ERR_NOT_FOUND', 'no valid record was found'))
        else resolve(outcome.value)
      })
    },
    answerRecord(said, resolve) {
      answer(said)
      resolve(undefined)
      return undefined
    },
  }
}

const foundPeer = ({ id, addresses }: KadPeer): FoundPeer => ({
  id,
  addresses: addresses.map((address) => encapsulate(address, `/p2p/${id}`).text),
})

/** Bytes as they are; of text `/ipns/<name>` and `/pk/<peer id>` in binary, and else its UTF-8. Throws ERR_INVALID_ARGUMENT. */
export const recordKey = (key: string | Uint8Array): Uint8Array => {
  if (key instanceof Uint8Array) return key
  if (typeof key !== 'string') throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a key is text or bytes')
  for (const [prefix, make] of named) {
    if (!key.startsWith(prefix)) continue
    const name = key.slice(prefix.length)
    try {
      return make(parsePeerId(name))
    } catch (cause) {
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `${JSON.stringify(name.slice(0, 100))} is no name of a key`, { cause })
    }
  }
  return utf8(key)
}

const named = [
  ['/ipns/', ipnsKey],
  ['/pk/', publicKeyKey],
] as const

/** A peer id, or a record's key. */
const lookupKey = (key: string | Uint8Array): Uint8Array => {
  if (typeof key !== 'string' || key.startsWith('/')) return recordKey(key)
  try {
    return parsePeerIdBytes(key)
  } catch {
    return utf8(key)
  }
}

/**
 * The network of a DHT of which nothing is said: any where somebody of those it begins with, or it itself, is on this machine or in a private
 * network, else the public one.
 */
export const networkFor = ({ network }: EngineDht, near: Iterable<Multiaddr>): Network => {
  if (network !== undefined) return network
  for (const address of near) if (reachOf(address) === 'lan') return 'any'
  return 'public'
}

/** What both hosts make of the options, but for the stores. */
export const kadOptions = (
  dht: EngineDht,
  { near, bootstrap, transports }: { near: readonly Multiaddr[]; bootstrap: readonly Multiaddr[]; transports: readonly Transport[] },
): Pick<KadOptions, 'mode' | 'network' | 'protocol' | 'bootstrap' | 'dialable'> => ({
  mode: dht.mode,
  network: networkFor(dht, [...near, ...bootstrap]),
  ...(dht.protocol === undefined ? {} : { protocol: dht.protocol }),
  bootstrap: bootstrap.map((address) => ({ addresses: [address] })),
  dialable: (address) => transports.some((transport) => transport.matches(address)),
})
