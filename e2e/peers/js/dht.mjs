// @ts-nocheck: js-libp2p's packages and types are only there once this folder's own `npm ci` has run
//
// Kad of the js-libp2p peer, and its commands. They are those of the go-libp2p peer (../go/dht.go), on the public network's protocol unless
// told otherwise: nothing here knows a peer of that network. Addresses of this machine are as good as others.
//
// Keys: /pk/…, /ipns/…, and /tabmesh/… of which any value will do. Bytes cross in base64.

import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { createIPNSRecord, marshalIPNSRecord, multihashToIPNSRoutingKey } from 'ipns'
import { ipnsSelector } from 'ipns/selector'
import { ipnsValidator } from 'ipns/validator'
import { CID } from 'multiformats/cid'
import { fromBase64, toBase64 } from '../base64.mjs'

export const KAD = '/ipfs/kad/1.0.0'
/** The first look for peers near itself, which all commands wait for: its default is a second after the start. */
const SOON = 100
const DAY = 24 * 60 * 60 * 1000

/** Takes every value that has bytes. */
function anyValue(_, value) {
  if (value.byteLength === 0) {
    throw new Error('an empty value')
  }
}

/** Of several the greatest, so that all peers agree. */
function greatest(_, values) {
  const order = values.map((value, i) => ({ value, i })).sort((a, b) => Buffer.compare(b.value, a.value))
  return order[0].i
}

/** @param {{ mode?: 'server' | 'client', protocol?: string }} options */
export const dhtService = ({ mode = 'server', protocol = KAD }) =>
  kadDHT({
    protocol,
    clientMode: mode === 'client',
    peerInfoMapper: passthroughMapper,
    initialQuerySelfInterval: SOON,
    validators: { ipns: ipnsValidator, tabmesh: anyValue },
    selectors: { ipns: ipnsSelector, tabmesh: greatest },
  })

/** An address with its owner's id; some come with it and some without. */
const found = ({ id, multiaddrs }) => ({
  peerId: id.toString(),
  addresses: [...new Set(multiaddrs.map((each) => (each.toString().endsWith(`/p2p/${id}`) ? each.toString() : `${each}/p2p/${id}`)))],
})

/** Runs a query to its end; returns what `take` makes of its events, and stops early with what is not undefined. */
async function query(events, take) {
  for await (const event of events) {
    const result = take(event)
    if (result !== undefined) {
      return result
    }
  }
  return undefined
}

export const dhtCommands = (node, privateKey) => {
  const { dht } = node.services
  return {
    async provide({ cid }, signal) {
      let stored = 0
      await query(dht.provide(CID.parse(cid), { signal }), ({ name, messageName }) => {
        stored += Number(name === 'PEER_RESPONSE' && messageName === 'ADD_PROVIDER')
      })
      if (stored === 0) {
        throw new Error('no peer took the provider record')
      }
    },
    async findProviders({ cid, count = Infinity }, signal) {
      const all = new Map()
      await query(dht.findProviders(CID.parse(cid), { signal }), ({ name, providers }) => {
        if (name === 'PROVIDER') {
          for (const each of providers) {
            all.set(each.id.toString(), found(each))
          }
        }
        return all.size >= count ? true : undefined
      })
      return [...all.values()]
    },
    async findPeer({ target }, signal) {
      const peer = await query(dht.findPeer(peerIdFromString(target), { signal }), ({ name, peer }) =>
        name === 'FINAL_PEER' ? peer : undefined,
      )
      if (peer === undefined) {
        throw new Error(`kad has not found ${target}`)
      }
      return found(peer)
    },
    async put({ rawKey, data }, signal) {
      let stored = 0
      await query(dht.put(fromBase64(rawKey), fromBase64(data), { signal }), ({ name, messageName }) => {
        stored += Number(name === 'PEER_RESPONSE' && messageName === 'PUT_VALUE')
      })
      if (stored === 0) {
        throw new Error('no peer took the value')
      }
    },
    async get({ rawKey }, signal) {
      const value = await query(dht.get(fromBase64(rawKey), { signal }), ({ name, value }) => (name === 'VALUE' ? value : undefined))
      if (value === undefined) {
        throw new Error('kad has no value')
      }
      return toBase64(value)
    },
    async closestPeers({ rawKey }, signal) {
      const all = new Set()
      await query(dht.getClosestPeers(fromBase64(rawKey), { signal }), ({ name, peer }) => {
        if (name === 'FINAL_PEER') {
          all.add(peer.id.toString())
        }
      })
      return [...all]
    },
    routingTable: () => [...dht.routingTable.kb.toIterable()].map(({ peerId }) => peerId.toString()),
    async ipnsRecord({ value, sequence = 0 }) {
      const record = await createIPNSRecord(privateKey, value, sequence, DAY)
      return { key: toBase64(multihashToIPNSRoutingKey(node.peerId.toMultihash())), record: toBase64(marshalIPNSRecord(record)) }
    },
  }
}
