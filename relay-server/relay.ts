/**
 * The relay: a node that lends its address to peers that have none, and its HTTP side.
 *
 *   startRelay ─▶ identity ─▶ node (identify, ping, relay, STUN's place, AutoNAT's server, rendezvous, the DHT) ─▶ listeners ─▶ ready ── stop() ─▶ draining ─▶ stopped
 *
 * Draining: no new connections; every connection gets a go-away and then WebSocket close 1001; what has not gone by then
 * is dropped. Within STOP_TIMEOUT and WS_CLOSE_TIMEOUT it is over.
 *
 * Bounds: the configuration's (config.ts), and those that every protocol has.
 */

import { encapsulate, type Multiaddr, withoutPeerId } from '../src/engine/codec/multiaddr.ts'
import { webSocketTarget } from '../src/engine/codec/web-socket-url.ts'
import { RELAY_MAX_WINDOW } from '../src/engine/limits.ts'
import { networkOf } from '../src/engine/net/capacity.ts'
import type { Gater } from '../src/engine/net/gater.ts'
import { Node } from '../src/engine/net/node.ts'
import type { Limit, NetEvent } from '../src/engine/net/service.ts'
import { autonatServer } from '../src/engine/protocols/autonat/server.ts'
import { identifyService } from '../src/engine/protocols/identify/service.ts'
import { pingService } from '../src/engine/protocols/ping/service.ts'
import { relayServer } from '../src/engine/protocols/relay/hop.ts'
import { type RendezvousServer, rendezvousServer } from '../src/engine/protocols/rendezvous/server.ts'
import { stunDirectory } from '../src/engine/protocols/stun/service.ts'
import { nodeHost } from '../src/node/host.ts'
import { loadIdentity, newIdentity } from '../src/node/identity.ts'
import { reachableAddresses } from '../src/node/interfaces.ts'
import { nodeStranger } from '../src/node/stranger.ts'
import { tcpTransport } from '../src/node/tcp.ts'
import { tlsSecurity } from '../src/node/tls/security.ts'
import { wsTransport } from '../src/node/ws-dialer.ts'
import { listenWs, type WsListener } from '../src/node/ws-listener.ts'
import type { RelayConfig } from './config.ts'
import { type RelayDht, relayDht } from './dht.ts'
import { answerHttp, type RelayStatus } from './http.ts'
import { type StunServer, startStun } from './stun.ts'

export interface Relay {
  readonly peerId: string
  /** What peers dial, `/p2p/<peerId>` included. */
  readonly addresses: readonly string[]
  /** `http://…` of the first listener, and the URL that `createPeer` is given unless a public one is announced. */
  readonly http: string
  /** What `createPeer` is given: `http` or the announced `https://…`. */
  readonly url: string
  status(): RelayStatus
  /** Drains and resolves when every port is free. */
  stop(): Promise<void>
}

/** Sockets beside those of connections: the status page, and connections that are refused. */
const SPARE_SOCKETS = 512

/**
 * Starts a relay. `gater` decides whom it serves: PERMISSION_DENIED is what a peer hears that gets no reservation.
 *
 * Throws ERR_LISTEN where a port is taken, ERR_INVALID_KEY and ERR_STORE for the identity.
 */
