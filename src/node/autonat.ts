/**
 * AutoNAT in a Node peer: a client wherever it listens, a server as soon as others can reach it.
 *
 *   listeners ─▶ client ── public ──▶ the server is mounted, and identify tells of it
 *                   ▲ └─── private ─▶ it is taken away again
 *
 * Who can't be reached has nothing to offer as a server that those who can do not have, and half of all dials back fail where a NAT counts sockets.
 */

import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import type { Node } from '../engine/net/node.ts'
import type { Service } from '../engine/net/service.ts'
import { autonatClient } from '../engine/protocols/autonat/client.ts'
import { autonatServer } from '../engine/protocols/autonat/server.ts'
import { addressesOf, type Listener } from './listen.ts'
import { type NodeStranger, nodeStranger, type StrangerOptions } from './stranger.ts'

export interface AutonatOptions {
  /** Whether to dial others that ask whether they can be reached; by default once this peer was found to be reachable itself. */
  readonly server?: boolean
  /** Also ask about addresses of private networks and of this machine, and dial those of others: for tests and closed networks. */
  readonly allowPrivate?: boolean
}

export interface Autonat {
  /** To be mounted from the start. */
  readonly services: readonly Service[]
  /** Tells others of the listeners' addresses, but for those that prove to be out of reach, and of those that others reach them at. */
  listening(listeners: readonly Listener[]): void
  /** The same for addresses from elsewhere: a port mapping of the router. */
  announce(source: string, addresses: readonly Multiaddr[]): void
  started(node: Node): void
  close(): void
}

export const nodeAutonat = (
  wanted: boolean | AutonatOptions | undefined,
  { listens, ...others }: StrangerOptions & { readonly listens: boolean },
): Autonat => {
  let node: Node | undefined
  let stranger: NodeStranger | undefined
  let server: Service | undefined
  const { server: serves, allowPrivate = false } = typeof wanted === 'object' ? wanted : {}

  const serve = (yes: boolean): void => {
    if (node === undefined || yes === (server !== undefined)) return
    if (server !== undefined) node.unmount(server)
    stranger?.close()
    stranger = yes ? nodeStranger(others) : undefined
    server = stranger && autonatServer({ stranger, allowPrivate })
    if (server !== undefined) node.mount(server)
  }

  const onChange = (): void => {
    if (serves === undefined) serve(client?.reachability === 'public')
  }
  const client = wanted === false || !listens ? undefined : autonatClient({ allowPrivate, onChange })

  const announce = (source: string, addresses: readonly Multiaddr[]): void => {
    if (client === undefined) node?.announce(source, addresses)
    else client.announce(source, addresses)
  }

  return {
    services: client === undefined ? [] : [client],
    listening(listeners) {
      client?.listening(listeners.map(({ address }) => address))
      announce('listen', addressesOf(listeners))
    },
    announce,
    started(started) {
      node = started
      if (wanted !== false && serves === true) serve(true)
    },
    close() {
      node = undefined
      stranger?.close()
    },
  }
}
