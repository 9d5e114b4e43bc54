/** Dialling by WebTransport: which certificates are believed, who answers, and what is left when it fails. */

import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { toBase64Url } from '../engine/codec/multibase.ts'
import type { PeerId } from '../engine/codec/peer-id.ts'
import { peerIdFromKey } from '../engine/codec/peer-id.ts'
import { Node } from '../engine/net/node.ts'
import type { Link } from '../engine/net/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { converse } from '../engine/wire/conversation.ts'
import { makeStaticKey, respondNoise } from '../engine/wire/noise/handshake.ts'
import type { TabmeshError } from '../errors.ts'
import { nodeHost } from '../node/host.ts'
import { newIdentity } from '../node/identity.ts'
import { FakeSession } from '../sockets/fake-web-transport.ts'
import type { StreamHalves } from '../sockets/web-stream-channel.ts'
import { WebStreamChannel } from '../sockets/web-stream-channel.ts'
import { webTransportTransport } from './web-transport.ts'

/** The multihash of the certificate number `n`. */
const certhash = (n: number): Uint8Array => Uint8Array.of(0x12, 32, ...new Uint8Array(32).fill(n))

const addressOf = (hashes: readonly Uint8Array[], peer?: PeerId): Multiaddr =>
  parseMultiaddr(
    `/ip4/192.0.2.1/udp/4001/quic-v1/webtransport${hashes.map((each) => `/certhash/${toBase64Url(each)}`).join('')}${peer === undefined ? '' : `/p2p/${peer}`}`,
  )

interface ServerOptions {
  /** The certificate that the server shows: the session is refused unless its hash is among those dialled, as a browser does. */
  readonly shows?: number
  /** What it says inside Noise that its certificates are, on the session of that number. */
  readonly lists?: (session: number) => readonly Uint8Array[]
  /** What it does instead of Noise. */
  readonly instead?: (halves: StreamHalves, session: FakeSession) => void
}

const lab = ({ shows = 1, lists = () => [certhash(1), certhash(2)], instead }: ServerOptions = {}) => {
  const server = newIdentity()
  const host = nodeHost(server)
  const staticKey = makeStaticKey()
  const sessions: FakeSession[] = []
  const proven: (PeerId | TabmeshError)[] = []
  const serve = (session: FakeSession) => (halves: StreamHalves) => {
    if (instead !== undefined) return instead(halves, session)
    const channel = new WebStreamChannel({ reset: (abort) => void abort(), forget: () => {} }, true)
    channel.open(halves)
    const noise = respondNoise({ aead: host.aead, identity: host.publicKey, staticKey, muxers: [], certhashes: lists(sessions.length) })
    converse(channel, noise, host, {
      timeout: 5_000,
      what: 'the server',
      done: (outcome) => proven.push(outcome.ok ? outcome.value.remotePeer : outcome.fault),
    })
  }
  class Session extends FakeSession {
    constructor(url: string, options: WebTransportOptions) {
      super(url, options)
      sessions.push(this)
      setTimeout(() => {
        if (this.over !== undefined) return
        if (this.hashes.some((hash) => hash.length === 32 && hash[0] === shows)) this.answer(serve(this))
        else this.refuse()
      })
    }
  }
  const transport = webTransportTransport({ WebTransport: Session as never })
  const node = new Node({ host: nodeHost(newIdentity()), services: [], transports: [transport], onEvent: () => {} })
  const dial = (address: Multiaddr): Promise<Outcome<Link>> =>
    new Promise((done) => {
      let returned = false
      transport.dial(address, node, (outcome) => {
        expect(returned).toBe(true)
        done(outcome)
      })
      returned = true
    })
  /** What the dial failed with, once every session is gone. */
  const fault = async (address: Multiaddr): Promise<TabmeshError> => {
    const outcome = await dial(address)
    if (outcome.ok) throw new Error('it was expected to fail')
    while (sessions.some(({ over }) => over === undefined)) await turn()
    expect(sessions.every(({ crashed }) => !crashed)).toBe(true)
    return outcome.fault
  }
  const peer = peerIdFromKey(host.publicKey)
  return { transport, node, sessions, proven, dial, fault, peer }
}

