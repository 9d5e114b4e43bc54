/**
 * Doorstep: sockets of an HTTP server on which no WebSocket is open yet, be it TLS, headers or a page's request that they are at.
 *
 *   connection ─┬─ room ──────────────────────────────────────────▶ on the doorstep ── enter(): a WebSocket ──▶ inside ── close
 *               └─ full ─▶ who has stood there longest, if for PENDING_GRACE, is dropped; else the newcomer is
 *
 * They cost a remote nothing but the socket, so they must not keep out those who mean it: the engine knows only of links, and bounds those itself.
 *
 * Bounds: `most` sockets, on the doorstep and inside; WS_HANDSHAKE_TIMEOUT on the doorstep is the server's.
 */

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { PENDING_GRACE } from '../engine/limits.ts'

export interface Doorstep {
  /** A WebSocket is open on this socket, or on the one beneath it. */
  enter(socket: Socket): void
  /** Drops all that are on the doorstep. */
  clear(): void
}

interface Waiting {
  readonly socket: Socket
  /** On the clock of `performance.now()`. */
  readonly since: number
}

/** Has `server` hold so many sockets at a time. */
export const watchDoorstep = (server: Server, most: number): Doorstep => {
  /** By where they come from: a socket under TLS is another object than the one with TLS. The longest waiting first. */
  const waiting = new Map<string, Waiting>()
  const held = new Set<Socket>()

  const drop = (name: string, { socket }: Waiting): void => {
    waiting.delete(name)
    held.delete(socket)
    socket.destroy()
  }
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket)
    const newcomer = { socket, since: performance.now() }
    held.add(socket)
    waiting.set(name, newcomer)
    socket.once('close', () => {
      held.delete(socket)
      if (waiting.get(name)?.socket === socket) waiting.delete(name)
    })
    if (held.size <= most) return
    const [oldest] = waiting
    if (oldest !== undefined && newcomer.since - oldest[1].since >= PENDING_GRACE) drop(...oldest)
    else drop(name, newcomer)
  })
  return {
    enter: (socket) => void waiting.delete(nameOf(socket)),
    clear() {
      for (const [name, each] of [...waiting]) drop(name, each)
    },
  }
}

const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
