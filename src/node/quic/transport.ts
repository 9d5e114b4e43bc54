/**
 * QUIC in Node (specs: quic/README.md, tls/tls.md): dials and listens on `/ip4|ip6/…/udp/P/quic-v1`.
 *
 *   dial ─▶ QUIC handshake: TLS 1.3, both certificates checked by the binding ─▶ muxed link
 *
 * Nothing is loaded before the first dial or listen. A name (`/dns4/…`) is looked up here: the binding takes addresses only.
 *
 * Bounds: those of limits.ts, by QUIC's own flow control; a handshake has QUIC_HANDSHAKE_TIMEOUT.
 */

import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import { encodePrivateKey, type PrivateKey } from '../../engine/codec/keys.ts'
import { type Multiaddr, parseMultiaddr, peerIdOf } from '../../engine/codec/multiaddr.ts'
import {
  QUIC_ACCEPT_PAUSE,
  QUIC_HANDSHAKE_TIMEOUT,
  QUIC_IDLE_TIMEOUT,
  QUIC_KEEP_ALIVE,
  QUIC_MAX_INBOUND,
  QUIC_RECEIVE_WINDOW,
  QUIC_SOCKET_BUFFER,
} from '../../engine/limits.ts'
import type { Link, Net, Transport } from '../../engine/net/service.ts'
import { TabmeshError } from '../../errors.ts'
import { loadQuic, type QuicBinding, type QuicClient, type QuicConfig, type QuicConnection } from './binding.ts'
import { messageOf, quicMuxer } from './muxer.ts'

export interface QuicTransport extends Transport {
  /** Listens on /ip4 or /ip6 /udp/P/quic-v1. Throws ERR_LISTEN, ERR_INVALID_ARGUMENT, ERR_UNSUPPORTED. */
  listen(address: Multiaddr, net: Net): QuicListener
  /** Frees the sockets that dials went out of. */
  close(): void
}

export interface QuicListener {
  /** Where it listens, with the port that the system chose for /udp/0. */
  readonly address: Multiaddr
  close(): Promise<void>
}

const families = { ip4: 4, ip6: 6, dns: undefined, dns4: 4, dns6: 6 } as const

interface QuicTarget {
  readonly host: string
  readonly port: number
  readonly family: 4 | 6 | undefined
}

/** Undefined for what is not QUIC itself: WebTransport stands on the same port. */
const targetOf = ({ parts }: Multiaddr): QuicTarget | undefined => {
  const [host, udp, quic, peer, ...rest] = parts
  if (host?.value === undefined || !(host.name in families) || udp?.name !== 'udp' || quic?.name !== 'quic-v1') return undefined
  if ((peer !== undefined && peer.name !== 'p2p') || rest.length > 0) return undefined
  return { host: host.value, port: Number(udp.value), family: families[host.name as keyof typeof families] }
}

export const quicTransport = (key: PrivateKey, load: () => QuicBinding = loadQuic): QuicTransport => {
  let loaded: { binding: QuicBinding; config: object } | undefined
  const clients = new Map<4 | 6, QuicClient>()
  const get = (): { binding: QuicBinding; config: object } => {
    if (loaded === undefined) {
      const binding = load()
      loaded = { binding, config: new binding.QuinnConfig(configOf(key)) }
    }
    return loaded
  }
  const client = (family: 4 | 6): QuicClient => {
    const { binding, config } = get()
    const made = clients.get(family) ?? new binding.Client(config, family === 4 ? 0 : 1)
    clients.set(family, made)
    return made
  }

  return {
    name: 'quic',
    matches: (address) => targetOf(address) !== undefined,
    dial(address, net, done) {
      let wanted = true
      const connected = async (): Promise<Link> => {
        const target = targetOf(address)
        if (target === undefined) throw new TabmeshError('ERR_NO_TRANSPORT', `${address.text} is not a QUIC address`)
        const { host, family } = await resolve(target)
        const connection = await client(family).outboundConnection(host, target.port)
        if (!wanted) connection.abort()
        return linkOf(connection, net)
      }
      connected().then(
        (value) => {
          if (wanted) done({ ok: true, value })
        },
        (cause: unknown) => {
          if (wanted) done({ ok: false, fault: faultOf(cause, address) })
        },
      )
      return () => {
        wanted = false
      }
    },
    listen: (address, net) => listen(get(), address, net),
    close() {
      for (const each of clients.values()) each.abort()
      clients.clear()
    },
  }
}

