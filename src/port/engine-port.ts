/**
 * The engine's end of the border: commands become calls of the node, the node's events become messages.
 *
 * Runs beside the engine, in the worker or inline; the page's end is ../peer.ts.
 */

import { type Multiaddr, parseMultiaddr, peerIdOf } from '../engine/codec/multiaddr.ts'
import { parsePeerId } from '../engine/codec/peer-id.ts'
import { relayUrlToMultiaddr } from '../engine/codec/relay-url.ts'
import type { Connection } from '../engine/net/connection.ts'
import type { Gater } from '../engine/net/gater.ts'
import type { Node } from '../engine/net/node.ts'
import type { DialTarget, NetEvent, Service } from '../engine/net/service.ts'
import type { Stream } from '../engine/net/stream.ts'
import { perfService } from '../engine/protocols/perf/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { splice } from '../engine/wire/splice.ts'
import { deflateError, type PlainError, TabmeshError } from '../errors.ts'
import type { MessageIdFunction } from '../types/pubsub.ts'
import type { ConnectionInfo, StreamInfo, Target } from '../types.ts'
import { type Commander, serveControl, settle } from './control.ts'
import { dhtCommands } from './dht-port.ts'
import { askPage, type PageGates } from './gates.ts'
import type { EngineEvent, EngineInit, EngineOptions } from './messages.ts'
import { askAboutRecords, type PageNamespaces } from './namespaces.ts'
import { peerStoreCommands } from './peer-store-port.ts'
import { Pipe } from './pipe.ts'
import { pubsubCommands } from './pubsub-commands.ts'
import { type PubsubPort, pubsubPort } from './pubsub-port.ts'
import { requestsPort } from './requests-port.ts'
import { roomCommands } from './room-commands.ts'
import { type RoomsPort, roomsPort } from './rooms-port.ts'
import type { Routing } from './routing.ts'

/** What a host makes of the options: a node that has not been started, its ping, and what to do once it is stopped. */
export interface Engine {
  readonly node: Node
  ping(connection: Connection, done: (outcome: Outcome<number>) => void): void
  /** Undefined where there is no DHT. */
  readonly routing?: Routing | undefined
  /** Not fatal, but the page should hear of it. */
  readonly warnings: readonly TabmeshError[]
  /** Called once the services run. What it returns is waited for before the peer counts as started. */
  started?(): void | Promise<void>
  close(): void | Promise<void>
}

/** `gater` is for the node: it asks the page, and is undefined where the page has none. `namespaces` ask the page about records. */
export type StartEngine = (
  options: EngineOptions,
  rtc: MessagePort,
  onEvent: (event: NetEvent) => void,
  gater: Gater | undefined,
  namespaces: PageNamespaces['namespaces'],
) => Promise<Engine>

/** Counters of one connection reach the page at most this often, in milliseconds. */
const CHANGE_INTERVAL = 100

/** What of the options is code, where page and engine are one thread: it can't cross the port. */
export interface EngineExtras {
  readonly messageId?: MessageIdFunction | undefined
}

