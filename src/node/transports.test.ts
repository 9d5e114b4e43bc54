/** Peers as a program makes them: every way to listen and dial, secured and muxed in every way, and what is refused. */

import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { relayConfig } from '../../relay-server/config.ts'
import { type Relay, startRelay } from '../../relay-server/relay.ts'
import { der, selfSigned } from './certificate.ts'
import { createPeer, type NodePeerOptions, type Peer, TabmeshError } from './index.ts'

const running: Peer[] = []
const peer = async (options: NodePeerOptions = {}): Promise<Peer> => {
  const made = await createPeer(options)
  running.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()))
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

const codesOf = (error: unknown): string => {
  if (!(error instanceof TabmeshError)) return String(error)
  return [error.code, ...error.errors.map((each) => each.code)].join(' ')
}

const certificate = selfSigned({
  notBefore: Date.now() - 86_400_000,
  notAfter: Date.now() + 86_400_000,
  // RFC 5280 §4.2.1.6: [7] is an IP address.
  extensions: [{ oid: '2.5.29.17', critical: false, value: der(0x30, der(0x87, Uint8Array.of(127, 0, 0, 1))) }],
})
const tls = { cert: certificate.pem, key: certificate.keyPem, ca: certificate.pem }

/** A peer that echoes what comes on /echo/1. */
const echoing = async (options: NodePeerOptions): Promise<Peer> => {
  const made = await peer(options)
  await until(() => made.addresses.length > 0)
  await made.handle('/echo/1', (stream) => stream.readable.pipeTo(stream.writable))
  return made
}

/** A megabyte there and back. */
const echo = async (client: Peer, server: Peer): Promise<void> => {
  const stream = await client.openStream(server.addresses, '/echo/1')
  const sent = randomBytes(1_000_000)
  const writer = stream.writable.getWriter()
  const writing = writer.write(new Uint8Array(sent)).then(() => writer.close())
  const chunks: Uint8Array[] = []
  for await (const chunk of stream.readable as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk)
  await writing
  expect(Buffer.compare(Buffer.concat(chunks), sent)).toBe(0)
}

const networkKey = randomBytes(32)
const swarmKey = `/key/swarm/psk/1.0.0/\n/base16/\n${networkKey.toString('hex')}\n`

describe.each([
  ['/ip4/127.0.0.1/tcp/0', 'tcp'],
  ['/ip6/::1/tcp/0', 'tcp'],
  ['/ip4/127.0.0.1/tcp/0/ws', 'websocket'],
  ['/ip4/127.0.0.1/tcp/0/tls/ws', 'websocket'],
  ['/ip4/127.0.0.1/tcp/0/wss', 'websocket'],
] as const)('%s', (listen, transport) => {
  it.each([
    ['noise and yamux', {}, {}, '/noise', '/yamux/1.0.0'],
    ['tls and yamux', { encryption: ['tls'] }, {}, '/tls/1.0.0', '/yamux/1.0.0'],
    ['the first of two', { encryption: ['tls', 'noise'] }, {}, '/tls/1.0.0', '/yamux/1.0.0'],
    ['noise, yamux before mplex', { mplex: true }, { mplex: true }, '/noise', '/yamux/1.0.0'],
    ['noise in a private network', { preSharedKey: swarmKey }, { preSharedKey: new Uint8Array(networkKey) }, '/noise', '/yamux/1.0.0'],
    ['tls in a private network', { preSharedKey: swarmKey, encryption: ['tls'] }, { preSharedKey: swarmKey }, '/tls/1.0.0', '/yamux/1.0.0'],
  ] as const)('with %s', async (_what, ofClient, ofServer, encryption, muxer) => {
    const server = await echoing({ ...(ofServer as NodePeerOptions), listen: [listen], tls })
    const client = await peer({ ...(ofClient as unknown as NodePeerOptions), tls: { ca: [tls.ca] } })
    const info = await client.dial(server.addresses)
    expect(info).toMatchObject({ remotePeer: server.id, transport, encryption, muxer, limited: false })
    await until(() => server.connections.length > 0)
    expect(server.connections).toMatchObject([{ remotePeer: client.id, transport, encryption, muxer, direction: 'inbound' }])
    expect(await client.ping(server.id)).toBeGreaterThan(0)
    await echo(client, server)
  })
})

