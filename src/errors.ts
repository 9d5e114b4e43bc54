/**
 * The one error class and the one list of codes.
 *
 * A code is stable: programs compare it, people search for it. The text beside each code is the way out and is
 * appended to the message, so that every rejection says what happened and what to do about it.
 */

export const errorCodes = {
  // What the caller passed
  ERR_INVALID_ARGUMENT: 'check the argument against the documentation of the call',
  ERR_INVALID_MULTIADDR: 'an address looks like /ip4/127.0.0.1/tcp/9090/ws/p2p/12D3KooW…',
  ERR_INVALID_PEER_ID: 'a peer id looks like 12D3KooW…, 16Uiu2…, Qm… or a CIDv1 of a libp2p key',
  ERR_INVALID_KEY: 'keys are libp2p protobuf keys: Ed25519, secp256k1, ECDSA P-256 or RSA of 2048 to 8192 bits',
  ERR_UNSUPPORTED: 'this platform or build does not offer it; see the README for what runs where',
  ERR_SELF_DIAL: 'the target is this peer itself',

  // Dialling and connections
  ERR_NO_ADDRESS: 'pass a multiaddr, or configure a relay that the peer also uses',
  ERR_DNS: 'check the name; a page needs `dnsOverHttps`, the URL of a resolver (RFC 8484)',
  ERR_NO_TRANSPORT: 'no enabled transport can dial this address',
  ERR_INSECURE_CONTEXT: 'a page served over https can open wss:// only: give the relay a certificate',
  ERR_DIAL_FAILED: 'see `errors` for what happened at each address',
  ERR_DIAL_TIMEOUT: 'the remote did not answer in time; check that it is running and reachable',
  ERR_UNREACHABLE: 'nothing answers there; check the address, and that the remote runs and a firewall lets you through',
  ERR_CONNECTION_CLOSED: 'the connection is gone; dial again',
  ERR_BACK_OFF: 'wait that long, or dial an address by its name',
  ERR_GATED: 'the `gater` of this peer refused, threw or was silent; what it answers is for the application to decide',
  ERR_CONNECTION_LIMIT: 'raise `connections.max` or hang up what is not needed',
  ERR_LISTEN: 'another program may hold the port, or the address is not one of this machine',
  ERR_PORT_MAPPING: 'turn on UPnP or NAT-PMP in the router, or forward the port there by hand; relays work without',
  ERR_WEBRTC_FAILED: 'no direct path was found; the relayed connection stays usable',
  ERR_WEBTRANSPORT_FAILED: 'nothing answers there, UDP is blocked, or /certhash is stale: browsers tell no more; get a fresh address',

  // Securing and muxing
  ERR_ENCRYPTION_FAILED: 'the remote does not speak Noise or TLS correctly, or something on the path altered the bytes',
  ERR_CERTHASH_MISMATCH: 'the address does not name the certificates that the peer has; it is stale or forged: get a fresh one',
  ERR_CERTIFICATE: 'the remote may be someone else; in Node an authority of your own is trusted with `tls: { ca }`',
  ERR_PEER_ID_MISMATCH: 'another peer answers at this address; the address is stale or forged',
  ERR_NO_SECURITY: 'the remote offers no security protocol that this peer speaks (/noise)',
  ERR_NO_MUXER: 'the remote offers no stream multiplexer that this peer speaks (/yamux/1.0.0)',
  ERR_MUXER: 'the remote broke the rules of the stream multiplexer',
  ERR_NETWORK_KEY: 'all peers of a private network need the same key: 32 bytes, or the text of one swarm.key file',
  ERR_PRIVATE_NETWORK: 'with a pre-shared key only TCP, WebSocket and relays over them are used: other transports leave the network',

  // Streams and protocols
  ERR_NO_PROTOCOL: 'the remote does not handle this protocol',
  ERR_PROTOCOL: 'the remote sent what the protocol does not allow',
  ERR_FRAME_TOO_LARGE: 'the message is over the limit of its protocol',
  ERR_DECODE: 'the bytes are not a valid message',
  ERR_STREAM_RESET: 'the remote gave up the stream; open another',
  ERR_STREAM_CLOSED: 'the stream has ended',
  ERR_STREAM_LIMIT: 'close streams that are done before opening more',
  ERR_STREAM_OVERFLOW: 'read faster: a sender without flow control filled the receive buffer',
  ERR_LIMITED_CONNECTION: 'the connection is limited by its relay; pass `allowLimited` or wait for the direct one',
  ERR_PROTOCOL_TAKEN: 'call `unhandle` first',
  ERR_TIMEOUT: 'the remote did not answer in time; try again or another peer',
  ERR_PUBLISH_QUEUE: 'wait for what `publish` returns before publishing more',
  ERR_DUPLICATE_MESSAGE: 'without signatures the message id is made of the content: say something that differs, or sign',
  ERR_FETCH_FAILED: 'the remote could not look the key up; try again later or another peer',

  // Rooms
  ERR_FILE_REFUSED: 'the member rejected the file, gave it up, or has too many under way; ask them',
  ERR_FILE_CORRUPT: 'what came is not what was sent; send it again',
  ERR_FILE_READ: 'the file was changed, moved or removed while it was read; choose it again',
  ERR_NOT_IN_ROOM: 'whoever it is has left, was lost, or has another password; `room.peers` has those who are there',

  // Relays
  ERR_RELAY_REFUSED: 'the relay refused; ask its operator or use another',
  ERR_RELAY_FULL: 'the relay has no free slot; use another or raise its limits',
  ERR_RELAY_NO_RESERVATION: 'the target is not connected to this relay (any more)',
  ERR_RELAY_LOST: 'the connection to the relay is gone; it is made again by itself',
  ERR_RELAY_UNREACHABLE: 'check the address of the relay and that it runs',

  // Finding peers, content and records
  ERR_NOT_FOUND: 'nobody who was asked knows it; it may not be provided, or not any more',
  ERR_NO_PEERS: 'no peer of the DHT is known: name some that serve it in `bootstrap`, or pass `delegatedRouting`',
  ERR_INVALID_RECORD: 'its namespace does not accept it: see `cause`, and `dht.validators` for namespaces of your own',
  ERR_ROUTING: 'the HTTP router in `delegatedRouting` does not answer as it must; check its URL, or use another',

  // Engine and page
  ERR_ENGINE_START: 'the worker could not be started; see `cause`, or pass `worker: URL` where a CSP forbids blob workers',
  ERR_ENGINE_DIED: 'the worker is gone; create a new peer',
  ERR_ENGINE_TIMEOUT: 'the worker did not answer in time; it may be suspended or overloaded',
  ERR_STOPPED: 'the peer is stopped; create a new one',
  ERR_STORE: 'storage was refused or is damaged; private windows, full disks and missing permissions refuse it',
  ERR_IDENTITY_IN_USE: 'another page of this origin holds the identity; this one goes on with an ephemeral one',
  ERR_HANDLER: 'the handler of the application threw; see `cause`',
  ERR_INTERNAL: 'this is a defect of tabmesh: please report it with the message and cause',
} as const

