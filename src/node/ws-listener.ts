/**
 * Listening for WebSockets, with TLS where the address says so: https://github.com/libp2p/specs/blob/master/websockets/README.md
 *
 *   /(ip4|ip6)/A/tcp/P/(ws|tls/ws|wss)[/http-path/X]
 *
 *   HTTP request ──┬─ GET … Upgrade: websocket, on our path ──▶ link, given to `accept`
 *                  ├─ Upgrade on another path ──▶ 404
 *                  └─ anything else ──▶ `request` (the relay's status page), 426 if absent
 *
 *   open ── stopAccepting() ──▶ draining ── close() ──▶ closed     what ends meanwhile says 1001, going away
 *
 * Bounds: `maxSockets` sockets, upgraded or not; WS_HANDSHAKE_TIMEOUT for TLS, and as much and 8 KiB of headers for a request; a socket that
 * answers no ping within WS_PING_INTERVAL is dropped. What a channel buffers is bounded there.
 */

import type { IncomingMessage, RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { WebSocketServer } from 'ws'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { webSocketTarget } from '../engine/codec/web-socket-url.ts'
import { WS_CLOSE_TIMEOUT, WS_HANDSHAKE_TIMEOUT, WS_PING_INTERVAL } from '../engine/limits.ts'
import type { Link } from '../engine/net/service.ts'
import { TabmeshError } from '../errors.ts'
import type { WebSocketChannel } from '../sockets/web-socket-channel.ts'
import { CLOSE_GOING_AWAY } from '../sockets/web-socket-channel.ts'
import { type Doorstep, watchDoorstep } from './doorstep.ts'
import { socketAddress } from './socket-address.ts'
import { bindServer } from './tcp.ts'
import { carryWs, socketOptions } from './ws-socket.ts'

/** A certificate, with those that lead to its authority behind it, and its private key: PEM. */
export interface ServerCertificate {
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
}

export interface WsListenOptions {
  /** A remote came: `Net.accept`. */
  accept(link: Link): void
  /** Answers what is not a WebSocket. */
  readonly request?: RequestListener
  /** For /tls/ws and /wss, which can't do without. */
  readonly tls?: ServerCertificate
  /** Sockets on this port at a time, beyond which those give way that have not asked for a WebSocket in time (doorstep.ts). Unlimited if absent. */
  readonly maxSockets?: number
  /** Whether to believe `X-Forwarded-For`: only where every client comes through a proxy that sets it. */
  readonly trustProxy?: boolean
  /** Milliseconds; WS_PING_INTERVAL if absent. */
  readonly pingInterval?: number
}

export interface WsListener {
  /** Where it listens, with the port that the system chose for /tcp/0. */
  readonly address: Multiaddr
  readonly sockets: number
  /** Shows another certificate to who comes from now on. Throws ERR_INVALID_ARGUMENT. */
  replaceCertificate(tls: ServerCertificate): void
  /** Takes no new sockets; those there are go on. */
  stopAccepting(): void
  /** Ends every socket in order and resolves when the port is free; what has not ended after WS_CLOSE_TIMEOUT is dropped. */
  close(): Promise<void>
}

/** Listens on /ip4 or /ip6 /tcp/P/ws, /tls/ws or /wss, with /http-path where only that path is to be answered. Throws ERR_LISTEN, ERR_INVALID_ARGUMENT. */
export const listenWs = async (address: Multiaddr, options: WsListenOptions): Promise<WsListener> => {
  const target = readAddress(address)
  const server = target.secure ? secureServer(address, options) : createServer(httpOptions, options.request ?? upgradeRequired)
  server.headersTimeout = server.requestTimeout = WS_HANDSHAKE_TIMEOUT
  const doorstep = watchDoorstep(server, options.maxSockets ?? Number.POSITIVE_INFINITY)
  const sockets = acceptSockets(server, target, options, doorstep)
  try {
    await bindServer(server, address, target)
  } catch (error) {
    await sockets.end()
    throw error
  }
  const bound = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  const stopAccepting = (): void => {
    closed ??= new Promise((done) => server.close(() => done()))
    sockets.goAway()
  }
  return {
    address: parseMultiaddr(address.text.replace(/\/tcp\/\d+/, `/tcp/${bound.port}`)),
    get sockets() {
      return sockets.count
    },
    replaceCertificate(tls) {
      if (!target.secure) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${address.text} has no certificate`)
      withCertificate(() => (server as SecureServer).setSecureContext(pemOf(tls)))
    },
    stopAccepting,
    async close() {
      stopAccepting()
      const ended = sockets.end()
      const timer = setTimeout(() => sockets.terminate(), WS_CLOSE_TIMEOUT)
      server.closeAllConnections()
      // HTTP does not know of those on which TLS is not done.
      doorstep.clear()
      await Promise.all([ended, closed])
      clearTimeout(timer)
    },
  }
}

interface Listening {
  readonly host: string
  readonly port: number
  readonly secure: boolean
  readonly path: string
}

const readAddress = (address: Multiaddr): Listening => {
  const [host] = address.parts
  // Port 0 is for the system to choose; any will do to learn how a dialler writes the path.
  const dialled = webSocketTarget(parseMultiaddr(address.text.replace(/\/tcp\/0(?=\/|$)/, '/tcp/80')))
  const odd = address.parts.some(({ name }) => name === 'sni' || name === 'p2p') || (host?.name !== 'ip4' && host?.name !== 'ip6')
  if (dialled === undefined || odd) {
    const shapes = '/ip4/…/tcp/…/ws and /ip6/…/tcp/…/ws, or /tls/ws in place of /ws'
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `can't listen on ${address.text}, only on ${shapes}`)
  }
  const { host: ip, secure, url } = dialled
  return { host: ip, port: Number(address.parts[1]?.value), secure, path: new URL(url).pathname }
}

const httpOptions = { connectionsCheckingInterval: WS_HANDSHAKE_TIMEOUT / 2, maxHeaderSize: 8_192 } as const

const secureServer = (address: Multiaddr, { tls, request = upgradeRequired }: WsListenOptions): SecureServer => {
  if (tls === undefined) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${address.text} needs a certificate: pass \`tls: { cert, key }\``)
  return withCertificate(() => createSecureServer({ ...httpOptions, ...pemOf(tls), handshakeTimeout: WS_HANDSHAKE_TIMEOUT }, request))
}

const pemOf = ({ cert, key }: ServerCertificate) => ({ cert: Buffer.from(cert), key: Buffer.from(key) })

const withCertificate = <T>(use: () => T): T => {
  try {
    return use()
  } catch (cause) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `the certificate or its key can't be used (${(cause as Error).message})`, { cause })
  }
}