export const serveEngine = (
  { control, events, rtc }: Pick<EngineInit, 'control' | 'events' | 'rtc'>,
  start: StartEngine,
  { messageId }: EngineExtras = {},
): void => {
  let engine: Engine | undefined
  const handled = new Map<string, Service>()
  let gates: PageGates | undefined
  let records: PageNamespaces | undefined
  const running = (): Engine => {
    if (engine === undefined) throw new TabmeshError('ERR_STOPPED', 'the engine is not running')
    return engine
  }
  const tell = (event: EngineEvent, transfer: Transferable[] = []): void => events.postMessage(event, transfer)
  const routing = (): Routing => {
    const { routing: given } = running()
    if (given === undefined) throw new TabmeshError('ERR_UNSUPPORTED', '`dht` is off, and there is no `delegatedRouting`')
    return given
  }
  let pubsub: PubsubPort | undefined
  let rooms: RoomsPort | undefined
  /** Relays where we hold a slot, or held one. */
  const reserved = new Set<string>()
  const told = reporter(tell)
  const report = (event: NetEvent): void => {
    if (event.t === 'relay:reserved') reserved.add(event.relay)
    told(event)
  }
  const mesh = (): PubsubPort => {
    running()
    if (pubsub === undefined) throw new TabmeshError('ERR_UNSUPPORTED', 'this peer was started with `pubsub: false`')
    return pubsub
  }

  const lounge = (): RoomsPort => {
    running()
    if (rooms === undefined) throw new TabmeshError('ERR_UNSUPPORTED', 'rooms need `pubsub`, and that its messages are signed')
    return rooms
  }

  const runningNode = (): Node => running().node
  const requests = requestsPort(runningNode, (target, protocol, done) => runningNode().openStream(targetOf(target), [protocol], done), tell)

  const commands: Commander = {
    ...dhtCommands(
      routing,
      (event) => tell({ t: 'dht', event }),
      (answer) => records?.answer(answer),
    ),
    ...pubsubCommands(mesh),
    ...roomCommands(lounge),
    ...peerStoreCommands(runningNode),
    ...requests.commands,
    start(options, resolve, reject) {
      const begin = (started: Engine): void => {
        engine = started
        const { node, warnings } = started
        const bootstrap = options.bootstrap.map(targetOf)
        node.start()
        if (options.perf) node.mount(perfService())
        const lane = options.pubsub === false ? undefined : new MessageChannel()
        if (options.pubsub !== false && lane !== undefined) {
          const relays = options.relays.map(relayUrlToMultiaddr)
          const fail = (error: TabmeshError): void => report({ t: 'error', error })
          pubsub = pubsubPort(lane.port1, node, { settings: options.pubsub, messageId, relays, reserved, fail })
          if (options.pubsub.signing !== 'StrictNoSign') {
            const places = new Set(relays.map((relay) => peerIdOf(relay) ?? relay.text)).size
            const { service, isOurs } = pubsub
            rooms = roomsPort(node, { pubsub: service, isOurs, relays: Math.min(places, options.reservations ?? places) })
            pubsub.rooms = rooms
          }
        }
        const ready = started.started?.()
        for (const warning of warnings) report({ t: 'error', error: warning })
        for (const target of bootstrap) {
          node.dial(target, (outcome) => {
            if (!outcome.ok) report({ t: 'error', error: outcome.fault })
          })
        }
        const { port2: port } = lane ?? {}
        const done = (): void => {
          const addresses = node.addresses.map(textOf)
          const protocols = node.protocols(false)
          resolve({ id: node.self, publicKey: node.publicKey.encoded, protocols, addresses, pubsub: port }, port ? [port] : [])
        }
        if (ready === undefined) done()
        else ready.then(done, reject)
      }
      let wanted = true
      // A count that is none would hold nothing, and say nothing.
      const { reservations = 1 } = options
      if (!(reservations >= 1)) throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`reservations\` is ${reservations}, not a number from 1`)
      gates = askPage(options.gates, (id, question) => tell({ t: 'gate', id, question }))
      records = askAboutRecords(options.dht ?? { validators: [], selectors: [] }, (event) => tell({ t: 'dht', event }))
      start(options, rtc, report, gates?.gater, records.namespaces)
        .then((started) => {
          if (!wanted) return started.close()
          try {
            begin(started)
          } catch (error) {
            engine = undefined
            started.node.stop(() => started.close())
            throw error
          }
        })
        .catch(reject)
      return () => {
        wanted = false
      }
    },
    stop(_args, resolve, reject) {
      const stopping = engine
      engine = undefined
      requests.forget()
      if (stopping === undefined) resolve(undefined)
      const close = (): void => {
        stopping?.node.stop(() => {
          pubsub?.close()
          Promise.resolve(stopping.close()).then(() => resolve(undefined), reject)
        })
      }
      if (rooms === undefined) close()
      else rooms.close(close)
      return undefined
    },
    dial: (target, resolve, reject) =>
      running().node.dial(
        targetOf(target),
        settle((connection) => resolve(infoOf(connection)), reject),
      ),
    hangUp(id, resolve) {
      running().node.hangUp(parsePeerId(id))
      resolve(undefined)
      return undefined
    },
    openStream: ({ target, protocols, options }, resolve, reject) =>
      running().node.openStream(
        targetOf(target),
        protocols,
        settle((stream) => {
          const port = pipeTo(stream)
          resolve({ info: streamInfo(stream), port }, [port])
        }, reject),
        options,
      ),
    handle({ protocol, maxInbound, allowLimited }, resolve) {
      const service: Service = {
        name: `application ${protocol}`,
        protocols: {
          [protocol]: { ...(maxInbound === undefined ? {} : { maxInbound }), ...(allowLimited === undefined ? {} : { allowLimited }) },
        },
        onStream(stream) {
          const port = pipeTo(stream)
          tell({ t: 'stream', info: streamInfo(stream), connection: infoOf(stream.connection), port }, [port])
        },
      }
      running().node.mount(service)
      handled.set(protocol, service)
      resolve(undefined)
      return undefined
    },
    unhandle(protocol, resolve) {
      const service = handled.get(protocol)
      if (service !== undefined) running().node.unmount(service)
      handled.delete(protocol)
      resolve(undefined)
      return undefined
    },
    ping(target, resolve, reject) {
      const { node, ping } = running()
      return node.dial(
        targetOf(target),
        settle((connection) => ping(connection, settle(resolve, reject)), reject),
      )
    },
    answerGate({ id, allowed }, resolve) {
      gates?.answer(id, allowed)
      resolve(undefined)
      return undefined
    },
    network(news, resolve) {
      // A page that has not started its engine has nothing to be checked.
      if (news === 'online') engine?.node.online()
      else engine?.node.offline()
      resolve(undefined)
      return undefined
    },
    metrics(_args, resolve) {
      resolve({ ...running().node.metrics.snapshot(), pubsub: pubsub?.metrics() })
      return undefined
    },
  }
  serveControl(control, commands)
}

