/**
 * Listening for WebSockets: https://github.com/libp2p/specs/blob/master/websockets/README.md
 *
 *   HTTP request ──┬─ GET … Upgrade: websocket, on our path ──▶ link, given to `accept`
 *                  ├─ Upgrade on another path ──▶ 404
 *                  └─ anything else ──▶ `request` (the relay's status page), 426 if absent
 *
 *   open ── stopAccepting() ──▶ draining ── close() ──▶ closed     what ends meanwhile says 1001, going away
 *
 * Bounds: `maxSockets` sockets, upgraded or not; WS_HANDSHAKE_TIMEOUT and 8 KiB of headers for a request; a socket that
 * answers no ping within WS_PING_INTERVAL is dropped. What a channel buffers is bounded there.
 */

import type { IncomingMessage, RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
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
import { carryWs, socketOptions } from './ws-socket.ts'

export interface WsListenOptions {
  /** A remote came: `Net.accept`. */
  accept(link: Link): void
  /** Answers what is not a WebSocket. */
  readonly request?: RequestListener
  /** Sockets on this port at a time; more are closed as they come. Unlimited if absent. */
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
  /** Takes no new sockets; those there are go on. */
  stopAccepting(): void
  /** Ends every socket in order and resolves when the port is free; what has not ended after WS_CLOSE_TIMEOUT is dropped. */
  close(): Promise<void>
}

/** Listens on /ip4 or /ip6 /tcp/P/ws, with /http-path where only that path is to be answered. Throws ERR_LISTEN, ERR_INVALID_ARGUMENT. */
export const listenWs = async (address: Multiaddr, options: WsListenOptions): Promise<WsListener> => {
  const { host, port, path } = readAddress(address)
  const server = createServer(
    { connectionsCheckingInterval: WS_HANDSHAKE_TIMEOUT / 2, maxHeaderSize: 8_192 },
    options.request ?? upgradeRequired,
  )
  server.headersTimeout = server.requestTimeout = WS_HANDSHAKE_TIMEOUT
  if (options.maxSockets !== undefined) server.maxConnections = options.maxSockets
  const sockets = acceptSockets(server, path, options)
  try {
    await listen(server, address, host, port)
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
    stopAccepting,
    async close() {
      stopAccepting()
      const ended = sockets.end()
      const timer = setTimeout(() => sockets.terminate(), WS_CLOSE_TIMEOUT)
      server.closeAllConnections()
      await Promise.all([ended, closed])
      clearTimeout(timer)
    },
  }
}

const readAddress = (address: Multiaddr): { host: string; port: number; path: string } => {
  const [host, tcp, ws, path, ...rest] = address.parts
  const ip = host?.name === 'ip4' || host?.name === 'ip6'
  if (!ip || tcp?.name !== 'tcp' || ws?.name !== 'ws' || (path !== undefined && path.name !== 'http-path') || rest.length > 0) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `can't listen on ${address.text}, only on /ip4/…/tcp/…/ws and /ip6/…/tcp/…/ws`)
  }
  // Port 0 is for the system to choose; any will do to learn how a dialler writes the path.
  const dialled = webSocketTarget(parseMultiaddr(address.text.replace(/\/tcp\/\d+/, '/tcp/80')))
  return { host: host.value as string, port: Number(tcp.value), path: new URL(dialled?.url as string).pathname }
}

const listen = (server: Server, address: Multiaddr, host: string, port: number): Promise<void> =>
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

const upgradeRequired: RequestListener = (_request, response) => {
  response.writeHead(426, { upgrade: 'websocket', connection: 'close' }).end()
}

/** The WebSockets that come to `server`. */
const acceptSockets = (server: Server, path: string, { accept, trustProxy = false, pingInterval = WS_PING_INTERVAL }: WsListenOptions) => {
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
    const remoteAddr = remoteAddress(request, trustProxy)
    // Gone before it could be answered.
    if (remoteAddr === undefined) return void socket.destroy()
    upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off('error', ignore)
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
const remoteAddress = (request: IncomingMessage, trustProxy: boolean): Multiaddr | undefined => {
  const { remoteAddress: direct, remotePort } = request.socket
  if (direct === undefined || remotePort === undefined) return undefined
  const forwarded = trustProxy ? request.headers['x-forwarded-for'] : undefined
  // The last entry is the one that our own proxy wrote; those before it are the client's word.
  const said = (Array.isArray(forwarded) ? forwarded.at(-1) : forwarded)?.split(',').at(-1)?.trim()
  return (said === undefined ? undefined : ipAddress(said, remotePort)) ?? ipAddress(direct, remotePort)
}

/** IPv4 that came over an IPv6 socket (::ffff:192.0.2.1) is IPv4. */
const ipAddress = (ip: string, port: number): Multiaddr | undefined => {
  const bare = ip.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  try {
    return parseMultiaddr(`/${bare.includes(':') ? 'ip6' : 'ip4'}/${bare}/tcp/${port}/ws`)
  } catch {
    return undefined
  }
}
