/**
 * The WebSocket transport of Node: https://github.com/libp2p/specs/blob/master/websockets/README.md
 *
 * Beside the browser's (src/transports/web-socket.ts) and not instead of it: a socket of `ws` tells why it failed, goes
 * to another host than the certificate names, and paces both directions. What the two share is in src/sockets.
 */

import { X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'
import { WebSocket } from 'ws'
import type { WebSocketTarget } from '../engine/codec/web-socket-url.ts'
import { webSocketTarget } from '../engine/codec/web-socket-url.ts'
import { DIAL_ADDRESS_TIMEOUT } from '../engine/limits.ts'
import type { Transport } from '../engine/net/service.ts'
import type { ErrorCode } from '../errors.ts'
import { TabmeshError } from '../errors.ts'
import { isPortsFault, type LocalPort } from './local-port.ts'
import { carryWs, socketOptions } from './ws-socket.ts'

export interface WsDialOptions {
  /** Authorities to trust beside Node's own, PEM. NODE_EXTRA_CA_CERTS adds to those only where this is absent. */
  readonly ca?: readonly (string | Uint8Array)[]
  /** Dials go out of this one where they can; out of any if absent. */
  readonly port?: LocalPort | undefined
}

/** Certificates are checked against the authorities that Node trusts. Throws ERR_INVALID_ARGUMENT for a `ca` that is none. */
export const wsTransport = ({ ca, port }: WsDialOptions = {}): Transport => {
  // Once: reading Node's 140 takes some 10 ms.
  const secureContext = ca === undefined ? undefined : trusting(ca)
  return wsTransportWith(secureContext, port)
}

const trusting = (ca: readonly (string | Uint8Array)[]): SecureContext => {
  try {
    // OpenSSL would pass over what it can't read, and the dial would fail later.
    for (const each of ca) new X509Certificate(each)
    return createSecureContext({ ca: [...rootCertificates, ...ca.map((each) => Buffer.from(each))] })
  } catch (cause) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', 'an authority in `tls.ca` is no certificate', { cause })
  }
}

const wsTransportWith = (secureContext: SecureContext | undefined, from: LocalPort | undefined): Transport => ({
  name: 'websocket',
  matches: (address) => webSocketTarget(address) !== undefined,
  dial(address, net, done) {
    let connecting = true
    const fail = (what: string, cause?: Error, code: ErrorCode = 'ERR_RELAY_UNREACHABLE'): void => {
      if (!connecting) return
      connecting = false
      done({ ok: false, fault: new TabmeshError(code, what, { cause }) })
    }
    const target = webSocketTarget(address)
    if (target === undefined) {
      net.host.defer(() => fail(`${address.text} is not a WebSocket address`))
      return () => {
        connecting = false
      }
    }
    const { url } = target
    let socket: WebSocket | undefined
    const open = (localPort: number | undefined): void => {
      const options = {
        ...socketOptions,
        ...(secureContext && { secureContext }),
        // For `net.connect`, to which `ws` hands all of this.
        ...(localPort !== undefined && { localPort }),
        handshakeTimeout: DIAL_ADDRESS_TIMEOUT,
        lookup: lookupFor(target),
      }
      const trying = new WebSocket(url, options)
      socket = trying
      trying.on('open', () => {
        if (!connecting) return
        connecting = false
        trying.removeAllListeners()
        if (localPort !== undefined && from !== undefined) trying.once('close', from.taken(address))
        done({ ok: true, value: { t: 'pipe', channel: carryWs(trying), transport: 'websocket', remoteAddr: address } })
      })
      trying.on('unexpected-response', (_request, { statusCode }) => {
        fail(`${url} answers HTTP ${statusCode} instead of a WebSocket`)
        trying.terminate()
      })
      // Also what `terminate` raises while the socket connects.
      trying.on('error', (error: NodeJS.ErrnoException) => {
        const why = error.code ?? error.message
        if (connecting && localPort !== undefined && isPortsFault(error)) open(undefined)
        else if (untrusted.test(why)) fail(`the certificate of ${url} is not trusted (${why})`, error, 'ERR_CERTIFICATE')
        else fail(`no WebSocket at ${url} (${why})`, error)
      })
    }
    try {
      open(from?.number)
    } catch (error) {
      // A name that DNS allows and URLs do not: 1.2.3.4.5.
      net.host.defer(() => fail(`${url} is no URL`, error as Error))
      return () => {
        connecting = false
      }
    }
    return () => {
      if (!connecting) return
      connecting = false
      socket?.terminate()
    }
  },
})

/** How Node names what OpenSSL has against a certificate (X509_V_ERR_… of x509_vfy.h), and a name that is not in it. */
const untrusted = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_|INVALID_(CA|PURPOSE)|PATH_LENGTH_|ERROR_IN_CERT_)/

/** Finds the address's host, whatever host the URL names, in the family that the address asks for. Not called for a URL with an IP address. */
const lookupFor =
  ({ host, family }: WebSocketTarget): LookupFunction =>
  (_named, options, done) => {
    const literal = isIP(host)
    if (literal === 0) lookup(host, family === undefined ? options : { ...options, family }, done)
    else if (options.all === true) done(null, [{ address: host, family: literal }])
    else done(null, host, literal)
  }
