/**
 * The WebSocket transport of pages and workers: https://github.com/libp2p/specs/blob/master/websockets/README.md
 *
 *   dial ──▶ connecting ── open ──▶ link
 *                │ error, close, cancel
 *                └────────────────▶ failed
 *
 * A browser tells neither why a socket failed (so that pages can't probe networks) nor when its buffer drains. The
 * first makes our error name the URL and what to check; the second is polled, only while a writer waits.
 */

import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import type { WebSocketTarget } from '../engine/codec/web-socket-url.ts'
import { webSocketTarget } from '../engine/codec/web-socket-url.ts'
import type { Cancel, Host } from '../engine/host.ts'
import { WS_DRAIN_POLL } from '../engine/limits.ts'
import type { Link, Net, Transport } from '../engine/net/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { asTabmeshError, TabmeshError } from '../errors.ts'
import type { MessageSocket } from '../sockets/web-socket-channel.ts'
import { CLOSE_NORMAL, WebSocketChannel } from '../sockets/web-socket-channel.ts'

export interface WebSocketOptions {
  /** The platform's class if absent. */
  readonly WebSocket?: typeof WebSocket
  /** Whether the page came over https, and so may open wss:// only. Told by the origin if absent: a blob worker's location does not say. */
  readonly secureContext?: boolean
}

export const webSocketTransport = (options: WebSocketOptions = {}): Transport => {
  const Socket: typeof WebSocket | undefined = options.WebSocket ?? globalThis.WebSocket
  const secureContext = options.secureContext ?? globalThis.origin?.startsWith('https:') === true
  return {
    name: 'websocket',
    matches: (address) => Socket !== undefined && webSocketTarget(address) !== undefined,
    dial(address, net, done) {
      const target = webSocketTarget(address)
      if (Socket === undefined || target === undefined) return failSoon(net, notOurs(address), done)
      const refusal = secureContext ? insecure(target) : undefined
      if (refusal !== undefined) return failSoon(net, refusal, done)
      let socket: WebSocket
      try {
        socket = new Socket(target.url)
      } catch (error) {
        return failSoon(net, refused(target, error), done)
      }
      return connect(socket, address, target, net, done)
    },
  }
}

const connect = (
  socket: WebSocket,
  remoteAddr: Multiaddr,
  { url }: WebSocketTarget,
  net: Net,
  done: (outcome: Outcome<Link>) => void,
): Cancel => {
  let connecting = true
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => {
    connecting = false
    // In the same task: a message that came right behind the handshake's answer is the next event.
    const channel = carry(socket, net.host)
    done({ ok: true, value: { t: 'pipe', channel, transport: 'websocket', remoteAddr } })
  }
  // Holds no reason, and a close follows it; but a class that is an event emitter throws where nobody listens.
  socket.onerror = () => {}
  socket.onclose = ({ code, reason }) => {
    if (!connecting) return
    connecting = false
    const why = reason === '' ? `code ${code}: wrong address, nothing there, or a certificate that is not trusted` : reason
    done({ ok: false, fault: new TabmeshError('ERR_RELAY_UNREACHABLE', `no WebSocket at ${url} (${why})`) })
  }
  return () => {
    if (!connecting) return
    connecting = false
    socket.onopen = null
    socket.close()
  }
}

/** An open socket as a channel. */
const carry = (socket: WebSocket, host: Pick<Host, 'after'>): WebSocketChannel => {
  const adapter: MessageSocket = {
    get queued() {
      return socket.bufferedAmount
    },
    send: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
    watch(check) {
      const look = (): void => {
        if (!check()) host.after(WS_DRAIN_POLL, look)
      }
      host.after(WS_DRAIN_POLL, look)
    },
    close: (code, reason) => socket.close(pageCode(code), reason),
    drop(code, reason) {
      socket.onmessage = null
      socket.close(pageCode(code), reason)
    },
  }
  const channel = new WebSocketChannel(adapter)
  socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (typeof data === 'string') channel.refuseText()
    else channel.receive(new Uint8Array(data))
  }
  socket.onclose = ({ code, reason }) => channel.closed(code, reason)
  return channel
}

/** A page may close with 1000 and 3000 to 4999 only (WHATWG WebSockets): 1003 becomes 4003. */
const pageCode = (code: number): number => (code < 3000 && code !== CLOSE_NORMAL ? code + 3000 : code)

/** What a secure page may not open. This machine is trusted without TLS (W3C Secure Contexts, §3.1). */
const insecure = ({ secure, host, url }: WebSocketTarget): TabmeshError | undefined =>
  secure || /^(127(\.\d+){3}|::1|(.+\.)?localhost\.?)$/i.test(host)
    ? undefined
    : new TabmeshError('ERR_INSECURE_CONTEXT', `this page came over https and can't open ${url}`)

/** The constructor throws where the browser forbids the URL (mixed content, a blocked port, connect-src). */
const refused = ({ url, secure }: WebSocketTarget, error: unknown): TabmeshError =>
  !secure && error instanceof Error && error.name === 'SecurityError'
    ? new TabmeshError('ERR_INSECURE_CONTEXT', `the browser refuses to open ${url}`, { cause: error })
    : asTabmeshError(error, 'ERR_RELAY_UNREACHABLE', `the browser refuses to open ${url}`)

const notOurs = (address: Multiaddr): TabmeshError => new TabmeshError('ERR_NO_TRANSPORT', `${address.text} is not a WebSocket address`)

/** An outcome never comes before `dial` has returned. */
const failSoon = ({ host }: Net, fault: TabmeshError, done: (outcome: Outcome<Link>) => void): Cancel => {
  let wanted = true
  host.defer(() => {
    if (wanted) done({ ok: false, fault })
  })
  return () => {
    wanted = false
  }
}