describe('a dial', () => {
  it('names the hashes to the browser, and gives a link to the peer that Noise has proven', async () => {
    const { dial, sessions, peer, proven, node } = lab()
    const outcome = await dial(addressOf([certhash(1), certhash(2)], peer))
    expect(outcome).toMatchObject({
      ok: true,
      value: { t: 'muxed', transport: 'webtransport', remotePeer: peer, encryption: 'quic', muxer: { protocol: '/webtransport' } },
    })
    expect(sessions.length).toBe(1)
    expect(sessions[0]?.url).toBe('https://192.0.2.1:4001/.well-known/libp2p-webtransport?type=noise')
    expect(sessions[0]?.hashes).toEqual([certhash(1).slice(2), certhash(2).slice(2)])
    while (proven.length === 0) await turn()
    expect(proven).toEqual([node.self])
    if (outcome.ok && outcome.value.t === 'muxed') outcome.value.muxer.close()
    while (sessions[0]?.over === undefined) await turn()
    expect(sessions[0]?.over).toBe('closed')
  })

  it('takes an address that names fewer certificates than the peer has, and one that names no peer', async () => {
    const { dial, peer } = lab()
    expect(await dial(addressOf([certhash(1)]))).toMatchObject({ ok: true, value: { remotePeer: peer } })
  })

  it('by a node makes a connection', async () => {
    const { node, sessions, peer } = lab()
    const outcome = await new Promise<Outcome<unknown>>((done) => node.dial({ addresses: [addressOf([certhash(1)], peer)] }, done))
    expect(outcome).toMatchObject({ ok: true, value: { remotePeer: peer, transport: 'webtransport', muxer: '/webtransport' } })
    await new Promise<void>((done) => node.stop(done))
    while (sessions[0]?.over === undefined) await turn()
  })
})

describe('the certificates', () => {
  it('that the peer does not list are refused', async () => {
    const { fault, sessions, peer } = lab({ lists: () => [certhash(2), certhash(3)] })
    expect(await fault(addressOf([certhash(1)], peer))).toMatchObject({ code: 'ERR_CERTHASH_MISMATCH', remote: true })
    expect(sessions.length).toBe(1)
  })

  it('of a peer that lists none are refused', async () => {
    const { fault, sessions, peer } = lab({ lists: () => [] })
    expect(await fault(addressOf([certhash(1), certhash(2)], peer))).toMatchObject({ code: 'ERR_CERTHASH_MISMATCH' })
    expect(sessions.length).toBe(1)
  })

  it('of which one is stale are dialled once more without it', async () => {
    const { dial, sessions, peer } = lab()
    expect(await dial(addressOf([certhash(9), certhash(1), certhash(2)], peer))).toMatchObject({ ok: true, value: { remotePeer: peer } })
    expect(sessions.map(({ hashes }) => hashes.map(([n]) => n))).toEqual([
      [9, 1, 2],
      [1, 2],
    ])
    while (sessions[0]?.over === undefined) await turn()
    expect(sessions[0]?.over).toBe('closed')
    expect(sessions[0]?.crashed).toBe(false)
  })

  it('of somebody on the path, slipped into the address beside the real ones, lead to no session with him', async () => {
    // He shows certificate 9, which is in the address, and carries Noise on to the real peer, which lists 1 and 2.
    const { fault, sessions, peer } = lab({ shows: 9 })
    expect(await fault(addressOf([certhash(9), certhash(1), certhash(2)], peer))).toMatchObject({ code: 'ERR_WEBTRANSPORT_FAILED' })
    expect(sessions.map(({ hashes }) => hashes.map(([n]) => n))).toEqual([
      [9, 1, 2],
      [1, 2],
    ])
    expect(sessions.map(({ over }) => over)).toEqual(['closed', 'refused'])
  })

  it('whose list is another the second time are refused', async () => {
    const { fault, sessions, peer } = lab({ lists: (session) => (session === 1 ? [certhash(1), certhash(2)] : [certhash(1)]) })
    expect(await fault(addressOf([certhash(9), certhash(1), certhash(2)], peer))).toMatchObject({ code: 'ERR_CERTHASH_MISMATCH' })
    expect(sessions.length).toBe(2)
  })

  it('by another hash than SHA-256 are refused before anything is dialled', async () => {
    const { fault, sessions, transport } = lab()
    const sha512 = Uint8Array.of(0x13, 64, ...new Uint8Array(64))
    const address = addressOf([certhash(1), sha512])
    expect(transport.matches(address)).toBe(true)
    expect(await fault(address)).toMatchObject({ code: 'ERR_UNSUPPORTED' })
    expect(sessions).toEqual([])
  })
})

