// The matrix as a table: who dials whom over what, and why some of it can't be.
//
//   rows      { our page, our page in bridge mode, our Node peer } × { dial, listen }
//   columns   go-libp2p, js-libp2p in Node and in a page, our Node peer, our page
//   lines     transport × security × muxer, and a private network where one may be
//
// A cell has a way to be run, or the reason why it can't exist. Two cells may be one pair of peers (our page dials our Node peer: both a
// row of ours and a column of ours); that pair runs once.

/**
 * @typedef {'page' | 'bridge' | 'node' | 'js' | 'js-page' | 'go'} Kind
 * @typedef {'dial' | 'listen'} Direction
 * @typedef {'tcp' | 'websocket' | 'websocket-tls' | 'webtransport' | 'webrtc-direct' | 'webrtc' | 'quic-v1' | 'relay'} TransportId
 * @typedef {'noise' | 'tls'} SecurityId
 * @typedef {'yamux' | 'mplex'} MuxerId
 * @typedef {{ transport: TransportId, security?: SecurityId, muxer?: MuxerId, secret: boolean }} Line
 * `secret`: in a private network.
 * @typedef {{ encryption: string, muxer: string | undefined }} Expected what is said of the connection
 * @typedef {{ dialer: Kind, listener: Kind, line: Line }} Pair
 * @typedef {{ row: Kind, direction: Direction, column: Kind, line: Line } & ({ pair: Pair } | { why: string })} Cell
 */

export const NAMES = /** @type {Record<Kind, string>} */ ({
  page: 'our page',
  bridge: 'our page (bridge)',
  node: 'our node',
  js: 'js node',
  'js-page': 'js page',
  go: 'go',
})

export const ROWS = /** @type {Kind[]} */ (['page', 'bridge', 'node'])
export const DIRECTIONS = /** @type {Direction[]} */ (['dial', 'listen'])
export const COLUMNS = /** @type {Kind[]} */ (['go', 'js', 'js-page', 'node', 'page'])

const PAGES = /** @type {Kind[]} */ (['page', 'bridge', 'js-page'])
const OURS = /** @type {Kind[]} */ (['page', 'bridge', 'node'])

/** @param {readonly Kind[]} kinds @param {string} why @returns {Partial<Record<Kind, string>>} */
const none = (kinds, why) => Object.fromEntries(kinds.map((kind) => [kind, why]))

/**
 * Transports; a pipe is given a security and a muxer, the others bring their own. `address` is how its addresses look, `dial` and `listen`
 * say who can't.
 *
 * @type {Record<TransportId, {
 *   pipe: boolean, name: import('../../src/types.ts').TransportName, address: RegExp, expected?: { encryption: string, muxer?: string },
 *   secret?: true, dial: Partial<Record<Kind, string>>, listen: Partial<Record<Kind, string>>,
 * }>}
 */
export const TRANSPORTS = {
  websocket: {
    pipe: true,
    name: 'websocket',
    address: /^\/ip4\/[^/]+\/tcp\/\d+\/ws\/p2p\/[^/]+$/,
    secret: true,
    dial: {},
    listen: none(PAGES, 'a page has no server socket'),
  },
  'websocket-tls': {
    pipe: true,
    name: 'websocket',
    address: /^\/ip4\/[^/]+\/tcp\/\d+\/(tls\/ws|wss)\/p2p\/[^/]+$/,
    dial: {},
    listen: none(PAGES, 'a page has no server socket'),
  },
  tcp: {
    pipe: true,
    name: 'tcp',
    address: /^\/ip4\/[^/]+\/tcp\/\d+\/p2p\/[^/]+$/,
    secret: true,
    dial: none(PAGES, 'a page has no TCP'),
    listen: none(PAGES, 'a page has no TCP'),
  },
  relay: {
    pipe: true,
    name: 'relay',
    address: /\/p2p-circuit\/p2p\/[^/]+$/,
    dial: none(['bridge'], 'a circuit has no data channel to bridge: see our page'),
    listen: none(['bridge'], 'a circuit has no data channel to bridge: see our page'),
  },
  webtransport: {
    pipe: false,
    name: 'webtransport',
    address: /^\/ip4\/[^/]+\/udp\/\d+\/quic-v1\/webtransport\/.*p2p\/[^/]+$/,
    expected: { encryption: 'quic', muxer: '/webtransport' },
    dial: none(['node', 'js'], 'Node has no WebTransport'),
    listen: { ...none(PAGES, 'a page has no server socket'), ...none(['node', 'js'], 'Node has no HTTP/3 server') },
  },
  'webrtc-direct': {
    pipe: false,
    name: 'webrtc-direct',
    address: /^\/ip4\/[^/]+\/udp\/\d+\/webrtc-direct\/.*p2p\/[^/]+$/,
    expected: { encryption: 'dtls', muxer: '/webrtc' },
    dial: {},
    listen: none(PAGES, 'a page has no UDP port of its own'),
  },
  webrtc: {
    pipe: false,
    name: 'webrtc',
    address: /\/p2p-circuit\/webrtc\/p2p\/[^/]+$/,
    expected: { encryption: 'dtls', muxer: '/webrtc' },
    dial: none(['go'], 'go-libp2p has no WebRTC from peer to peer'),
    listen: none(['go'], 'go-libp2p has no WebRTC from peer to peer'),
  },
  'quic-v1': {
    pipe: false,
    name: 'quic',
    address: /^\/ip4\/[^/]+\/udp\/\d+\/quic-v1\/p2p\/[^/]+$/,
    expected: { encryption: '/tls/1.0.0' },
    dial: none(PAGES, 'a page has no QUIC but WebTransport'),
    listen: none(PAGES, 'a page has no QUIC'),
  },
}

