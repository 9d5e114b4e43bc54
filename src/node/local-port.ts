/**
 * One local TCP port for all that is dialled, so that what one remote sees of it outside (identify's observed address) is where a NAT lets
 * the next one in: DCUtR (src/engine/protocols/dcutr) knocks from it, and is knocked at.
 *
 * It is not a port that is listened on. libuv sets SO_REUSEADDR on sockets that are bound, and so on Linux several may go out of one port,
 * each to another remote; but none may be bound to a port while a socket listens there. That would take SO_REUSEPORT on both, and
 * `net.connect` has no such option (`localPort` of a listening port is EADDRINUSE in Node 20.20 and 22.23, whatever `reusePort` the listener was
 * given). The other order is allowed: a listener beside connections, for the moments in which somebody is expected (hole.ts).
 * macOS and Windows refuse a second socket: there the port serves one connection at a time, and dials that find it taken go out of any other.
 *
 * A dial is never worse off: where the port can't be had (EADDRINUSE), or is connected to that remote already or was until lately
 * (EADDRNOTAVAIL), it is repeated from one that the system chooses.
 *
 * Bounds: a remembered address for each open connection.
 */

import { createServer } from 'node:net'
import { type Multiaddr, withoutPeerId } from '../engine/codec/multiaddr.ts'

export interface LocalPort {
  /** Undefined where the system has none to give. Chosen at the first call. */
  readonly number: number | undefined
  /** A connection to `address` was dialled from it. Returns what to call when it is over. */
  taken(address: Multiaddr): () => void
  /** Whether the connection to `address` was. */
  carries(address: Multiaddr): boolean
}

export const localPort = (): LocalPort => {
  let chosen: { readonly port: number | undefined } | undefined
  const carried = new Map<string, number>()
  const keyOf = (address: Multiaddr): string => withoutPeerId(address)?.text ?? ''
  return {
    get number() {
      chosen ??= { port: freePort() }
      return chosen.port
    },
    taken(address) {
      const key = keyOf(address)
      carried.set(key, (carried.get(key) ?? 0) + 1)
      return () => {
        const left = (carried.get(key) ?? 1) - 1
        if (left > 0) carried.set(key, left)
        else carried.delete(key)
      }
    },
    carries: (address) => carried.has(keyOf(address)),
  }
}

/** One that nobody uses now. Undefined in a worker of `cluster`, where listening is the primary's affair and takes its time. */
const freePort = (): number | undefined => {
  const server = createServer()
  server.on('error', () => {})
  server.listen({ port: 0, exclusive: true })
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : undefined
}

/** Whether a dial failed for the port that it was to go out of. */
export const isPortsFault = ({ code }: NodeJS.ErrnoException): boolean => code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL'
