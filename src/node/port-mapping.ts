/**
 * Port mapping: asks the network's gateway to let others in, by NAT-PMP (RFC 6886) or UPnP, and announces where that leads to.
 *
 *   listeners' addresses ─▶ round: NAT-PMP, else UPnP ─▶ mapped: announced, if the gateway's address is a public one
 *                             ▲                            │ half of the lease later; another set of addresses: at once
 *                             └────────────────────────────┘
 *   a round fails: told once as an `error` event, tried again after PORT_MAPPING_RETRY, doubled up to PORT_MAPPING_RETRY_MAX
 *
 * IPv4 only, and what listens on a private address: a listener on a public one needs no mapping, and one on loopback is not to be reached.
 *
 * Bounds: one round at a time, of PORT_MAPPING_TIMEOUT; PORT_MAPPING_MAX ports; PORT_MAPPING_CLOSE_TIMEOUT to remove them at the end.
 */

import { parseIp4 } from '../engine/codec/ip.ts'
import { type Multiaddr, parseMultiaddr } from '../engine/codec/multiaddr.ts'
import {
  PORT_MAPPING_CLOSE_TIMEOUT,
  PORT_MAPPING_MAX,
  PORT_MAPPING_RENEW_MAX,
  PORT_MAPPING_RENEW_MIN,
  PORT_MAPPING_RETRY,
  PORT_MAPPING_RETRY_MAX,
  PORT_MAPPING_TIMEOUT,
} from '../engine/limits.ts'
import { scopeOf } from '../engine/net/rank.ts'
import { asTabmeshError, TabmeshError } from '../errors.ts'
import type { Mapper, Mappings, Port } from './port-mapping/mapper.ts'
import { natPmp } from './port-mapping/nat-pmp.ts'
import { upnp } from './port-mapping/upnp.ts'

export interface PortMapping {
  /** What is listened on has changed. */
  update(): void
  /** Removes the mappings, within PORT_MAPPING_CLOSE_TIMEOUT. */
  close(): Promise<void>
}

export interface PortMappingOptions {
  /** What is listened on, each with the interface's address: asked before each round. */
  listening(): readonly Multiaddr[]
  /** The addresses that the mappings lead to, each time they have changed. They are as good as the gateway's word: not confirmed. */
  announce(addresses: readonly Multiaddr[]): void
  fail(error: TabmeshError): void
  /** The ways to the gateway, the first to be tried first. */
  readonly mappers?: readonly Mapper[]
}

interface Held {
  readonly mapper: Mapper
  readonly mappings: Mappings
  /** Milliseconds on the monotonic clock. */
  readonly until: number
}

export const mapPorts = ({ listening, announce, fail, mappers = [natPmp(), upnp()] }: PortMappingOptions): PortMapping => {
  let ports: readonly Port[] = []
  let held: Held | undefined
  let announced = ''
  let round: { readonly ended: Promise<void>; readonly controller: AbortController } | undefined
  /** Whether another round is due when this one has ended. */
  let again = false
  let timer: NodeJS.Timeout | undefined
  let failures = 0
  let told = ''
  let closed = false

  const say = (found: readonly Multiaddr[]): void => {
    const texts = found.map(({ text }) => text).join()
    if (texts === announced) return
    announced = texts
    announce(found)
  }
  /** Once for each reason in a row. */
  const tell = (error: TabmeshError): void => {
    if (error.message === told) return
    told = error.message
    fail(error)
  }

  const start = (): void => {
    clearTimeout(timer)
    const controller = new AbortController()
    const deadline = setTimeout(() => controller.abort(new Error('the gateway takes too long')), PORT_MAPPING_TIMEOUT)
    const ended = run(controller.signal).then((wait) => {
      clearTimeout(deadline)
      round = undefined
      if (closed) return
      if (again) return start()
      if (ports.length === 0 && held === undefined) return
      timer = setTimeout(start, wait).unref()
    })
    again = false
    round = { ended, controller }
  }

  /** Resolves with how long to wait until the next one. */
  const run = async (signal: AbortSignal): Promise<number> => {
    const asked = portsOf(listening())
    ports = asked
    try {
      const { mapper, mappings } = await firstOf(
        held === undefined ? mappers : [held.mapper, ...mappers.filter((each) => each !== held?.mapper)],
        asked,
        signal,
      )
      const { mapped, externalIp } = mappings
      const lease = Math.min(...mapped.map((each) => (each.lease === 0 ? Number.POSITIVE_INFINITY : each.lease * 1_000)))
      const before = held
      held = { mapper, mappings, until: performance.now() + lease }
      if (!closed) {
        failures = 0
        say(externalOf(listening(), mappings))
        if (!isPublic(externalIp))
          tell(new TabmeshError('ERR_PORT_MAPPING', `the gateway's own address ${externalIp} is not public: there is another NAT`))
        else if (mappings.faults.length > 0)
          tell(
            new TabmeshError('ERR_PORT_MAPPING', `${mappings.faults.length} of ${asked.length} ports could not be mapped`, {
              cause: mappings.faults[0],
            }),
          )
        else told = ''
      }
      // What was mapped before, and is not any more. What another way had mapped ends with its lease: there it may be the same entry.
      const stale = before?.mapper === mapper ? before.mappings.mapped.filter((old) => !mapped.some((each) => isSame(old, each))) : []
      if (stale.length > 0) await mapper.unmap(stale, signal).catch(() => {})
      return Math.min(Math.max(lease / 2, PORT_MAPPING_RENEW_MIN), PORT_MAPPING_RENEW_MAX)
    } catch (error) {
      if (closed) return 0
      tell(asTabmeshError(error, 'ERR_PORT_MAPPING', 'no gateway maps ports'))
      failures += 1
      const wait = Math.min(PORT_MAPPING_RETRY * 2 ** (failures - 1), PORT_MAPPING_RETRY_MAX)
      if (held === undefined) return wait
      const left = held.until - performance.now()
      if (left > PORT_MAPPING_RENEW_MIN) return Math.min(wait, left)
      held = undefined
      say([])
      return wait
    }
  }

  return {
    update() {
      if (closed) return
      const addresses = listening()
      const wanted = portsOf(addresses)
      if (wanted.map(keyOf).join() === ports.map(keyOf).join()) {
        if (held !== undefined) say(externalOf(addresses, held.mappings))
        return
      }
      if (round !== undefined) again = true
      else start()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      const signal = AbortSignal.timeout(PORT_MAPPING_CLOSE_TIMEOUT)
      round?.controller.abort(new TabmeshError('ERR_STOPPED', 'port mapping'))
      await round?.ended
      if (held !== undefined) await held.mapper.unmap(held.mappings.mapped, signal).catch(() => {})
    },
  }
}

