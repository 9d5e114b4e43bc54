/**
 * TCP: plain byte pipes, secured and muxed by the engine.
 *
 *   /(ip4|ip6|dns|dns4|dns6)/H/tcp/P[/p2p/R]
 *
 * Bounds: those of a channel (socket-channel.ts), and `maxSockets` sockets on one port.
 */

import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { TCP_CLOSE_TIMEOUT, TCP_KEEP_ALIVE } from '../engine/limits.ts'
import type { Link, Transport } from '../engine/net/service.ts'
import { TabmeshError } from '../errors.ts'
import { isPortsFault, type LocalPort } from './local-port.ts'
import { socketAddress } from './socket-address.ts'
import { SocketChannel, type SocketKind } from './socket-channel.ts'

/** What is written is whole frames already: nothing is gained by waiting for more. Either side may end first. */
export const tcpSocketOptions = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE } as const

const families: Readonly<Record<string, 4 | 6 | undefined>> = { ip4: 4, ip6: 6, dns: undefined, dns4: 4, dns6: 6 }

interface TcpTarget {
  readonly host: string
  readonly port: number
  readonly family: 4 | 6 | undefined
}

/** Undefined where the address is not one of TCP alone. */
export const tcpTarget = ({ parts: [host, tcp, ...rest] }: Multiaddr): TcpTarget | undefined => {
  if (host?.value === undefined || !(host.name in families) || tcp?.name !== 'tcp' || tcp.value === undefined) return undefined
  if (rest.length > 1 || (rest[0] !== undefined && rest[0].name !== 'p2p')) return undefined
  return { host: host.value, port: Number(tcp.value), family: families[host.name] }
}

const tcpKind: SocketKind = {
  drop(socket) {
    // What was said last (an alert, a go-away) is with the system and may still arrive. What is still here can't arrive whole:
    // a reset rids the system of the rest, which a remote that does not read would have it keep for minutes.
    if (socket.writableLength > 0) socket.resetAndDestroy()
    else socket.destroy()
  },
  faultOf: (error) =>
    new TabmeshError('ERR_CONNECTION_CLOSED', `the TCP connection broke (${error.code ?? error.message})`, { cause: error }),
}

/** Makes a channel of a socket that is connected. */
export const carryTcp = (socket: Socket): SocketChannel => new SocketChannel(socket, tcpKind)

export interface TcpDialOptions {
  /** Dials go out of this one where they can; out of any if absent. */
  readonly port?: LocalPort | undefined
}

export const tcpTransport = ({ port: from }: TcpDialOptions = {}): Transport => ({
  name: 'tcp',
  matches: (address) => (tcpTarget(address)?.port ?? 0) !== 0,
  dial(address, net, done) {
    let connecting = true
    const fail = (what: string, cause?: Error): void => {
      if (!connecting) return
      connecting = false
      done({ ok: false, fault: new TabmeshError('ERR_UNREACHABLE', what, { cause }) })
    }
    const target = tcpTarget(address)
    if (target === undefined) {
      net.host.defer(() => fail(`${address.text} is not a TCP address`))
      return () => {
        connecting = false
      }
    }
    const { host, port, family } = target
    let socket: Socket
    const open = (localPort: number | undefined): void => {
      const trying = connect({
        ...tcpSocketOptions,
        host,
        port,
        family: family ?? 0,
        autoSelectFamily: family === undefined,
        ...(localPort !== undefined && { localPort }),
      })
      socket = trying
      const failed = (error: NodeJS.ErrnoException): void => {
        if (connecting && localPort !== undefined && isPortsFault(error)) open(undefined)
        else fail(`no TCP connection to ${address.text} (${error.code ?? error.message})`, error)
      }
      trying.once('error', failed)
      trying.once('connect', () => {
        if (!connecting) return
        connecting = false
        const channel = carryTcp(trying)
        trying.off('error', failed)
        if (localPort !== undefined && from !== undefined) trying.once('close', from.taken(address))
        done({ ok: true, value: { t: 'pipe', channel, transport: 'tcp', remoteAddr: address } })
      })
    }
    open(from?.number)
    return () => {
      if (!connecting) return
      connecting = false
      socket.destroy()
    }
  },
})

