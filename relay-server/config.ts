/**
 * What a relay can be told, from where, and what it does if told nothing.
 *
 *   defaults ◀── file (--config, JSON) ◀── flags          the later wins, field by field; lists are replaced, not joined
 *
 * A wrong value is an error that names its field: a relay that starts with less than its operator wrote is worse than one
 * that does not start.
 */

import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Multiaddr, parseMultiaddr } from '../src/engine/codec/multiaddr.ts'
import {
  RELAY_MAX_CIRCUITS,
  RELAY_MAX_CIRCUITS_PER_PEER,
  RELAY_MAX_RESERVATIONS,
  RELAY_RESERVATION_TTL,
  RENDEZVOUS_MAX_PER_PEER,
  RENDEZVOUS_MAX_REGISTRATIONS,
  RENDEZVOUS_MIN_TTL,
} from '../src/engine/limits.ts'
import { TabmeshError } from '../src/errors.ts'

export interface RelayConfig {
  /** WebSocket addresses to listen on; HTTP answers on the same ports. */
  readonly listen: readonly Multiaddr[]
  /** What others are told instead of this machine's own addresses: the public name behind a proxy, for one. */
  readonly announce: readonly Multiaddr[]
  /** The folder of the identity key; a new identity that is not kept if absent. */
  readonly data: string | undefined
  /** Connections, all together. */
  readonly maxConnections: number
  /** Peers that are reachable through this relay at a time. */
  readonly maxReservations: number
  /** Seconds that a reservation lasts unless it is renewed. */
  readonly reservationDuration: number
  readonly maxCircuits: number
  readonly maxCircuitsPerPeer: number
  /** Seconds that one circuit may last; 0 for no limit. */
  readonly circuitDuration: number
  /** Bytes that one circuit may carry in each direction; 0 for no limit. */
  readonly circuitBytes: number
  /** Whether to take a client's address from `X-Forwarded-For`: only behind a proxy that sets it. */
  readonly trustProxy: boolean
  /** Whether to answer STUN, so that pages need nobody else's server to connect directly. */
  readonly stun: boolean
  /** UDP port of it; 0 for the number of the first listener, or any where that is taken. */
  readonly stunPort: number
  /** Whether to dial peers that ask whether they can be reached (AutoNAT v2). */
  readonly autonat: boolean
  /** Whether to dial them in private networks and on this machine too: for tests and closed networks only. */
  readonly autonatPrivate: boolean
  /** Whether to be a rendezvous point: peers register under a name, and find each other by it. */
  readonly rendezvous: boolean
  /** Registrations of all peers, and of one. */
  readonly maxRegistrations: number
  readonly maxRegistrationsPerPeer: number
  /** Seconds that one has to last at least. */
  readonly minRegistrationDuration: number
  /** Whether to tell who asks for all names at once. */
  readonly listNamespaces: boolean
  /** Whether to be a server of the DHT: to answer others, and keep records for them. */
  readonly dht: boolean
  /** Its protocol; `/ipfs/kad/1.0.0` if absent, and `/ipfs/lan/kad/1.0.0` in a `lan`. */
  readonly dhtProtocol: string | undefined
  /** Whose addresses count in it: by the relay's own addresses if absent. */
  readonly dhtNetwork: 'public' | 'lan' | 'any' | undefined
  /** Peers of the DHT to begin with. */
  readonly bootstrap: readonly Multiaddr[]
}

/** As it stands in the file and on the command line. */
export type RelaySettings = { readonly [field in keyof RelayConfig]?: unknown }

const DEFAULT_LISTEN = '/ip4/0.0.0.0/tcp/9090/ws'

/**
 * systemd's folder for the service; else the user's folder for state (XDG base directory specification), so that the relay is
 * the same peer from whichever folder it is started. A second relay on one machine needs a `--data` of its own.
 */
export const defaultData = (env: NodeJS.ProcessEnv = process.env): string =>
  env.STATE_DIRECTORY || join(env.XDG_STATE_HOME || env.LOCALAPPDATA || join(homedir(), '.local', 'state'), 'tabmesh-relay')

const invalid = (field: string, what: string, cause?: unknown) =>
  new TabmeshError('ERR_INVALID_ARGUMENT', `relay setting \`${field}\`: ${what}`, { cause })

type Reader<T> = (value: unknown, field: string) => T

const addresses: Reader<readonly Multiaddr[]> = (value, field) => {
  if (!Array.isArray(value)) throw invalid(field, `a list of multiaddrs is expected, not ${JSON.stringify(value)}`)
  return value.map((each) => {
    if (typeof each !== 'string') throw invalid(field, `${JSON.stringify(each)} is not a multiaddr`)
    try {
      return parseMultiaddr(each)
    } catch (error) {
      throw invalid(field, `${JSON.stringify(each)} is not a multiaddr`, error)
    }
  })
}