const isSame = (a: Port, b: Port): boolean => keyOf(a) === keyOf(b) || (a.protocol === b.protocol && a.external === b.external)

const keyOf = ({ protocol, host, port }: Port): string => `${protocol} ${host} ${port}`

/** /ip4/HOST/tcp|udp/PORT of an address, where HOST is one of a private network. */
const portOf = (address: Multiaddr): Port | undefined => {
  const [host, transport] = address.parts
  if (host?.name !== 'ip4' || host.value === undefined || scopeOf(address) !== 1) return undefined
  if (transport?.name !== 'tcp' && transport?.name !== 'udp') return undefined
  const port = Number(transport.value)
  return { protocol: transport.name, host: host.value, port, external: port }
}

const portsOf = (addresses: readonly Multiaddr[]): Port[] => {
  const ports = addresses.flatMap((address) => portOf(address) ?? [])
  return [...new Map(ports.map((port) => [keyOf(port), port])).values()].slice(0, PORT_MAPPING_MAX)
}

/** RFC 6333 §5.7: 192.0.0.0/29 is the inner side of a NAT that the provider has. */
const isPublic = (ip: string): boolean =>
  parseIp4(ip) !== undefined && !ip.startsWith('192.0.0.') && Number.parseInt(ip, 10) < 224 && scopeOf(parseMultiaddr(`/ip4/${ip}`)) === 2

/** What the mappings lead to; behind another NAT nobody outside can dial it. */
const externalOf = (addresses: readonly Multiaddr[], { externalIp, mapped }: Mappings): Multiaddr[] => {
  if (!isPublic(externalIp)) return []
  return addresses.flatMap((address) => {
    const port = portOf(address)
    const mapping = port && mapped.find((each) => keyOf(each) === keyOf(port))
    if (port === undefined || mapping === undefined) return []
    const rest = address.text.slice(`/ip4/${port.host}/${port.protocol}/${port.port}`.length)
    return [parseMultiaddr(`/ip4/${externalIp}/${port.protocol}/${mapping.external}${rest}`)]
  })
}

/** The first way that works. Rejects with ERR_PORT_MAPPING and what each of them came to. */
const firstOf = async (
  mappers: readonly Mapper[],
  ports: readonly Port[],
  signal: AbortSignal,
): Promise<{ readonly mapper: Mapper; readonly mappings: Mappings }> => {
  const faults: string[] = []
  for (const mapper of mappers) {
    try {
      return { mapper, mappings: await mapper.map(ports, signal) }
    } catch (error) {
      if (signal.aborted && signal.reason instanceof TabmeshError) throw signal.reason
      faults.push(`${mapper.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  throw new TabmeshError('ERR_PORT_MAPPING', `no gateway maps ports (${faults.join('; ')})`)
}
