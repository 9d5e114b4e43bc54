/** TLS between two nodes over TCP, and between one and a remote that breaks a rule. */

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import type { PrivateKey } from '../../engine/codec/keys.ts'
import type { Multiaddr } from '../../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import { peerIdFromKey } from '../../engine/codec/peer-id.ts'
import type { Connection } from '../../engine/net/connection.ts'
import { Node } from '../../engine/net/node.ts'
import type { Secured, SecureOptions, Security } from '../../engine/net/upgrade.ts'
import { channelPair } from '../../engine/testing/channel-pair.ts'
import { prng } from '../../engine/testing/prng.ts'
import type { Channel } from '../../engine/wire/channel.ts'
import type { Outcome } from '../../engine/wire/conversation.ts'
import type { TabmeshError } from '../../errors.ts'
import { newKey, pem } from '../certificate.ts'
import { nodeHost } from '../host.ts'
import { newIdentity } from '../identity.ts'
import { listenTcp, tcpTransport } from '../tcp.ts'
import { peerCertificate } from './certificate.ts'
import { criticalUnknown, type Forgery, forge, signedKey } from './forge.ts'
import { TLS, tlsSecurity, tlsSecurityWith } from './security.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const YAMUX = '/yamux/1.0.0'
const day = 86_400_000

/** A node that proposes TLS, and what becomes of those who come to it. */
const start = async (security?: (identity: PrivateKey) => Security, dialTimeout = 5_000) => {
  const identity = newIdentity()
  const node = new Node({
    host: nodeHost(identity),
    services: [],
    transports: [tcpTransport()],
    securities: [(security ?? tlsSecurity)(identity)],
    propose: [TLS],
    limits: { dialTimeout },
  })
  node.start()
  const outcomes: Outcome<Connection>[] = []
  const waiting: ((outcome: Outcome<Connection>) => void)[] = []
  const listener = await listenTcp(parseMultiaddr('/ip4/127.0.0.1/tcp/0'), {
    accept: (link) =>
      node.accept(link, (outcome) => {
        const next = waiting.shift()
        if (next === undefined) outcomes.push(outcome)
        else next(outcome)
      }),
  })
  open.push({ close: () => new Promise<void>((done) => node.stop(done)).then(() => listener.close()) })
  return {
    node,
    address: listener.address,
    listener,
    /** What became of the next one that came. */
    came: () =>
      new Promise<Outcome<Connection>>((done) => {
        const outcome = outcomes.shift()
        if (outcome === undefined) waiting.push(done)
        else done(outcome)
      }),
    dial: (to: { address: Multiaddr; node?: Node }) =>
      new Promise<Outcome<Connection>>((done) => node.dial({ ...(to.node && { peer: to.node.self }), addresses: [to.address] }, done)),
  }
}

const faultOf = (outcome: Outcome<unknown>): TabmeshError => {
  if (outcome.ok) throw new Error('it went well')
  // A dial tells of each address.
  return outcome.fault.errors[0] ?? outcome.fault
}