export type ErrorCode = keyof typeof errorCodes

export interface ErrorDetails {
  /** What brought it about. */
  cause?: unknown
  /** One error for each address tried, when a dial failed. */
  errors?: readonly TabmeshError[]
  /** Whether the remote peer is at fault (it sent what it must not) rather than this side or the path between. */
  remote?: boolean
}

/** Every rejection and every `error` event of tabmesh. */
export class TabmeshError extends Error {
  override readonly name = 'TabmeshError'
  readonly code: ErrorCode
  /** One error for each address tried, when a dial failed; empty otherwise. */
  readonly errors: readonly TabmeshError[]
  /** Whether the remote peer broke a rule. */
  readonly remote: boolean

  constructor(code: ErrorCode, what: string, details: ErrorDetails = {}) {
    super(`${what}: ${errorCodes[code]}`, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.errors = details.errors ?? []
    this.remote = details.remote ?? false
  }
}

/** A fault of the remote peer: shorthand for the many places that refuse what came in. */
export const remoteFault = (code: ErrorCode, what: string, cause?: unknown): TabmeshError =>
  new TabmeshError(code, what, { cause, remote: true })

/** Wraps what is not ours yet; an error that already carries a code passes through. */
export const asTabmeshError = (error: unknown, code: ErrorCode, what: string): TabmeshError =>
  error instanceof TabmeshError ? error : new TabmeshError(code, what, { cause: error })

/** What `deflateError` makes of an error so that it survives `postMessage` between threads. */
export interface PlainError {
  name: string
  message: string
  stack?: string
  code?: string
  remote?: boolean
  errors?: PlainError[]
  cause?: PlainError
}

/** Errors in one plain error, and so, halved at each level, eight in a chain of causes: cycles must end, and a dial's errors share theirs. */
const MAX_ERRORS = 256

/** To a plain object: structured clone drops own properties of errors, so codes and causes are carried by hand. */
export const deflateError = (error: unknown, room = MAX_ERRORS): PlainError => {
  if (!(error instanceof Error)) return { name: 'Error', message: textOf(() => error) }
  const plain: PlainError = { name: textOf(() => error.name), message: textOf(() => error.message) }
  const stack = textOf(() => error.stack ?? '')
  if (stack !== '') plain.stack = stack
  const errors = error instanceof TabmeshError ? error.errors : []
  const share = Math.floor(room / (errors.length + 2))
  if (error instanceof TabmeshError) {
    plain.code = error.code
    if (error.remote) plain.remote = true
    if (errors.length > 0 && share > 0) plain.errors = errors.map((each) => deflateError(each, share))
  }
  if (error.cause !== undefined && share > 0) plain.cause = deflateError(error.cause, share)
  return plain
}

/** What an application throws may be anything, and must not make the telling of it fail. */
const textOf = (value: () => unknown): string => {
  try {
    return String(value())
  } catch {
    return 'unknown'
  }
}

/** The inverse of `deflateError`. */
export const inflateError = (plain: PlainError): Error => {
  const cause = plain.cause === undefined ? undefined : inflateError(plain.cause)
  let error: Error
  if (plain.code !== undefined && Object.hasOwn(errorCodes, plain.code)) {
    const code = plain.code as ErrorCode
    const suffix = `: ${errorCodes[code]}`
    const what = plain.message.endsWith(suffix) ? plain.message.slice(0, -suffix.length) : plain.message
    const errors = (plain.errors ?? []).map((each) => inflateError(each) as TabmeshError)
    error = new TabmeshError(code, what, { cause, errors, remote: plain.remote ?? false })
  } else {
    error = new Error(plain.message, cause === undefined ? undefined : { cause })
    error.name = plain.name
  }
  if (plain.stack !== undefined) error.stack = plain.stack
  return error
}
