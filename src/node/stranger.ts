/**
 * The stranger that AutoNAT's server dials as: a node of its own for each dial, with an identity that nobody knows, no listeners and no
 * services. So no open connection is taken instead, and nothing that the client knows of us helps it be reached.
 *
 * Bounds: one node for each request being served; those of its transports.
 */

import { networkInterfaces } from 'node:os'
import type { Gater } from '../engine/net/gater.ts'
import { Node } from '../engine/net/node.ts'
import type { Transport } from '../engine/net/service.ts'
import { type MuxerKind, NOISE, type Shield, yamuxKind } from '../engine/net/upgrade.ts'
import type { Stranger } from '../engine/protocols/autonat/server.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'
import { quicTransport } from './quic/transport.ts'
import { TLS, tlsSecurity } from './tls/security.ts'

export interface StrangerOptions {
  /** Those that need no identity of their own. */
  readonly transports: readonly Transport[]
  /** Whether to dial QUIC too. */
  readonly quic: boolean
  readonly muxers?: readonly MuxerKind[]
  readonly shield?: Shield | undefined
  readonly gater?: Gater | undefined
}

export interface NodeStranger extends Stranger {
  /** Frees what dials went out of. */
  close(): void
}

export const nodeStranger = ({ transports, quic: withQuic, muxers = [yamuxKind], shield, gater }: StrangerOptions): NodeStranger => {
  const identity = newIdentity()
  const quic = quicTransport(identity)
  const host = nodeHost(identity)
  const all = withQuic ? [...transports, quic] : transports
  return {
    canDial: (address) => hasWayTo(address.parts[0]?.value ?? '') && all.some((transport) => transport.matches(address)),
    dial(peer, address, timeout, done) {
      const node = new Node({
        host,
        services: [],
        transports: all,
        securities: [tlsSecurity(identity)],
        propose: [NOISE, TLS],
        muxers,
        ...(shield && { shield }),
        gater,
      })
      node.start()
      const cancel = node.dial({ peer, addresses: [address] }, done, { timeout })
      return () => {
        cancel()
        node.stop(() => {})
      }
    },
    close: () => quic.close(),
  }
}

/**
 * Whether this machine is on the Internet of that version at all: without IPv6 a dial that fails says nothing of the client ("Servers SHOULD
 * determine whether they have IPv6 and IPv4 connectivity").
 */
const hasWayTo = (host: string): boolean => {
  const family = host.includes(':') ? 'IPv6' : 'IPv4'
  if (host === '::1' || host.startsWith('127.')) return true
  return Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .some((each) => each.family === family && !each.internal && !/^(fe80|f[cd]..):/i.test(each.address))
}