/** The page's end of a new pipe that carries `stream`. */
const pipeTo = (stream: Stream): MessagePort => {
  const { port1, port2 } = new MessageChannel()
  splice(new Pipe(port1), stream)
  return port2
}

/** Throws ERR_INVALID_MULTIADDR, ERR_INVALID_PEER_ID or ERR_INVALID_ARGUMENT. */
const targetOf = (target: Target): DialTarget => {
  if (typeof target === 'string') {
    return target.startsWith('/') ? { addresses: [parseMultiaddr(target)] } : { peer: parsePeerId(target), addresses: [] }
  }
  if (!Array.isArray(target) || target.length === 0 || target.some((each) => typeof each !== 'string'))
    throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a target is a peer id, a multiaddr or a list of multiaddrs')
  return { addresses: target.map((address: string) => parseMultiaddr(address)) }
}

const textOf = (address: Multiaddr): string => address.text

const infoOf = (connection: Connection): ConnectionInfo => ({
  id: connection.id,
  remotePeer: connection.remotePeer,
  remoteAddr: connection.remoteAddr.text,
  direction: connection.direction,
  transport: connection.transport,
  limited: connection.limited,
  encryption: connection.encryption,
  muxer: connection.muxer,
  openedAt: connection.openedAt,
  streams: connection.streams.size,
  rtt: connection.rtt,
  observedAddr: connection.identified?.observed?.text,
})

const streamInfo = (stream: Stream): StreamInfo => ({
  id: stream.id,
  protocol: stream.protocol,
  remotePeer: stream.connection.remotePeer,
  direction: stream.direction,
})

/** Turns the node's events into messages; changes of a connection are gathered for CHANGE_INTERVAL. */
const reporter = (tell: (event: EngineEvent) => void): ((event: NetEvent) => void) => {
  const changed = new Set<Connection>()
  let timer: ReturnType<typeof setTimeout> | undefined
  const plain = (fault: TabmeshError | undefined): PlainError | undefined => (fault === undefined ? undefined : deflateError(fault))
  return (event) => {
    switch (event.t) {
      case 'connection:open':
        return tell({ t: event.t, info: infoOf(event.connection) })
      case 'connection:close':
        changed.delete(event.connection)
        return tell({ t: event.t, info: infoOf(event.connection), error: plain(event.fault) })
      case 'connection:change':
        changed.add(event.connection)
        if (timer !== undefined) return
        timer = setTimeout(() => {
          timer = undefined
          for (const connection of changed) if (connection.status !== 'closed') tell({ t: 'connection:change', info: infoOf(connection) })
          changed.clear()
        }, CHANGE_INTERVAL)
        return
      case 'peer:identify': {
        const { protocols, addresses, agent } = event.identified
        return tell({ t: event.t, info: infoOf(event.connection), protocols, addresses: addresses.map(textOf), agent })
      }
      case 'addresses:change':
        return tell({ t: event.t, addresses: event.addresses.map(textOf) })
      case 'reachability:change':
        return tell({ t: event.t, reachability: event.reachability, addresses: event.addresses.map(textOf) })
      case 'relay:reserved':
        return tell({ t: event.t, relay: event.relay, addresses: event.addresses.map(textOf), expires: event.expires })
      case 'relay:lost':
        return tell({ t: event.t, relay: event.relay, error: plain(event.fault) })
      case 'error':
        return tell({ t: event.t, error: deflateError(event.error) })
      case 'peer:connect':
      case 'peer:disconnect':
      case 'protocols:change':
        return tell(event)
    }
  }
}
