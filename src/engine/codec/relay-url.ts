/**
 * From the URL an operator gives out to the multiaddr a peer dials:
 *
 *   http://localhost:9090        /dns4/localhost/tcp/9090/ws
 *   https://relay.example        /dns4/relay.example/tcp/443/tls/ws
 *   wss://192.0.2.1/a/relay      /ip4/192.0.2.1/tcp/443/tls/ws/http-path/a%2Frelay
 *
 * Read by hand, because the engine has no URL class: authority and path are all that an address can carry. A name
 * becomes dns4, since what listens everywhere by default (0.0.0.0) listens on IPv4.
 */

import { TabmeshError } from '../../errors.ts'
import { parseIp4, parseIp6 } from './ip.ts'
import type { Multiaddr } from './multiaddr.ts'
import { parseMultiaddr } from './multiaddr.ts'

const schemes: Readonly<Record<string, { readonly layers: string; readonly port: number }>> = {
  http: { layers: 'ws', port: 80 },
  ws: { layers: 'ws', port: 80 },
  https: { layers: 'tls/ws', port: 443 },
  wss: { layers: 'tls/ws', port: 443 },
}

/** scheme, host (a name, an IPv4 address or a bracketed IPv6 one), port, path; no user, query or fragment. */
const urlPattern = /^(https?|wss?):\/\/([^\s/?#@:[\]%\\]+|\[[^\s\]]+\])(?::(\d{1,5}))?(\/[^\s?#\\]*)?$/i

const invalid = (url: string, what: string, cause?: unknown) =>
  new TabmeshError('ERR_INVALID_ARGUMENT', `${JSON.stringify(url)} is not the URL of a relay (${what})`, { cause })

/**
 * A relay as it is configured: its http, https, ws or wss URL, or a multiaddr, which stays what it is. Throws
 * ERR_INVALID_ARGUMENT for a URL and ERR_INVALID_MULTIADDR for what begins with a slash.
 */
export const relayUrlToMultiaddr = (url: string): Multiaddr => {
  if (url.trim().startsWith('/')) return parseMultiaddr(url.trim())
  const [, scheme = '', authority = '', port, path = ''] = urlPattern.exec(url.trim()) ?? []
  const kind = schemes[scheme.toLowerCase()]
  if (kind === undefined) throw invalid(url, 'such as https://relay.example or ws://127.0.0.1:9090; no user, query or fragment')
  if (Number(port ?? kind.port) > 65_535 || Number(port ?? kind.port) === 0) throw invalid(url, `port ${port}`)
  const host = hostPart(authority)
  if (host === undefined) throw invalid(url, `host ${authority}`)
  try {
    const decoded = path.replace(/^\/+/, '').split('/').map(decodeURIComponent).join('/')
    const tail = decoded === '' ? '' : `/http-path/${encodeURIComponent(decoded)}`
    return parseMultiaddr(`/${host}/tcp/${port ?? kind.port}/${kind.layers}${tail}`)
  } catch (error) {
    throw invalid(url, 'its path is not percent-encoded UTF-8', error)
  }
}

const hostPart = (authority: string): string | undefined => {
  if (authority.startsWith('[')) {
    const ip6 = authority.slice(1, -1)
    return parseIp6(ip6) === undefined ? undefined : `ip6/${ip6}`
  }
  if (parseIp4(authority) !== undefined) return `ip4/${authority}`
  // What ends in a number is an IPv4 address to a browser, however it is written: 127.1, 0x7f.1 (WHATWG URL, host parsing).
  return /(^|\.)(\d+|0x[0-9a-f]*)\.?$/i.test(authority) ? undefined : `dns4/${authority.toLowerCase()}`
}