const ENCRYPTIONS = { noise: '/noise', tls: '/tls/1.0.0' }
const MUXERS = { yamux: '/yamux/1.0.0', mplex: '/mplex/6.7.0' }

/** Every combination, in the order of the tables. */
export const LINES = /** @type {Line[]} */ ([])
for (const transport of /** @type {TransportId[]} */ (Object.keys(TRANSPORTS))) {
  if (!TRANSPORTS[transport].pipe) LINES.push({ transport, secret: false })
  else {
    for (const security of /** @type {SecurityId[]} */ (['noise', 'tls']))
      for (const muxer of /** @type {MuxerId[]} */ (['yamux', 'mplex'])) LINES.push({ transport, security, muxer, secret: false })
    if (TRANSPORTS[transport].secret) LINES.push({ transport, security: 'noise', muxer: 'yamux', secret: true })
  }
}

/** @param {Line} line */
export const lineName = ({ transport, security, muxer, secret }) =>
  [transport, security, muxer, secret ? 'psk' : undefined].filter((part) => part !== undefined).join(' ')

/** @param {Pair} pair */
export const pairName = ({ dialer, listener, line }) => `${lineName(line)}: ${NAMES[dialer]} → ${NAMES[listener]}`

/** @param {Line} line @returns {Expected} */
export const expectedOf = ({ transport, security, muxer }) => {
  const { expected } = TRANSPORTS[transport]
  const encryption = security === undefined ? (expected?.encryption ?? '') : ENCRYPTIONS[security]
  return { encryption, muxer: muxer === undefined ? expected?.muxer : MUXERS[muxer] }
}

/**
 * Why this pair can't be; undefined where it can.
 *
 * @param {Pair} pair
 * @returns {string | undefined}
 */
export const whyNot = ({ dialer, listener, line: { transport, security, muxer, secret } }) => {
  const { dial, listen } = TRANSPORTS[transport]
  const both = [dialer, listener]
  const unable = dial[dialer] ?? listen[listener]
  if (unable !== undefined) return unable
  if (secret && both.includes('bridge')) return 'a private network has no WebRTC to bridge: see our page'
  if (security === 'tls' && both.some((kind) => PAGES.includes(kind))) return 'a page has no TLS over a pipe'
  if (muxer === 'mplex' && both.includes('go')) return 'go-libp2p has no mplex any more'
  if (muxer === 'mplex' && both.every((kind) => OURS.includes(kind))) return 'two of ours agree on yamux'
  return undefined
}

/** @returns {Cell[]} */
export const cells = () =>
  ROWS.flatMap((row) =>
    DIRECTIONS.flatMap((direction) =>
      COLUMNS.flatMap((column) =>
        LINES.map((line) => {
          const [dialer, listener] = direction === 'dial' ? [row, column] : [column, row]
          const pair = { dialer, listener, line }
          const why = whyNot(pair)
          return { row, direction, column, line, ...(why === undefined ? { pair } : { why }) }
        }),
      ),
    ),
  )