describe('two nodes', () => {
  it('know each other, and have their multiplexer, in one handshake', async () => {
    const [server, client] = [await start(), await start()]
    const dialled = await client.dial(server)
    const accepted = await server.came()
    if (!dialled.ok || !accepted.ok) throw new Error('no connection')
    expect(dialled.value).toMatchObject({ remotePeer: server.node.self, encryption: TLS, muxer: YAMUX, transport: 'tcp' })
    expect(accepted.value).toMatchObject({ remotePeer: client.node.self, encryption: TLS, muxer: YAMUX, transport: 'tcp' })
  })

  it('with keys of every type', async () => {
    const { privateKey } = await import('../../engine/codec/keys.ts')
    const der = (type: 'ec' | 'rsa', key: KeyObject) =>
      new Uint8Array(key.export({ type: type === 'ec' ? 'sec1' : 'pkcs1', format: 'der' }) as Buffer)
    const keys = [
      privateKey('secp256k1', new Uint8Array(32).fill(7)),
      privateKey('ECDSA', der('ec', newKey())),
      privateKey('RSA', der('rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)),
    ]
    for (const key of keys) {
      const { dialer, listener } = await handshake(tlsSecurity(key), tlsSecurity(newIdentity()))
      expect(dialer.ok && listener.ok && listener.value.remotePeer).toBe(peerIdFromKey(key.publicKey))
    }
  })

  it('refuse each the other where it is not the one that was dialled', async () => {
    const [server, other, client] = [await start(), await start(), await start()]
    expect(faultOf(await client.dial({ address: server.address, node: other.node }))).toMatchObject({
      code: 'ERR_PEER_ID_MISMATCH',
      remote: true,
    })
    expect((await client.dial(server)).ok).toBe(true)
  })
})

/** Both sides of a handshake over a pair in memory that cuts and joins chunks by the seed. */
const handshake = async (dialing: Security, answering: Security, options: Partial<SecureOptions> = {}, seed = 1) => {
  const [near, far] = channelPair({ seed })
  const all = { expectedPeer: undefined, muxers: [YAMUX], timeout: 5_000, ...options }
  let dialer: Outcome<Secured> | undefined
  let listener: Outcome<Secured> | undefined
  dialing.secure(near, { ...all, role: 'dialer' }, (outcome) => {
    dialer = outcome
  })
  answering.secure(far, { ...all, role: 'listener' }, (outcome) => {
    listener = outcome
  })
  const flushing = setInterval(() => near.flush(), 0)
  open.push({ close: () => clearInterval(flushing) })
  while (dialer === undefined || listener === undefined) await turn()
  return { dialer: dialer as Outcome<Secured>, listener: listener as Outcome<Secured> }
}

const channelOf = (outcome: Outcome<Secured>): Channel => {
  if (!outcome.ok) throw outcome.fault
  return outcome.value.channel
}

const collect = (channel: Channel, releasing = true) => {
  const state = { releasing, bytes: Buffer.alloc(0), ended: false, closed: false, fault: undefined as TabmeshError | undefined }
  channel.attach({
    onData(bytes) {
      state.bytes = Buffer.concat([state.bytes, bytes])
      if (state.releasing) channel.release(bytes.length)
    },
    onEnd: () => {
      state.ended = true
    },
    onClose(fault) {
      state.closed = true
      state.fault = fault
    },
  })
  return state
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

describe('the channel', () => {
  it('carries bytes both ways, whole and in order, ends one side at a time and closes without a fault', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { dialer, listener } = await handshake(tlsSecurity(newIdentity()), tlsSecurity(newIdentity()), {}, seed)
      const [near, far] = [channelOf(dialer), channelOf(listener)]
      const sent = Buffer.from(prng(seed).bytes(600_000))
      const [there, back] = [collect(far), collect(near)]
      for (let at = 0; at < sent.length; at += 50_000) {
        near.write(new Uint8Array(sent.subarray(at, at + 50_000)))
        far.write(new Uint8Array(sent.subarray(at, at + 50_000)))
      }
      near.end()
      await until(() => there.ended)
      expect(back.ended).toBe(false)
      expect(there.bytes.equals(sent)).toBe(true)
      far.end()
      await until(() => there.closed && back.closed)
      expect(back.bytes.equals(sent)).toBe(true)
      expect([there.fault, back.fault]).toEqual([undefined, undefined])
    }
  })

  it('holds what the client says before it is verified', async () => {
    const { dialer, listener } = await handshake(tlsSecurity(newIdentity()), tlsSecurity(newIdentity()))
    channelOf(dialer).write(Uint8Array.from(Buffer.from('early')))
    const there = collect(channelOf(listener))
    await until(() => there.bytes.length === 5)
    expect(there.bytes.toString()).toBe('early')
  })

  it('slows a writer down to its reader', async () => {
    const { dialer, listener } = await handshake(tlsSecurity(newIdentity()), tlsSecurity(newIdentity()))
    const near = channelOf(dialer)
    const there = collect(channelOf(listener), false)
    let sent = 0
    let stood = 0
    while (stood < 200) {
      if (near.credit > 0) {
        near.write(new Uint8Array(65_536))
        sent += 65_536
        stood = 0
      } else stood += 1
      await turn()
    }
    expect(sent).toBeLessThan(4 * 1024 * 1024)
    there.releasing = true
    channelOf(listener).release(there.bytes.length)
    await until(() => near.credit > 0)
  })

  it('tells both ends when one gives up, and closes what is below', async () => {
    const { TabmeshError } = await import('../../errors.ts')
    const { dialer, listener } = await handshake(tlsSecurity(newIdentity()), tlsSecurity(newIdentity()))
    const [here, there] = [collect(channelOf(dialer)), collect(channelOf(listener))]
    channelOf(dialer).abort(new TabmeshError('ERR_TIMEOUT', 'enough'))
    expect(here.fault?.code).toBe('ERR_TIMEOUT')
    await until(() => there.closed)
    expect(there.fault?.code).toBe('ERR_STREAM_RESET')
  })
})

describe('the multiplexer', () => {
  it.each([
    ["the first of the client's that both have", [YAMUX, '/mplex/6.7.0'], ['/mplex/6.7.0', YAMUX], YAMUX],
    ['left to multistream where they share none', ['/a'], ['/b'], undefined],
  ])('is %s', async (_what, client, server, muxer) => {
    const [dialing, answering] = [tlsSecurity(newIdentity()), tlsSecurity(newIdentity())]
    const { dialer, listener } = await handshake(
      { ...dialing, secure: (channel, options, done) => dialing.secure(channel, { ...options, muxers: client }, done) },
      { ...answering, secure: (channel, options, done) => answering.secure(channel, { ...options, muxers: server }, done) },
    )
    expect([dialer, listener]).toMatchObject([{ value: { muxer } }, { value: { muxer } }])
  })
})

/** A remote with this for a TLS of its own. */
const showing = (options: SecureContextOptions) => (): Security => tlsSecurityWith(createSecureContext({ ca: [], ...options }))

const forged = (options: (key: KeyObject, identity: PrivateKey) => Partial<Forgery>, key = newKey()) => {
  const identity = newIdentity()
  const valid = { key, notBefore: Date.now() - day, notAfter: Date.now() + day, extensions: [signedKey(identity, key)] }
  return showing({ cert: pem(forge({ ...valid, ...options(key, identity) })), key: key.export({ type: 'pkcs8', format: 'pem' }) })
}

const twoCertificates = () => {
  const [shown, other] = [peerCertificate(newIdentity(), Date.now()), peerCertificate(newIdentity(), Date.now())]
  return showing({ cert: shown.pem + other.pem, key: shown.keyPem })
}

const oldTls = () => {
  const { pem: cert, keyPem: key } = peerCertificate(newIdentity(), Date.now())
  return showing({ cert, key, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
}

const hostile: readonly [string, () => () => Security, string, string][] = [
  ['no libp2p extension', () => forged(() => ({ extensions: [] })), 'ERR_CERTIFICATE', 'no libp2p extension'],
  [
    'two libp2p extensions',
    () => forged((key, id) => ({ extensions: [signedKey(id, key), signedKey(id, key)] })),
    'ERR_CERTIFICATE',
    'two',
  ],
  [
    'an unknown critical one',
    () => forged((key, id) => ({ extensions: [signedKey(id, key), criticalUnknown] })),
    'ERR_CERTIFICATE',
    'critical',
  ],
  ['an expired certificate', () => forged(() => ({ notAfter: Date.now() - 5_000 })), 'ERR_CERTIFICATE', 'expired'],
  ['two certificates', twoCertificates, 'ERR_CERTIFICATE', 'shows 2 certificates'],
  [
    'the key of another',
    () => forged((_key, id) => ({ extensions: [signedKey(id, newKey())] })),
    'ERR_CERTIFICATE',
    'the identity key it names',
  ],
  ["another's signature", () => forged(() => ({ signedBy: newKey() })), 'ERR_CERTIFICATE', 'not signed by its own key'],
  ['RSA of 1024 bits', () => forged(() => ({}), generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey), 'ERR_CERTIFICATE', '1024'],
  ['TLS 1.2', oldTls, 'ERR_ENCRYPTION_FAILED', 'TLS failed'],
]

describe.each(hostile)('a remote with %s', (_what, security, code, message) => {
  it('is refused by who dialled it, and the next dial works', async () => {
    const [server, honest, client] = [await start(security()), await start(), await start()]
    const fault = faultOf(await client.dial({ address: server.address }))
    expect(fault).toMatchObject({ code, remote: true })
    expect(String(fault.cause)).toContain(message)
    expect((await client.dial(honest)).ok).toBe(true)
  })

  it('is refused by whom it dials, and the next one is welcome', async () => {
    const [client, honest, server] = [await start(security()), await start(), await start()]
    void client.dial({ address: server.address })
    const fault = faultOf(await server.came())
    expect(fault).toMatchObject({ code, remote: true, message: expect.stringContaining(message) })
    await until(() => server.listener.sockets === 0)
    expect((await honest.dial(server)).ok).toBe(true)
  })
})

describe('a client', () => {
  it('that shows no certificate is refused, and told', async () => {
    const server = await start()
    const client = await start(showing({ minVersion: 'TLSv1.3' }))
    void client.dial(server)
    expect(faultOf(await server.came())).toMatchObject({ code: 'ERR_CERTIFICATE', message: expect.stringContaining('no certificate') })
  })

  it('that offers another application protocol is told by an alert', async () => {
    const [near, far] = channelPair()
    const { pem: cert, keyPem: key } = peerCertificate(newIdentity(), Date.now())
    const { duplexOf } = await import('./channel-duplex.ts')
    const { connect: tlsConnect } = await import('node:tls')
    const { stream, start } = duplexOf(near, { onData: () => {}, onClose: () => {}, reason: () => undefined as never })
    start()
    const told = new Promise<NodeJS.ErrnoException>((done) =>
      tlsConnect({ socket: stream, cert, key, rejectUnauthorized: false, ALPNProtocols: ['h2'] }).on('error', done),
    )
    const refused = new Promise<Outcome<Secured>>((done) =>
      tlsSecurity(newIdentity()).secure(far, { role: 'listener', expectedPeer: undefined, muxers: [YAMUX], timeout: 5_000 }, done),
    )
    const flushing = setInterval(() => near.flush(), 0)
    expect((await refused).ok || faultOf(await refused)).toMatchObject({ code: 'ERR_ENCRYPTION_FAILED' })
    expect((await told).code).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
    clearInterval(flushing)
  })

  it('names no server, and gets no session that it could resume', async () => {
    const { pem: cert, keyPem: key } = peerCertificate(newIdentity(), Date.now())
    const named = new Promise<unknown>((done) => {
      const server = createServer((socket) => {
        const tls = new TLSSocket(socket, {
          isServer: true,
          cert,
          key,
          minVersion: 'TLSv1.3',
          ALPNProtocols: ['libp2p'],
          requestCert: true,
          rejectUnauthorized: false,
        })
        tls.once('secure', () => done((tls as unknown as { servername: unknown }).servername))
      }).listen(0, '127.0.0.1', () => {
        open.push({ close: () => server.close() })
        const socket = connect((server.address() as { port: number }).port, '127.0.0.1')
        open.push({ close: () => socket.destroy() })
        secureSocket(socket)
      })
    })
    expect(await named).toBe(false)
  })
})

/** Our client on a bare socket, without multistream. */
const secureSocket = (socket: Socket): void => {
  void import('../socket-channel.ts').then(({ SocketChannel }) => {
    const channel = new SocketChannel(socket, { drop: (each) => each.destroy(), faultOf: (error) => error as never })
    tlsSecurity(newIdentity()).secure(channel, { role: 'dialer', expectedPeer: undefined, muxers: [], timeout: 5_000 }, () => {})
  })
}

describe('a remote that says nothing more', () => {
  const silent = { role: 'listener', expectedPeer: undefined, muxers: [YAMUX], timeout: 50 } as const

  it.each(['dialer', 'listener'] as const)('costs the %s no more than its deadline', async (role) => {
    const [near, far] = channelPair()
    const outcome = await new Promise<Outcome<Secured>>((done) => tlsSecurity(newIdentity()).secure(near, { ...silent, role }, done))
    expect(faultOf(outcome).code).toBe('ERR_TIMEOUT')
    const there = collect(far)
    near.flush()
    expect(there.fault?.code).toBe('ERR_STREAM_RESET')
  })

  it('ends the dial with a code, and the next dial works', async () => {
    const mute = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((done) => mute.once('listening', done))
    const sockets = new Set<Socket>()
    mute.on('connection', (socket) => sockets.add(socket.on('error', () => {})))
    open.push({
      close: () => {
        for (const socket of sockets) socket.destroy()
        mute.close()
      },
    })
    const [client, honest] = [await start(undefined, 100), await start()]
    const { port } = mute.address() as { port: number }
    expect(faultOf(await client.dial({ address: parseMultiaddr(`/ip4/127.0.0.1/tcp/${port}`) })).code).toBe('ERR_DIAL_TIMEOUT')
    expect((await client.dial(honest)).ok).toBe(true)
  })

  it('and one that hangs up within the handshake', async () => {
    const [near, far] = channelPair()
    const outcome = new Promise<Outcome<Secured>>((done) => tlsSecurity(newIdentity()).secure(near, { ...silent, timeout: 5_000 }, done))
    far.end()
    far.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    const flushing = setInterval(() => near.flush(), 0)
    expect(faultOf(await outcome)).toMatchObject({ code: 'ERR_CONNECTION_CLOSED', remote: true })
    clearInterval(flushing)
  })

  it('and one that has hung up before it began', async () => {
    for (const role of ['dialer', 'listener'] as const) {
      const [near, far] = channelPair()
      far.end()
      near.end()
      near.flush()
      const outcome = new Promise<Outcome<Secured>>((done) =>
        tlsSecurity(newIdentity()).secure(near, { ...silent, role, timeout: 5_000 }, done),
      )
      expect(faultOf(await outcome)).toMatchObject({ code: 'ERR_CONNECTION_CLOSED', remote: true })
    }
  })

  it('and one that talks nonsense', async () => {
    for (const role of ['dialer', 'listener'] as const) {
      const [near, far] = channelPair()
      const outcome = new Promise<Outcome<Secured>>((done) =>
        tlsSecurity(newIdentity()).secure(near, { ...silent, role, timeout: 5_000 }, done),
      )
      far.write(prng(7).bytes(2_000))
      const flushing = setInterval(() => near.flush(), 0)
      expect(faultOf(await outcome)).toMatchObject({ code: 'ERR_ENCRYPTION_FAILED', remote: true })
      clearInterval(flushing)
    }
  })
})