const configOf = (key: PrivateKey): QuicConfig => ({
  privateKeyProto: encodePrivateKey(key),
  handshakeTimeout: QUIC_HANDSHAKE_TIMEOUT,
  maxIdleTimeout: QUIC_IDLE_TIMEOUT,
  keepAliveInterval: QUIC_KEEP_ALIVE,
  maxConcurrentStreamLimit: QUIC_MAX_INBOUND,
  maxStreamData: 2 * QUIC_RECEIVE_WINDOW,
  maxConnectionData: 16 * QUIC_RECEIVE_WINDOW,
  receiveBufferSize: QUIC_SOCKET_BUFFER,
  sendBufferSize: QUIC_SOCKET_BUFFER,
})

const listen = ({ binding, config }: { binding: QuicBinding; config: object }, address: Multiaddr, net: Net): QuicListener => {
  const target = targetOf(address)
  if (target === undefined || isIP(target.host) === 0 || peerIdOf(address) !== undefined)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `can't listen on ${address.text}, only on /ip4/…/udp/…/quic-v1 and /ip6/…/udp/…/quic-v1`)
  const bind = () => {
    try {
      return new binding.Server(config, target.host, target.port)
    } catch (cause) {
      throw new TabmeshError('ERR_LISTEN', `can't listen on ${address.text}: ${messageOf(cause)}`, { cause })
    }
  }
  const server = bind()
  let open = true
  const accept = async (): Promise<void> => {
    while (open) {
      try {
        const connection = await server.inboundConnection()
        if (open) net.accept(linkOf(connection, net))
        else connection.abort()
      } catch {
        // A handshake that failed is the remote's affair; where the socket itself is gone this must not spin.
        await new Promise((next) => setTimeout(next, QUIC_ACCEPT_PAUSE))
      }
    }
  }
  void accept()
  return {
    address: parseMultiaddr(address.text.replace(/\/udp\/\d+/, `/udp/${server.port()}`)),
    async close() {
      open = false
      await server.abort()
    },
  }
}

const linkOf = (connection: QuicConnection, net: Net): Link => {
  const remoteAddr = parseMultiaddr(connection.remoteMultiaddr())
  const remotePeer = peerIdOf(remoteAddr)
  if (remotePeer === undefined) {
    connection.abort()
    throw new TabmeshError('ERR_ENCRYPTION_FAILED', 'QUIC did not say who the remote is')
  }
  return { t: 'muxed', muxer: quicMuxer(connection, net.host), transport: 'quic', remoteAddr, remotePeer, encryption: '/tls/1.0.0' }
}

const resolve = ({ host, family }: QuicTarget): Promise<{ host: string; family: 4 | 6 }> =>
  new Promise((done, fail) => {
    const literal = isIP(host)
    if (literal === 4 || literal === 6) return done({ host, family: literal })
    lookup(host, family === undefined ? {} : { family }, (error, address, found) => {
      if (error !== null) fail(error)
      else done({ host: address, family: found === 6 ? 6 : 4 })
    })
  })

const faultOf = (cause: unknown, address: Multiaddr): TabmeshError => {
  if (cause instanceof TabmeshError) return cause
  const text = messageOf(cause)
  if (/certificate|tls|alert/i.test(text))
    return new TabmeshError('ERR_ENCRYPTION_FAILED', `QUIC at ${address.text}: ${text}`, { cause, remote: true })
  return new TabmeshError('ERR_UNREACHABLE', `no QUIC connection to ${address.text} (${text})`, { cause })
}