const whole =
  (least: number, most: number): Reader<number> =>
  (value, field) => {
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most) return number
    throw invalid(field, `a whole number from ${least} to ${most} is expected, not ${JSON.stringify(value)}`)
  }

const flag: Reader<boolean> = (value, field) => {
  if (typeof value === 'boolean') return value
  throw invalid(field, `true or false is expected, not ${JSON.stringify(value)}`)
}

const folder: Reader<string> = (value, field) => {
  if (typeof value === 'string' && value !== '') return resolve(value)
  throw invalid(field, `the path of a folder is expected, not ${JSON.stringify(value)}`)
}

const protocol: Reader<string> = (value, field) => {
  if (typeof value === 'string' && /^\/[!-~]{1,127}$/.test(value)) return value
  throw invalid(field, `a protocol id like /ipfs/kad/1.0.0 is expected, not ${JSON.stringify(value)}`)
}

const network: Reader<'public' | 'lan' | 'any'> = (value, field) => {
  if (value === 'public' || value === 'lan' || value === 'any') return value
  throw invalid(field, `public, lan or any is expected, not ${JSON.stringify(value)}`)
}

/** The most of what is counted: far more than one machine carries, so larger is a slip of the keyboard. */
const MANY = 1_000_000
const DAY = 86_400

const readers: { readonly [field in keyof RelayConfig]: Reader<RelayConfig[field]> } = {
  listen: addresses,
  announce: addresses,
  data: folder,
  maxConnections: whole(1, MANY),
  maxReservations: whole(0, MANY),
  // A client renews ahead of the end, and js never in less than 30 s.
  reservationDuration: whole(60, DAY),
  maxCircuits: whole(0, MANY),
  maxCircuitsPerPeer: whole(1, MANY),
  circuitDuration: whole(0, DAY),
  circuitBytes: whole(0, Number.MAX_SAFE_INTEGER),
  trustProxy: flag,
  stun: flag,
  stunPort: whole(0, 65_535),
  autonat: flag,
  autonatPrivate: flag,
  rendezvous: flag,
  maxRegistrations: whole(0, MANY),
  maxRegistrationsPerPeer: whole(1, MANY),
  minRegistrationDuration: whole(1, DAY),
  listNamespaces: flag,
  dht: flag,
  dhtProtocol: protocol,
  dhtNetwork: network,
  bootstrap: addresses,
}

const defaults: RelayConfig = {
  listen: [parseMultiaddr(DEFAULT_LISTEN)],
  announce: [],
  data: undefined,
  // An idle one costs some 64 KiB of memory (1,000 measured, Node 20), so these are 256 MiB.
  maxConnections: 4_096,
  maxReservations: RELAY_MAX_RESERVATIONS,
  reservationDuration: RELAY_RESERVATION_TTL / 1000,
  maxCircuits: RELAY_MAX_CIRCUITS,
  maxCircuitsPerPeer: RELAY_MAX_CIRCUITS_PER_PEER,
  // An application's own relay carries those whom no direct path connects. A public one should limit circuits: go, js and rust
  // allow 120 s and 128 KiB, enough to agree on a direct connection and of no use as a free proxy.
  circuitDuration: 0,
  circuitBytes: 0,
  trustProxy: false,
  stun: true,
  stunPort: 0,
  autonat: true,
  autonatPrivate: false,
  rendezvous: true,
  maxRegistrations: RENDEZVOUS_MAX_REGISTRATIONS,
  maxRegistrationsPerPeer: RENDEZVOUS_MAX_PER_PEER,
  minRegistrationDuration: RENDEZVOUS_MIN_TTL,
  listNamespaces: true,
  dht: false,
  dhtProtocol: undefined,
  dhtNetwork: undefined,
  bootstrap: [],
}

/** One complete configuration out of settings, the later ones winning. Throws ERR_INVALID_ARGUMENT naming the field. */
export const relayConfig = (...layers: readonly RelaySettings[]): RelayConfig => {
  const config: Record<string, unknown> = { ...defaults }
  for (const layer of layers) {
    for (const [field, value] of Object.entries(layer)) {
      if (!Object.hasOwn(readers, field)) throw invalid(field, `there is no such setting; there are ${Object.keys(readers).join(', ')}`)
      if (value !== undefined) config[field] = readers[field as keyof RelayConfig](value, field)
    }
  }
  const complete = config as unknown as RelayConfig
  if (complete.listen.length === 0) throw invalid('listen', 'at least one address is needed')
  return complete
}

/** What the text of a `--config` file says. Throws ERR_INVALID_ARGUMENT. */
export const parseSettings = (text: string, file: string): RelaySettings => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `${file} is not JSON (${(error as Error).message})`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `${file} does not hold an object of settings`)
  }
  return value
}
