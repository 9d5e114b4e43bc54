// Finding a js-libp2p connection, and telling of one in plain values that cross a process or page border.

/**
 * The parts of js-libp2p's interfaces that are used here; its own types are not there before its packages are installed.
 *
 * @typedef {{ byteLength: number, subarray: (from?: number, to?: number) => Uint8Array }} JsChunk
 * @typedef {EventTarget & {
 *   id: string, protocol: string, direction: string, status: string, readStatus: string, readableEnded: boolean, channel?: unknown,
 *   send: (data: any) => boolean, close: (options?: any) => Promise<void>, abort: (err: any) => void, pause: () => void, resume: () => void,
 * }} JsStream
 * @typedef {{
 *   id: string, remotePeer: any, remoteAddr: any, direction: string, status: string, direct: boolean, encryption?: string,
 *   multiplexer?: string, rtt?: number, limits?: { bytes?: bigint, seconds?: number }, streams: JsStream[],
 *   newStream: (protocol: string, options?: any) => Promise<JsStream>,
 * }} JsConnection
 * @typedef {{ getConnections: (peerId?: any) => JsConnection[], dial: (target: any, options?: any) => Promise<JsConnection> }} JsNode
 * @typedef {{
 *   id: string, remotePeer: string, remoteAddr: string, direction: string, status: string, direct: boolean,
 *   limits: { bytes?: number, seconds?: number } | null, encryption: string | null, multiplexer: string | null, rtt: number | null,
 *   streams: { id: string, protocol: string, direction: string }[],
 * }} JsConnectionInfo
 */

/**
 * The connection to use for a target: for a peer id the direct one if there is one, else a relayed one, else a dial; for an address the
 * one that was dialled at it, else a dial.
 *
 * @param {JsNode} node
 * @param {string} target
 * @param {{ peerIdFromString: (text: string) => any, multiaddr: (text: string) => any, signal?: AbortSignal }} options
 * @returns {Promise<JsConnection>}
 */
export async function connectionTo(node, target, { peerIdFromString, multiaddr, signal }) {
  const isAddress = target.startsWith('/')
  const openNow = node
    .getConnections(isAddress ? undefined : peerIdFromString(target))
    .filter((connection) => connection.status === 'open' && (!isAddress || connection.remoteAddr.toString() === target))
    .sort((a, b) => Number(b.direct) - Number(a.direct))
  return openNow[0] ?? node.dial(isAddress ? multiaddr(target) : peerIdFromString(target), signal && { signal })
}

/**
 * @param {JsConnection} connection
 * @returns {JsConnectionInfo}
 */
export function describe(connection) {
  const limits = connection.limits
  return {
    id: connection.id,
    remotePeer: connection.remotePeer.toString(),
    remoteAddr: connection.remoteAddr.toString(),
    direction: connection.direction,
    status: connection.status,
    direct: connection.direct,
    limits:
      limits == null
        ? null
        : { ...(limits.bytes != null && { bytes: Number(limits.bytes) }), ...(limits.seconds != null && { seconds: limits.seconds }) },
    encryption: connection.encryption ?? null,
    multiplexer: connection.multiplexer ?? null,
    rtt: connection.rtt ?? null,
    streams: connection.streams.map((stream) => ({ id: stream.id, protocol: stream.protocol, direction: stream.direction })),
  }
}

/**
 * What this peer's identify says of itself.
 *
 * @param {any} identified the result of js-libp2p's identify
 */
export function describeIdentify(identified) {
  return {
    peerId: identified.peerId.toString(),
    agentVersion: identified.agentVersion ?? null,
    protocolVersion: identified.protocolVersion ?? null,
    listenAddrs: identified.listenAddrs.map(String),
    observedAddr: identified.observedAddr?.toString() ?? null,
    protocols: [...identified.protocols],
    signedAddrs: identified.signedPeerRecord?.addresses.map(String) ?? null,
  }
}

/**
 * An error as it crosses a process or page border: its own words and those of the errors it gathers.
 *
 * @param {any} err
 * @returns {{ name: string, message: string, errors?: any[] }}
 */
export function describeError(err) {
  return {
    name: err?.name ?? 'Error',
    message: String(err?.message ?? err),
    ...(Array.isArray(err?.errors) && { errors: err.errors.map(describeError) }),
  }
}
