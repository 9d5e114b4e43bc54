/**
 * What the relay answers to plain HTTP, on the port of its WebSocket.
 *
 *   GET /health   JSON for whatever watches it     GET /   a page for whoever opens the address in a browser
 *
 * Everything else is 404. Any origin may read both: there is nothing in them that the relay does not tell every peer.
 * Bounds: no body is read, an answer is at most a few KiB, and the listener bounds the request.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

export interface RelayStatus {
  readonly peerId: string
  readonly addresses: readonly string[]
  /** The URL that `createPeer` is given. */
  readonly url: string
  readonly reservations: number
  readonly circuits: number
  readonly connections: number
  /** Seconds since the start. */
  readonly uptime: number
}

export const answerHttp =
  (status: () => RelayStatus): RequestListener =>
  (request, response) => {
    const path = (request.url ?? '/').split('?')[0]
    const get = request.method === 'GET' || request.method === 'HEAD'
    if (get && path === '/health') return send(request, response, 200, 'application/json', health(status()))
    if (get && path === '/') return send(request, response, 200, 'text/html; charset=utf-8', page(status()))
    send(request, response, 404, 'text/plain; charset=utf-8', 'Not found. There are /health, / and the WebSocket.\n')
  }

const send = (request: IncomingMessage, response: ServerResponse, code: number, type: string, body: string): void => {
  response.writeHead(code, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'access-control-allow-origin': '*',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    'x-content-type-options': 'nosniff',
    // A body that nobody reads must not be waited for.
    ...(request.method === 'GET' || request.method === 'HEAD' ? {} : { connection: 'close' }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

const health = ({ peerId, reservations, circuits, connections, uptime }: RelayStatus): string =>
  `${JSON.stringify({ status: 'ok', peerId, reservations, circuits, connections, uptime })}\n`

const page = ({ peerId, addresses, url, reservations, circuits, connections, uptime }: RelayStatus): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>tabmesh relay</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em } code { overflow-wrap: anywhere }</style>
<h1>tabmesh relay</h1>
<p>It runs, and pages meet here:</p>
<pre><code>${escapeHtml(createPeerLine(url))}</code></pre>
<p>Peer id: <code>${escapeHtml(peerId)}</code></p>
<ul>${addresses.map((address) => `<li><code>${escapeHtml(address)}</code></li>`).join('')}</ul>
<p>${connections} connections, ${reservations} reservations, ${circuits} circuits, up for ${uptime} s.</p>
</html>
`

/** What an operator pastes into a page. */
export const createPeerLine = (url: string): string => `const peer = await createPeer({ relays: ['${url}'] })`

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