export const startRelay = async (config: RelayConfig, onEvent: (event: NetEvent) => void = () => {}, gater?: Gater): Promise<Relay> => {
  const began = performance.now()
  const key = config.data === undefined ? newIdentity() : await loadIdentity(config.data)
  const server = relayServer({
    maxReservations: config.maxReservations,
    maxCircuits: config.maxCircuits,
    maxCircuitsPerPeer: config.maxCircuitsPerPeer,
    reservationTtl: config.reservationDuration * 1000,
    ...limitOf(config),
  })
  const stun: StunServer[] = []
  const directory = stunDirectory(() => ({ port: stun[0]?.port as number }))
  const stranger = nodeStranger({ transports: [tcpTransport(), wsTransport()], quic: true, gater })
  const autonat = config.autonat ? [autonatServer({ stranger, allowPrivate: config.autonatPrivate })] : []
  const rendezvous = config.rendezvous ? [rendezvousOf(config).service] : []
  // Only a server of the DHT dials: those in its table.
  const transports = config.dht ? [tcpTransport(), wsTransport()] : []
  let dht: RelayDht | undefined
  const node = new Node({
    host: nodeHost(key),
    services: [identifyService(), pingService(), server.service, ...(config.stun ? [directory] : []), ...autonat, ...rendezvous],
    transports,
    securities: [tlsSecurity(key)],
    // After a restart all peers come back at once: as many may be in the middle of their handshake as may be connected.
    limits: { max: config.maxConnections, maxIncomingPending: config.maxConnections, maxWindow: RELAY_MAX_WINDOW },
    gater,
    onEvent,
  })
  let addresses: readonly string[] = []
  let url = ''
  const status = (): RelayStatus => ({
    peerId: node.self,
    addresses,
    url,
    reservations: server.counters.reservations,
    circuits: server.counters.circuits,
    connections: node.connections().length,
    uptime: Math.floor((performance.now() - began) / 1000),
  })

  node.start()
  const listeners: WsListener[] = []
  const stop = async (): Promise<void> => {
    for (const listener of listeners) listener.stopAccepting()
    await new Promise<void>((done) => node.stop(done))
    stranger.close()
    await Promise.all([...listeners, ...stun, ...(dht === undefined ? [] : [dht])].map((each) => each.close()))
  }
  try {
    for (const address of config.listen) {
      listeners.push(
        await listenWs(address, {
          accept: (link) => node.accept(link),
          request: answerHttp(status),
          maxSockets: config.maxConnections + SPARE_SOCKETS,
          trustProxy: config.trustProxy,
        }),
      )
    }
    if (config.stun) stun.push(...(await answerStun(listeners, config.stunPort)))
  } catch (error) {
    await stop()
    throw error
  }

  const bound = listeners.map((listener) => listener.address)
  const announced =
    config.announce.length > 0 ? config.announce.map((each) => withoutPeerId(each) ?? each) : bound.flatMap(reachableAddresses)
  node.announce('listen', announced)
  dht = relayDht(
    config,
    announced,
    transports,
    () => node,
    (error) => onEvent({ t: 'error', error }),
  )
  if (dht !== undefined) node.mount(dht.service)
  await dht?.started()
  addresses = announced.map((address) => encapsulate(address, `/p2p/${node.self}`).text)
  const http = httpUrl(bound[0] as Multiaddr)
  const published = config.announce.map(httpUrl).find((each) => each !== '')
  url = published ?? http
  let stopping: Promise<void> | undefined
  return { peerId: node.self, addresses, http, url, status, stop: () => (stopping ??= stop()) }
}

/** STUN beside every listener, all on one port. */
const answerStun = async (listeners: readonly WsListener[], wanted: number): Promise<StunServer[]> => {
  const servers: StunServer[] = []
  try {
    for (const { address } of listeners) {
      const [host, tcp] = address.parts
      const ip = host?.value as string
      const port = servers[0]?.port ?? (wanted === 0 ? Number(tcp?.value) : wanted)
      const taken = startStun(ip, port)
      // Two listeners of one address have one STUN server between them.
      if (servers.length > 0) servers.push(...(await taken.then((server) => [server]).catch(() => [])))
      else servers.push(await taken.catch((error: unknown) => (wanted === 0 ? startStun(ip, 0) : Promise.reject(error))))
    }
    return servers
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()))
    throw error
  }
}

/** Peers of one public address share what there is room for, so that one of them with many names has not more than others with one. */
const rendezvousOf = (config: RelayConfig): RendezvousServer =>
  rendezvousServer({
    maxRegistrations: config.maxRegistrations,
    maxPerPeer: config.maxRegistrationsPerPeer,
    minTtl: config.minRegistrationDuration,
    listAll: config.listNamespaces,
    partyOf: ({ remoteAddr }) => networkOf(remoteAddr),
  })

/** Absent where nothing is limited: peers take a circuit with a limit for a stopgap. */
const limitOf = ({ circuitDuration, circuitBytes }: RelayConfig): { limit?: Limit } => {
  if (circuitDuration === 0 && circuitBytes === 0) return {}
  return {
    limit: {
      ...(circuitDuration === 0 ? {} : { duration: circuitDuration * 1000 }),
      ...(circuitBytes === 0 ? {} : { data: circuitBytes }),
    },
  }
}

/** The URL of a WebSocket address for people: this machine by its name where any address will do; empty where there is none. */
const httpUrl = (address: Multiaddr): string => {
  const target = webSocketTarget(address)
  if (target === undefined) return ''
  return target.url
    .replace(/^ws/, 'http')
    .replace(/\/\/(0\.0\.0\.0|127\.0\.0\.1|\[::\]|\[::1\])(?=[:/])/, '//localhost')
    .replace(/\/$/, '')
}