export interface TcpListenOptions {
  /** A remote came: `Net.accept`. */
  accept(link: Link): void
  /** Sockets on this port at a time; more are closed as they come. Unlimited if absent. */
  readonly maxSockets?: number
}

export interface TcpListener {
  /** Where it listens, with the port that the system chose for /tcp/0. */
  readonly address: Multiaddr
  readonly sockets: number
  /** Takes no new sockets; those there are go on. */
  stopAccepting(): void
  /** Ends every socket in order and resolves when the port is free; what has not ended after TCP_CLOSE_TIMEOUT is dropped. */
  close(): Promise<void>
}

/** Listens on /ip4 or /ip6 /tcp/P. Throws ERR_LISTEN, ERR_INVALID_ARGUMENT. */
export const listenTcp = async (address: Multiaddr, { accept, maxSockets }: TcpListenOptions): Promise<TcpListener> => {
  const [host, , ...rest] = address.parts
  const target = tcpTarget(address)
  if (target === undefined || rest.length > 0 || (host?.name !== 'ip4' && host?.name !== 'ip6')) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `can't listen on ${address.text}, only on /ip4/…/tcp/… and /ip6/…/tcp/…`)
  }
  const open = new Map<Socket, SocketChannel>()
  const server = createServer(tcpSocketOptions, (socket) => {
    const { remoteAddress, remotePort } = socket
    const remoteAddr = remoteAddress === undefined || remotePort === undefined ? undefined : socketAddress(remoteAddress, remotePort)
    // Gone before it could be answered.
    if (remoteAddr === undefined) return void socket.destroy()
    // Before the channel's own: one that is telling of its close right now tells nobody who comes to listen meanwhile.
    socket.once('close', () => open.delete(socket))
    const channel = carryTcp(socket)
    open.set(socket, channel)
    accept({ t: 'pipe', channel, transport: 'tcp', remoteAddr })
  })
  if (maxSockets !== undefined) server.maxConnections = maxSockets
  await bindServer(server, address, target)
  const bound = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  const stopAccepting = (): void => {
    // Resolves when the last socket is gone too.
    closed ??= new Promise((done) => server.close(() => done()))
  }
  return {
    address: parseMultiaddr(address.text.replace(/\/tcp\/\d+/, `/tcp/${bound.port}`)),
    get sockets() {
      return open.size
    },
    stopAccepting,
    async close() {
      stopAccepting()
      const gone = [...open.keys()].map((socket) => new Promise((done) => socket.once('close', done)))
      for (const channel of open.values()) channel.end()
      const timer = setTimeout(() => {
        const fault = new TabmeshError('ERR_CONNECTION_CLOSED', `the remote did not end its side within ${TCP_CLOSE_TIMEOUT} ms`)
        for (const channel of open.values()) channel.abort(fault)
      }, TCP_CLOSE_TIMEOUT)
      await Promise.all([closed, ...gone])
      clearTimeout(timer)
    },
  }
}

/** Has `server` listen. Throws ERR_LISTEN. */
export const bindServer = (server: Server, address: Multiaddr, { host, port }: Pick<TcpTarget, 'host' | 'port'>): Promise<void> =>
  new Promise((done, fail) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const what = error.code === 'EADDRINUSE' ? `port ${port} is in use` : (error.code ?? error.message)
      fail(new TabmeshError('ERR_LISTEN', `can't listen on ${address.text}: ${what}`, { cause: error }))
    }
    server.once('error', failed)
    // On `::` alone, so that 0.0.0.0 may be listened on beside it.
    server.listen({ host, port, ipv6Only: true }, () => {
      server.off('error', failed)
      done()
    })
  })
