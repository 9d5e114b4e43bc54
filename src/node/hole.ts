/**
 * How a Node peer punches holes: DCUtR's `Puncher` over TCP and QUIC.
 *
 *   TCP    open(): listens on the local port (local-port.ts) and takes who comes from an expected host
 *          punch(): connects from the local port to each address; where both sides do so at once, TCP joins the two
 *                   (RFC 9293 §3.5, simultaneous open), and where one is earlier, the other one's listener takes it
 *   QUIC   punch(): dials out of the socket that all dials go out of
 *
 * What it can't do. Out of a port that is listened on nothing can be dialled in Node (local-port.ts says why), so the listener stands aside for the
 * instant in which sockets are bound. `@chainsafe/libp2p-quic` has one socket for dialling and another one for listening, and neither does
 * the other one's work or sends a datagram by itself: on a QUIC address the specification has B send random bytes and A dial. Here both dial.
 * As A that is what is asked for. As B, our dial opens our NAT as the random bytes would, and succeeds where A listens on the port it dials
 * from, as go and rust do; A's own dial ends at a socket that answers nobody. Two of our own Node peers behind NATs meet over TCP only.
 *
 * Bounds: DCUTR_MAX_ADDRESSES dials in a hole, each refused one repeated DCUTR_MAX_REDIALS times; DCUTR_MAX_LIVE holes.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import type { Cancel } from '../engine/host.ts'
import { DCUTR_MAX_ADDRESSES, DCUTR_MAX_REDIALS, DCUTR_REDIAL } from '../engine/limits.ts'
import type { Link, Net, Transport } from '../engine/net/service.ts'
import { outsideOf } from '../engine/protocols/dcutr/candidates.ts'
import type { Puncher } from '../engine/protocols/dcutr/service.ts'
import { isPortsFault, type LocalPort } from './local-port.ts'
import { socketAddress } from './socket-address.ts'
import { carryTcp, tcpSocketOptions, tcpTarget } from './tcp.ts'

export interface PunchOptions {
  /** Undefined where TCP is off. */
  readonly port: LocalPort | undefined
  /** Undefined where QUIC is off. */
  readonly quic: Transport | undefined
}

export const nodePuncher = ({ port, quic }: PunchOptions): Puncher => {
  const door = port === undefined ? undefined : new Door(port)
  return {
    outside({ direction, direct, transport, identified, remoteAddr }) {
      const observed = identified?.observed
      if (observed === undefined || direction !== 'outbound' || !direct) return undefined
      if (transport === 'quic') return quic && outsideOf(observed, 'quic')
      const ours = (transport === 'tcp' || transport === 'websocket') && port?.carries(remoteAddr) === true
      return ours ? outsideOf(observed, 'tcp') : undefined
    },
    open(net, addresses, onLink) {
      const guest: Guest = { hosts: new Set(addresses.map(({ parts }) => parts[0]?.value ?? '')), onLink }
      const cancels: Cancel[] = []
      door?.expect(guest)
      return {
        punch() {
          for (const address of addresses.slice(0, DCUTR_MAX_ADDRESSES)) {
            if (tcpTarget(address) !== undefined) {
              if (door !== undefined) cancels.push(door.knock(address, onLink))
            } else if (quic?.matches(address) === true) cancels.push(dialQuic(quic, address, net, onLink))
          }
        },
        close() {
          door?.forget(guest)
          for (const cancel of cancels.splice(0)) cancel()
        },
      }
    },
  }
}

const dialQuic = (quic: Transport, address: Multiaddr, net: Net, onLink: (link: Link) => void): Cancel =>
  quic.dial(address, net, (outcome) => {
    if (outcome.ok) onLink(outcome.value)
  })

interface Guest {
  /** The IP addresses that it may come from. */
  readonly hosts: ReadonlySet<string>
  onLink(link: Link): void
}

/** The local port, while somebody is expected at it. */
class Door {
  readonly #port: LocalPort
  readonly #guests = new Set<Guest>()
  #servers: Server[] = []
  #reopening = false

  constructor(port: LocalPort) {
    this.#port = port
  }

  expect(guest: Guest): void {
    this.#guests.add(guest)
    this.#open()
  }

  forget(guest: Guest): void {
    this.#guests.delete(guest)
    if (this.#guests.size === 0) this.#close()
  }

  /** Connects from the port; `onLink` hears if it succeeds. */
  knock(address: Multiaddr, onLink: (link: Link) => void): Cancel {
    const target = tcpTarget(address)
    let socket: Socket | undefined
    let timer: NodeJS.Timeout | undefined
    let soon: NodeJS.Immediate | undefined
    let over = target === undefined
    let tries = 0
    const go = (): void => {
      if (target === undefined) return
      const localPort = this.#standAside() ? this.#port.number : undefined
      const trying = connect({ ...tcpSocketOptions, host: target.host, port: target.port, ...(localPort !== undefined && { localPort }) })
      socket = trying
      trying.once('connect', () => {
        trying.off('error', failed)
        over = true
        if (localPort !== undefined) trying.once('close', this.#port.taken(address))
        onLink({ t: 'pipe', channel: carryTcp(trying), transport: 'tcp', remoteAddr: address })
      })
      const failed = (error: NodeJS.ErrnoException): void => {
        if (over) return
        tries += 1
        // Two that refuse each other in step would do so again: hence the dice.
        // The remote's own connection is there already, or the port can't be had: then another way in may still work.
        const late = isPortsFault(error)
        over = late || tries > DCUTR_MAX_REDIALS
        if (!over) timer = setTimeout(begin, DCUTR_REDIAL * (0.5 + Math.random()))
      }
      trying.on('error', failed)
    }
    // Whoever has come by now is let in first: a listener that closes turns away who waits at it.
    const begin = (): void => {
      soon = setImmediate(go)
    }
    begin()
    return () => {
      if (over) return
      over = true
      clearTimeout(timer)
      clearImmediate(soon)
      socket?.destroy()
    }
  }

  /** Lets sockets be bound to the port in this turn of the event loop: `connect` does so in the next tick, and the listener is back after that. */
  #standAside(): boolean {
    this.#close()
    if (!this.#reopening) {
      this.#reopening = true
      process.nextTick(() =>
        process.nextTick(() => {
          this.#reopening = false
          this.#open()
        }),
      )
    }
    return this.#port.number !== undefined
  }

  #open(): void {
    const { number: port } = this.#port
    if (this.#servers.length > 0 || this.#reopening || this.#guests.size === 0 || port === undefined) return
    for (const host of ['0.0.0.0', '::']) {
      const server = createServer(tcpSocketOptions, (socket) => this.#answer(socket))
      // There may be no IPv6, or somebody else at the port by now: then only who is knocked at gets in.
      server.on('error', () => {})
      server.listen({ host, port, ipv6Only: host === '::', exclusive: true })
      this.#servers.push(server)
    }
  }

  #close(): void {
    for (const server of this.#servers.splice(0)) server.close()
  }

  #answer(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    const from = remoteAddress === undefined || remotePort === undefined ? undefined : socketAddress(remoteAddress, remotePort)
    const host = from?.parts[0]?.value
    const guest = [...this.#guests].find(({ hosts }) => host !== undefined && hosts.has(host))
    if (guest === undefined || from === undefined) return void socket.destroy()
    guest.onLink({ t: 'pipe', channel: carryTcp(socket), transport: 'tcp', remoteAddr: from })
  }
}
