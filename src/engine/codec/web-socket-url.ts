/**
 * Which multiaddrs a WebSocket can dial, and the URL of each
 * (https://github.com/libp2p/specs/blob/master/websockets/README.md, addressing/README.md):
 *
 *   /(ip4|ip6|dns|dns4|dns6)/H/tcp/P/(ws|wss|tls/ws|tls/sni/S/ws)[/http-path/X][/p2p/R]
 *
 * With `sni` the URL names S, because a page can't say one name to the resolver and another to the certificate; Node
 * connects to H and asks for S.
 */

import type { Multiaddr, Part } from './multiaddr.ts'

export interface WebSocketTarget {
  readonly url: string
  /** Over TLS. */
  readonly secure: boolean
  /** The host to connect to; the URL has another one where `sni` names it. */
  readonly host: string
  readonly port: number
  readonly family: 4 | 6 | undefined
}

const hosts: Readonly<Record<string, { readonly family: 4 | 6 | undefined }>> = {
  ip4: { family: 4 },
  ip6: { family: 6 },
  dns: { family: undefined },
  dns4: { family: 4 },
  dns6: { family: 6 },
}

/** Undefined where the address is not a WebSocket's own: another transport, or a circuit through one. */
export const webSocketTarget = ({ parts }: Multiaddr): WebSocketTarget | undefined => {
  const [host, tcp] = parts
  const family = host && hosts[host.name]
  if (family === undefined || host?.value === undefined || tcp?.name !== 'tcp' || tcp.value === undefined) return undefined
  const layers = readLayers(parts)
  if (layers === undefined) return undefined
  const { secure, serverName, path } = layers
  const name = serverName ?? (host.name === 'ip6' ? `[${host.value}]` : host.value)
  const port = Number(tcp.value)
  const shown = port === (secure ? 443 : 80) ? '' : `:${port}`
  // A name is text to a multiaddr; in a URL some characters would begin something else.
  if (port === 0 || (host.name !== 'ip6' && /[/?#@:[\]%\\]/.test(name))) return undefined
  return { url: `${secure ? 'wss' : 'ws'}://${name}${shown}/${path}`, secure, host: host.value, port, family: family.family }
}

/** What follows the port, down to the end. */
const readLayers = (parts: readonly Part[]): { secure: boolean; serverName: string | undefined; path: string } | undefined => {
  let at = 2
  const next = (name: string): Part | undefined => (parts[at]?.name === name ? parts[at++] : undefined)
  const tls = next('tls') !== undefined
  const serverName = tls ? next('sni')?.value : undefined
  const wss = !tls && next('wss') !== undefined
  if (!wss && next('ws') === undefined) return undefined
  const path = next('http-path')?.value ?? ''
  next('p2p')
  if (at < parts.length) return undefined
  const escaped = path.split('/').map(encodeURIComponent).join('/')
  return { secure: tls || wss, serverName, path: escaped.replace(/^\/+/, '') }
}
