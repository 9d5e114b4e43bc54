/**
 * The WebSocket transport of Node: https://github.com/libp2p/specs/blob/master/websockets/README.md
 *
 * Beside the browser's (src/transports/web-socket.ts) and not instead of it: a socket of `ws` tells why it failed, goes
 * to another host than the certificate names, and paces both directions. What the two share is in src/sockets.
 */

import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { WebSocket } from 'ws'
import type { WebSocketTarget } from '../engine/codec/web-socket-url.ts'
import { webSocketTarget } from '../engine/codec/web-socket-url.ts'
import { DIAL_ADDRESS_TIMEOUT } from '../engine/limits.ts'
import type { Transport } from '../engine/net/service.ts'
import { TabmeshError } from '../errors.ts'
import { carryWs, socketOptions } from './ws-socket.ts'

/** Certificates are checked against those that Node trusts; NODE_EXTRA_CA_CERTS adds to them. */
export const wsTransport = (): Transport => ({
  name: 'websocket',
  matches: (address) => webSocketTarget(address) !== undefined,
  dial(address, net, done) {
    let connecting = true
    const fail = (what: string, cause?: Error): void => {
      if (!connecting) return
      connecting = false
      done({ ok: false, fault: new TabmeshError('ERR_RELAY_UNREACHABLE', what, { cause }) })
    }
    const target = webSocketTarget(address)
    if (target === undefined) {
      net.host.defer(() => fail(`${address.text} is not a WebSocket address`))
      return () => {
        connecting = false
      }
    }
    const { url } = target
    let socket: WebSocket
    try {
      socket = new WebSocket(url, { ...socketOptions, handshakeTimeout: DIAL_ADDRESS_TIMEOUT, lookup: lookupFor(target) })
    } catch (error) {
      // A name that DNS allows and URLs do not: 1.2.3.4.5.
      net.host.defer(() => fail(`${url} is no URL`, error as Error))
      return () => {
        connecting = false
      }
    }
    socket.on('open', () => {
      if (!connecting) return
      connecting = false
      socket.removeAllListeners()
      done({ ok: true, value: { t: 'pipe', channel: carryWs(socket), transport: 'websocket', remoteAddr: address } })
    })
    socket.on('unexpected-response', (_request, { statusCode }) => {
      fail(`${url} answers HTTP ${statusCode} instead of a WebSocket`)
      socket.terminate()
    })
    // Also what `terminate` raises while the socket connects.
    socket.on('error', (error: NodeJS.ErrnoException) => fail(`no WebSocket at ${url} (${error.code ?? error.message})`, error))
    return () => {
      if (!connecting) return
      connecting = false
      socket.terminate()
    }
  },
})

/** Finds the address's host, whatever host the URL names, in the family that the address asks for. Not called for a URL with an IP address. */
const lookupFor =
  ({ host, family }: WebSocketTarget): LookupFunction =>
  (_named, options, done) => {
    const literal = isIP(host)
    if (literal === 0) lookup(host, family === undefined ? options : { ...options, family }, done)
    else if (options.all === true) done(null, [{ address: host, family: literal }])
    else done(null, host, literal)
  }