const upgradeRequired: RequestListener = (_request, response) => {
  response.writeHead(426, { upgrade: 'websocket', connection: 'close' }).end()
}

/** The WebSockets that come to `server`. */
const acceptSockets = (
  server: Server,
  { path, secure }: Listening,
  { accept, trustProxy = false, pingInterval = WS_PING_INTERVAL }: WsListenOptions,
  doorstep: Doorstep,
) => {
  const layers = secure ? '/tls/ws' : '/ws'
  const upgrades = new WebSocketServer({ noServer: true, clientTracking: false, ...socketOptions })
  /** Each with what it had received at the last ping, which is then waiting for its pong, or not. */
  const open = new Map<WebSocket, { readonly channel: WebSocketChannel; received: number; unanswered: boolean }>()
  let goingAway = false

  const opened = (socket: WebSocket, remoteAddr: Multiaddr): void => {
    const channel = carryWs(socket)
    const state = { channel, received: 0, unanswered: false }
    open.set(socket, state)
    if (goingAway) channel.endCode = CLOSE_GOING_AWAY
    socket.on('close', () => open.delete(socket))
    socket.on('pong', () => {
      state.unanswered = false
    })
    accept({ t: 'pipe', channel, transport: 'websocket', remoteAddr })
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until `ws` has taken it over, an error on the socket has no other listener.
    socket.on('error', ignore)
    if (goingAway) return refuse(socket, '503 Service Unavailable')
    if ((request.url ?? '/').split('?')[0] !== path) return refuse(socket, '404 Not Found')
    const remoteAddr = remoteAddress(request, trustProxy, layers)
    // Gone before it could be answered.
    if (remoteAddr === undefined) return void socket.destroy()
    upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off('error', ignore)
      doorstep.enter(request.socket)
      opened(webSocket, remoteAddr)
    })
  })

  // A page can't ping, so we do; it also keeps proxies from taking the connection for idle.
  const pings = setInterval(() => {
    for (const [socket, state] of open) {
      const { channel } = state
      if (state.unanswered && !channel.paused && channel.received === state.received) {
        channel.abort(new TabmeshError('ERR_CONNECTION_CLOSED', `the remote answered no ping within ${pingInterval} ms`))
        continue
      }
      state.unanswered = true
      state.received = channel.received
      socket.ping()
    }
  }, pingInterval)
  // The listening socket holds the process, and is gone when this has nothing to do.
  pings.unref()

  return {
    get count() {
      return open.size
    },
    goAway() {
      goingAway = true
      for (const { channel } of open.values()) channel.endCode = CLOSE_GOING_AWAY
    },
    /** Resolves when all are closed. */
    async end() {
      clearInterval(pings)
      // One that is telling of its close right now tells nobody who comes to listen meanwhile.
      const going = [...open.keys()].filter((socket) => socket.readyState !== socket.CLOSED)
      const gone = going.map((socket) => new Promise((done) => socket.once('close', done)))
      for (const { channel } of open.values()) channel.end()
      await Promise.all(gone)
    },
    terminate() {
      for (const socket of open.keys()) socket.terminate()
    },
  }
}

const ignore = (): void => {}

const refuse = (socket: Duplex, status: string): void => {
  // A server's sockets stay half open: what only ended would stay for as long as the client likes.
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** Where a client is, as it will hear from identify; undefined when it is gone already. */
const remoteAddress = (request: IncomingMessage, trustProxy: boolean, layers: string): Multiaddr | undefined => {
  const { remoteAddress: direct, remotePort } = request.socket
  if (direct === undefined || remotePort === undefined) return undefined
  const forwarded = trustProxy ? request.headers['x-forwarded-for'] : undefined
  // The last entry is the one that our own proxy wrote; those before it are the client's word.
  const said = (Array.isArray(forwarded) ? forwarded.at(-1) : forwarded)?.split(',').at(-1)?.trim()
  return (said === undefined ? undefined : socketAddress(said, remotePort, layers)) ?? socketAddress(direct, remotePort, layers)
}
