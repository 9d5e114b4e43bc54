/**
 * The relay as a server of the DHT (`--dht`): it answers others, keeps records for them in its folder, and dials to keep its table up.
 *
 * Bounds: those of the DHT (src/engine/limits.ts), and the relay's connections.
 */

import { join } from 'node:path'
import type { Multiaddr } from '../src/engine/codec/multiaddr.ts'
import type { Node } from '../src/engine/net/node.ts'
import type { Transport } from '../src/engine/net/service.ts'
import { type Network, reachOf } from '../src/engine/protocols/kad/network.ts'
import { type KadService, kadService, LAN_KAD } from '../src/engine/protocols/kad/service.ts'
import type { TabmeshError } from '../src/errors.ts'
import { recordsInFile } from '../src/node/log-file.ts'
import { keepRecords } from '../src/port/kad-shelf.ts'
import type { RelayConfig } from './config.ts'

export interface RelayDht {
  readonly service: KadService
  /** The relay has its addresses: dials those to begin with, and reads what an earlier start kept. */
  started(): Promise<void>
  close(): Promise<void>
}

/** Undefined where the relay is none. `announced` is where the relay will be found. */
export const relayDht = (
  { dht, dhtProtocol, dhtNetwork, bootstrap, data }: RelayConfig,
  announced: readonly Multiaddr[],
  transports: readonly Transport[],
  node: () => Node,
  onError: (error: TabmeshError) => void,
): RelayDht | undefined => {
  if (!dht) return undefined
  const network = dhtNetwork ?? networkOf(announced, bootstrap)
  const protocol = dhtProtocol ?? (network === 'lan' ? LAN_KAD : undefined)
  const records = data === undefined ? undefined : keepRecords(recordsInFile(join(data, 'dht')), onError)
  const service = kadService({
    mode: 'server',
    network,
    ...(protocol === undefined ? {} : { protocol }),
    bootstrap: bootstrap.map((address) => ({ addresses: [address] })),
    dialable: (address) => transports.some((transport) => transport.matches(address)),
    addressesOf: (peer) => node().peerStore.get(peer)?.addresses ?? [],
    serve: (server, on) => (on ? node().mount(server) : node().unmount(server)),
    ...(records && { shelves: records.shelves }),
  })
  return {
    service,
    async started() {
      for (const address of bootstrap) node().dial({ addresses: [address] }, (outcome) => outcome.ok || onError(outcome.fault))
      await records?.open(service)
    },
    close: () => records?.close() ?? Promise.resolve(),
  }
}

/** The public one for a relay that anybody can dial; any for one on somebody's desk. */
const networkOf = (announced: readonly Multiaddr[], bootstrap: readonly Multiaddr[]): Network => {
  const isPublic = announced.some((address) => reachOf(address) === 'public')
  return isPublic && bootstrap.every((address) => reachOf(address) !== 'lan') ? 'public' : 'any'
}