describe('a dial that fails', () => {
  it('says so where the browser opens no session', async () => {
    const { fault, peer } = lab({ shows: 5 })
    const why = await fault(addressOf([certhash(1)], peer))
    expect(why.code).toBe('ERR_WEBTRANSPORT_FAILED')
    expect(why.message).toContain('https://192.0.2.1:4001/')
    expect(why.cause).toMatchObject({ message: 'Opening handshake failed.' })
  })

  it('says so where another peer answers', async () => {
    const { fault } = lab()
    const other = peerIdFromKey(nodeHost(newIdentity()).publicKey)
    expect(await fault(addressOf([certhash(1)], other))).toMatchObject({ code: 'ERR_PEER_ID_MISMATCH' })
  })

  for (const [what, instead, code] of [
    ['what answers is not Noise', ({ writable }: StreamHalves) => writable.getWriter().write(new Uint8Array(200)), 'ERR_ENCRYPTION_FAILED'],
    ['the first stream is reset', ({ writable }: StreamHalves) => writable.abort(), 'ERR_STREAM_RESET'],
    ['the first stream is ended', ({ writable }: StreamHalves) => writable.close(), 'ERR_STREAM_CLOSED'],
    ['the session is lost', (_: StreamHalves, session: FakeSession) => session.lose(), 'ERR_CONNECTION_CLOSED'],
    ['the session is closed', (_: StreamHalves, session: FakeSession) => session.remoteClose({ closeCode: 1 }), 'ERR_CONNECTION_CLOSED'],
  ] as const) {
    it(`says so where ${what}`, async () => {
      const { fault, peer } = lab({ instead: (halves, session) => void instead(halves, session) })
      expect((await fault(addressOf([certhash(1)], peer))).code).toBe(code)
    })
  }

  it('is over in its time where the remote opens a session and never says a word', async () => {
    const { node, sessions, peer } = lab({ instead: () => {} })
    const outcome = await new Promise<Outcome<unknown>>((done) =>
      node.dial({ addresses: [addressOf([certhash(1)], peer)] }, done, { timeout: 50 }),
    )
    expect(outcome).toMatchObject({ ok: false, fault: { code: expect.stringMatching(/^ERR_DIAL_(TIMEOUT|FAILED)$/) } })
    if (!outcome.ok) expect(outcome.fault.errors.map(({ code }) => code)).toEqual(['ERR_DIAL_TIMEOUT'])
    while (sessions[0]?.over === undefined) await turn()
    expect(sessions[0]).toMatchObject({ over: 'closed', crashed: false })
  })

  it('says so where the browser refuses the URL', async () => {
    const { node } = lab()
    class Forbidden {
      constructor() {
        throw new DOMException('connect-src', 'SecurityError')
      }
    }
    const transport = webTransportTransport({ WebTransport: Forbidden as never })
    const outcome = await new Promise<Outcome<Link>>((done) => transport.dial(addressOf([certhash(1)]), node, done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_WEBTRANSPORT_FAILED', cause: { message: 'connect-src' } } })
  })
})

describe('a dial that is given up', () => {
  it('closes its session and says no more', async () => {
    const { transport, node, sessions } = lab({ instead: () => {} })
    const heard: unknown[] = []
    const giveUp = transport.dial(addressOf([certhash(1)]), node, (outcome) => heard.push(outcome))
    while (sessions.length === 0) await turn()
    giveUp()
    while (sessions[0]?.over === undefined) await turn()
    for (let i = 0; i < 5; i += 1) await turn()
    expect(heard).toEqual([])
  })

  it('before it began opens none', async () => {
    const { transport, node, sessions } = lab()
    transport.dial(addressOf([certhash(1)]), node, () => {})()
    for (let i = 0; i < 5; i += 1) await turn()
    expect(sessions).toEqual([])
  })
})

describe('a platform without WebTransport', () => {
  it('dials nothing', async () => {
    expect('WebTransport' in globalThis).toBe(false)
    const address = addressOf([certhash(1)])
    const transport = webTransportTransport()
    expect(transport.matches(address)).toBe(false)
    const node = new Node({ host: nodeHost(newIdentity()), services: [], transports: [transport], onEvent: () => {} })
    const outcome = await new Promise<Outcome<unknown>>((done) => node.dial({ addresses: [address] }, done))
    expect(outcome).toMatchObject({ ok: false, fault: { errors: [{ code: 'ERR_NO_TRANSPORT' }] } })
  })
})