it.each([
  ['/ip4/127.0.0.1/udp/0/webrtc-direct', 'webrtc-direct', 'dtls', '/webrtc'],
  ['/ip4/127.0.0.1/udp/0/quic-v1', 'quic', '/tls/1.0.0', '/quic-v1'],
] as const)('%s, which brings its own security and multiplexer', async (listen, transport, encryption, muxer) => {
  const server = await echoing({ listen: [listen] })
  const client = await peer()
  expect(await client.dial(server.addresses)).toMatchObject({ remotePeer: server.id, transport, encryption, muxer })
  await echo(client, server)
})

it('one peer listens on all of them at a time, and says so', async () => {
  const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws', '/ip4/127.0.0.1/tcp/0/tls/ws/http-path/a']
  const server = await echoing({ listen, tls })
  expect(server.addresses.map((each) => each.replace(/\/tcp\/\d+/, '/tcp/0').replace(`/p2p/${server.id}`, ''))).toEqual(listen)
  for (const address of server.addresses) {
    const client = await peer({ tls })
    expect(await client.dial(address)).toMatchObject({ remotePeer: server.id })
  }
})

it('listening everywhere says each interface', async () => {
  const server = await echoing({ listen: ['/ip4/0.0.0.0/tcp/0'] })
  expect(server.addresses.at(-1)).toMatch(new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/[1-9]\\d*/p2p/${server.id}$`))
  expect(server.addresses.join()).not.toContain('0.0.0.0')
})

it('measures, where the other side lets it', async () => {
  const server = await echoing({ listen: ['/ip4/127.0.0.1/tcp/0'], perf: true })
  const client = await peer()
  expect(await client.perf(server.addresses, { upload: 1_000_000, download: 2_000_000 })).toMatchObject({
    upload: { bytes: 1_000_000 },
    download: { bytes: 2_000_000 },
  })
})

describe('through a relay', () => {
  const relays: Relay[] = []
  afterEach(async () => {
    await Promise.all(relays.splice(0).map((each) => each.stop()))
  })

  /** A peer that others reach through a relay alone. */
  const relayed = async (listen: string[]): Promise<Peer> => {
    const relay = await startRelay(relayConfig({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] }))
    relays.push(relay)
    return echoing({ relays: [relay.addresses[0] as string], listen })
  }

  it.each([
    [['noise'], '/noise'],
    // The relay has Noise alone.
    [['tls', 'noise'], '/tls/1.0.0'],
  ] as const)('%j secures a circuit', async (encryption, name) => {
    const server = await relayed(['/p2p-circuit'])
    const client = await peer({ encryption: [...encryption] })
    expect(await client.dial(server.addresses)).toMatchObject({ remotePeer: server.id, transport: 'relay', encryption: name })
    expect(await client.ping(server.id)).toBeGreaterThan(0)
  })

  it('WebRTC finds a direct way', async () => {
    const server = await relayed(['/p2p-circuit', '/webrtc'])
    const direct = server.addresses.filter((each) => each.includes('/webrtc/'))
    expect(direct).not.toEqual([])
    const client = await peer()
    // On a busy machine the relayed connection may be there first: the dial returns that, and the direct one follows.
    expect(await client.dial(direct)).toMatchObject({ remotePeer: server.id })
    await expect
      .poll(() => client.connections, { timeout: 10_000 })
      .toContainEqual(expect.objectContaining({ remotePeer: server.id, transport: 'webrtc', limited: false }))
    await echo(client, server)
  })
})

describe("what can't be listened on is named", () => {
  it.each([
    ['/ip4/127.0.0.1/udp/0', {}, 'ERR_UNSUPPORTED'],
    ['/ip4/127.0.0.1/tcp/0/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5', {}, 'ERR_UNSUPPORTED'],
    ['/ip4/127.0.0.1/udp/0/quic-v1/webtransport', {}, 'ERR_UNSUPPORTED'],
    ['/dns4/localhost/tcp/0', {}, 'ERR_INVALID_ARGUMENT'],
    ['/ip4/127.0.0.1/tcp/0', { transports: { tcp: false } }, 'ERR_UNSUPPORTED'],
    ['/ip4/127.0.0.1/tcp/0/ws', { transports: { webSocket: false } }, 'ERR_UNSUPPORTED'],
    ['/ip4/127.0.0.1/tcp/0/tls/ws', {}, 'ERR_INVALID_ARGUMENT'],
    ['/ip4/127.0.0.1/udp/0/quic-v1', { preSharedKey: swarmKey }, 'ERR_PRIVATE_NETWORK'],
    ['/ip4/127.0.0.1/udp/0/webrtc-direct', { preSharedKey: swarmKey }, 'ERR_PRIVATE_NETWORK'],
    ['/webrtc', { preSharedKey: swarmKey }, 'ERR_PRIVATE_NETWORK'],
    ['/webrtc', { transports: { webRTC: false } }, 'ERR_UNSUPPORTED'],
    ['/ip4/127.0.0.1/udp/0/webrtc-direct', { transports: { webRTCDirect: false } }, 'ERR_UNSUPPORTED'],
    ['/p2p-circuit', { transports: { circuitRelay: false } }, 'ERR_UNSUPPORTED'],
    ['/ip4/192.0.2.1/tcp/0', {}, 'ERR_LISTEN'],
    ['/ip4/127.0.0.1/tcp', {}, 'ERR_INVALID_MULTIADDR'],
  ] as const)('%s', async (listen, options, code) => {
    const refused = await createPeer({ ...options, listen: ['/ip4/127.0.0.1/tcp/0/ws', listen] }).catch((error: unknown) => error)
    expect(codesOf(refused)).toBe(code)
    if (code !== 'ERR_INVALID_MULTIADDR') expect((refused as Error).message).toContain(listen)
  })
})

describe('what is refused at the start', () => {
  it.each([
    ['an empty `encryption`', { encryption: [] }, 'ERR_INVALID_ARGUMENT'],
    ['an unknown one', { encryption: ['none'] }, 'ERR_INVALID_ARGUMENT'],
    ['a key of 31 bytes', { preSharedKey: new Uint8Array(31) }, 'ERR_NETWORK_KEY'],
    ['a broken authority', { tls: { ca: 'nothing' } }, 'ERR_INVALID_ARGUMENT'],
    ['an ICE server that is none', { rtcConfiguration: { iceServers: [{ urls: 'http://a.example' }] } }, 'ERR_INVALID_ARGUMENT'],
  ] as const)('%s', async (_what, options, code) =>
    expect(codesOf(await createPeer(options as unknown as NodePeerOptions).catch((error: unknown) => error))).toBe(code),
  )
})

describe('a private network', () => {
  const dialled = async (client: Peer, target: string | string[]) => codesOf(await client.dial(target).catch((error: unknown) => error))

  it.each(['/ip4/127.0.0.1/udp/1/quic-v1', '/ip4/127.0.0.1/udp/1/quic-v1/webtransport', '/ip4/127.0.0.1/udp/1/webrtc-direct'])(
    'is not left for %s',
    async (address) => expect(await dialled(await peer({ preSharedKey: networkKey }), address)).toBe('ERR_DIAL_FAILED ERR_PRIVATE_NETWORK'),
  )

  it.each([
    ['another key', { preSharedKey: randomBytes(32) }],
    ['no key', {}],
  ])('does not know those with %s, nor do they know it', async (_what, options) => {
    const inside = await echoing({ preSharedKey: networkKey, listen: ['/ip4/127.0.0.1/tcp/0'] })
    const outside = await echoing({ ...options, listen: ['/ip4/127.0.0.1/tcp/0'] })
    expect(await dialled(outside, [...inside.addresses])).toMatch(/^ERR_DIAL_FAILED ERR_/)
    expect(await dialled(inside, [...outside.addresses])).toMatch(/^ERR_DIAL_FAILED ERR_/)
    const friend = await peer({ preSharedKey: networkKey })
    expect(await friend.dial(inside.addresses)).toMatchObject({ remotePeer: inside.id })
  })
})
