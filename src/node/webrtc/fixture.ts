/** Peers with WebRTC in one process, for the tests of this folder. */

import { createSocket } from 'node:dgram'
import { readdirSync, readlinkSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import type { Connection } from '../../engine/net/connection.ts'
import { Node } from '../../engine/net/node.ts'
import type { Link, Service, Transport } from '../../engine/net/service.ts'
import type { Stream } from '../../engine/net/stream.ts'
import { type Measured, measure } from '../../engine/protocols/perf/client.ts'
import { PERF, perfService } from '../../engine/protocols/perf/service.ts'
import { pingService } from '../../engine/protocols/ping/service.ts'
import { attempt, type Version } from '../../engine/protocols/webrtc-direct/attempt.ts'
import { directPrologue, secureDirect } from '../../engine/protocols/webrtc-direct/handshake.ts'
import { directTarget } from '../../engine/protocols/webrtc-direct/sdp.ts'
import { webrtcDirectTransport } from '../../engine/protocols/webrtc-direct/transport.ts'
import type { Outcome } from '../../engine/wire/conversation.ts'
import { nodeHost } from '../host.ts'
import { newIdentity } from '../identity.ts'
import { dtlsCertificates } from './certificates.ts'
import { listenWebrtcDirect } from './listener.ts'
import { nodeRtc } from './rtc.ts'

/** Sends back what it reads. */
const echo: Service = {
  name: 'echo',
  protocols: { '/echo/1': { maxInbound: 100 } },
  onStream: (stream) =>
    stream.attach({
      onData(bytes) {
        stream.write(bytes.slice())
        stream.release(bytes.length)
      },
      onEnd: () => stream.end(),
      onClose: () => {},
    }),
}

export interface PeerOptions {
  readonly listen?: string
  readonly services?: readonly Service[]
  readonly transports?: readonly Transport[]
  readonly directory?: string
  /** Instead of the listener's own deadlines, milliseconds. */
  readonly deadline?: number
}

/** A node that dials WebRTC-direct, answers ping, perf and echo, and listens where it is told. */
export const makePeer = async ({ listen, services = [], transports = [], directory, deadline }: PeerOptions = {}) => {
  const host = nodeHost(await newIdentity())
  const ping = pingService()
  const node = new Node({
    host,
    services: [ping, perfService(), echo, ...services],
    transports: [webrtcDirectTransport(nodeRtc()), ...transports],
  })
  node.start()
  const listener =
    listen === undefined
      ? undefined
      : await listenWebrtcDirect(parseMultiaddr(listen), {
          net: deadline === undefined ? node : hurried(node, deadline),
          certificates: dtlsCertificates(directory),
        })
  return {
    node,
    host,
    ping,
    listener,
    get address(): Multiaddr {
      if (listener === undefined) throw new Error('it does not listen')
      return encapsulate(listener.address, `/p2p/${node.self}`)
    },
    async stop() {
      await new Promise<void>((done) => node.stop(done))
      await listener?.close()
    },
  }
}

/** `node` as a listener sees it, with a host that calls early. */
const hurried = (node: Node, deadline: number) => ({
  host: { ...node.host, after: (ms: number, wake: () => void) => node.host.after(Math.min(ms, deadline), wake) },
  authenticate: node.authenticate.bind(node),
  accept: node.accept.bind(node),
})

export type TestPeer = Awaited<ReturnType<typeof makePeer>>

export const promised = <T>(start: (done: (outcome: Outcome<T>) => void) => unknown): Promise<T> =>
  new Promise((resolve, reject) => start((outcome) => (outcome.ok ? resolve(outcome.value) : reject(outcome.fault))))

export const dial = (from: TestPeer, address: Multiaddr, timeout?: number): Promise<Connection> =>
  promised((done) => from.node.dial({ addresses: [address] }, done, timeout === undefined ? {} : { timeout }))

export const ping = (from: TestPeer, connection: Connection): Promise<number> => promised((done) => from.ping.ping(connection, done))

/** Sends `bytes` to `/echo/1` and resolves with what comes back. */
export const roundTrip = (connection: Connection, bytes: Uint8Array, protocol = '/echo/1'): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const stream: Stream = connection.openStream([protocol])
    const back: Uint8Array[] = []
    let sent = 0
    const pump = (): void => {
      while (sent < bytes.length && stream.credit > 0) {
        stream.write(bytes.slice(sent, sent + 16_000))
        sent += 16_000
      }
      if (sent >= bytes.length) stream.end()
    }
    stream.attach({
      onData: (piece) => {
        back.push(piece)
        stream.release(piece.length)
      },
      onDrain: pump,
      onEnd: () => resolve(Buffer.concat(back)),
      onClose: (fault) => reject(fault ?? new Error('closed before its end')),
    })
    pump()
  })

/** Dials one version of WebRTC-direct and no other, as far as a proven link. */
export const dialVersion = (from: TestPeer, address: Multiaddr, version: Version): Promise<Extract<Link, { t: 'muxed' }>> =>
  new Promise((resolve, reject) => {
    const target = directTarget(address)
    attempt(nodeRtc(), from.host, target, version, {
      onReached: () => {},
      onFailed: reject,
      onConnected({ peer, handshake, fingerprint }) {
        const prologue = directPrologue(fingerprint, target.fingerprint)
        secureDirect(from.node, peer, handshake, { role: 'dialer', prologue, remoteAddr: address }, (outcome) => {
          if (outcome.ok && outcome.value.t === 'muxed') resolve(outcome.value)
          else reject(outcome.ok ? new Error('no native multiplexer') : outcome.fault)
        })
      },
    })
  })

export const perf = (connection: Connection, host: TestPeer['host'], upload: number, download: number): Promise<Measured> =>
  promised((done) => measure(connection.openStream([PERF]), { upload, download }, host, done))

/** Resolves when `holds`, rejects after `ms`. */
export const until = async (holds: () => boolean, ms = 10_000): Promise<void> => {
  const end = performance.now() + ms
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${holds}`)
    await new Promise((next) => setTimeout(next, 5))
  }
}

export interface Held {
  /** Bytes of the JavaScript heap. */
  readonly heap: number
  /** Bytes of the whole process. */
  readonly rss: number
  readonly sockets: number
  readonly threads: number
}

/** What the process holds, garbage collected. */
export const held = async (): Promise<Held> => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 5; round++) {
    collect()
    await new Promise((next) => setTimeout(next, 50))
  }
  const { heapUsed, rss } = process.memoryUsage()
  const sockets = readdirSync('/proc/self/fd').filter((file) => linkOf(file).startsWith('socket:')).length
  return { heap: heapUsed, rss, sockets, threads: readdirSync('/proc/self/task').length }
}

const linkOf = (file: string): string => {
  try {
    return readlinkSync(`/proc/self/fd/${file}`)
  } catch {
    return ''
  }
}

/** A UDP socket on loopback. */
export const udp = async (): Promise<ReturnType<typeof createSocket>> => {
  const socket = createSocket('udp4')
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  return socket
}
