/**
 * What a Node peer listens on: one table, from the shape of an address to who listens on it.
 *
 *   /p2p-circuit and /webrtc are not here: nothing is bound for them, the relay's client announces them (start.ts).
 *
 * Bounds: `maxSockets` for each port, beside those of each listener.
 */

import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import type { Link, Net } from '../engine/net/service.ts'
import { TabmeshError } from '../errors.ts'
import type { EngineOptions } from '../port/messages.ts'
import { reachableAddresses } from './interfaces.ts'
import type { QuicTransport } from './quic/transport.ts'
import { listenTcp } from './tcp.ts'
import type { DtlsCertificates } from './webrtc/certificates.ts'
import { listenWebrtcDirect } from './webrtc/listener.ts'
import { listenWs, type ServerCertificate } from './ws-listener.ts'

export interface Listener {
  /** Where it listens, with the port that the system chose. */
  readonly address: Multiaddr
  close(): Promise<void>
}

/** What listeners need of the peer they listen for. */
export interface ListenContext {
  readonly net: Net
  readonly enabled: EngineOptions['transports']
  /** Whether only what stays within a private network may be listened on. */
  readonly confined: boolean
  readonly tls: ServerCertificate | undefined
  /** Sockets on one port at a time. */
  readonly maxSockets: number
  readonly quic: QuicTransport
  readonly certificates: DtlsCertificates
  /** A listener has another address from now on. */
  onAddress(): void
  onError(error: TabmeshError): void
}

interface Shape {
  /** What the user has to have left on. */
  readonly transport: keyof EngineOptions['transports']
  /** Whether it takes byte pipes: the cipher of a private network can go around nothing else. */
  readonly pipe: boolean
  listen(address: Multiaddr, context: ListenContext): Promise<Listener> | Listener
}

const ws: Shape = {
  transport: 'webSocket',
  pipe: true,
  listen: (address, { net, tls, maxSockets }) => listenWs(address, { accept: accepting(net), maxSockets, ...(tls && { tls }) }),
}

/** By what stands behind the host, without the numbers and a path at the end. */
const shapes: Readonly<Record<string, Shape>> = {
  '/tcp': {
    transport: 'tcp',
    pipe: true,
    listen: (address, { net, maxSockets }) => listenTcp(address, { accept: accepting(net), maxSockets }),
  },
  '/tcp/ws': ws,
  '/tcp/tls/ws': ws,
  '/tcp/wss': ws,
  '/udp/quic-v1': {
    transport: 'quic',
    pipe: false,
    listen: (address, { net, quic }) => quic.listen(address, net),
  },
  '/udp/webrtc-direct': {
    transport: 'webRTCDirect',
    pipe: false,
    listen: listenWebrtcDirect,
  },
}

const accepting =
  (net: Net) =>
  (link: Link): void =>
    net.accept(link)

/** Listens on all of `addresses`, or on none. Throws ERR_UNSUPPORTED for one that nobody here can serve, and what the listeners throw. */
export const listenOn = async (addresses: readonly Multiaddr[], context: ListenContext): Promise<Listener[]> => {
  // First what can be told without binding anything.
  const planned = addresses.map((address) => ({ address, shape: shapeOf(address, context) }))
  const listeners: Listener[] = []
  try {
    for (const { address, shape } of planned) listeners.push(await shape.listen(address, context))
  } catch (error) {
    await closeAll(listeners)
    throw error
  }
  return listeners
}

export const closeAll = async (listeners: readonly Listener[]): Promise<void> => {
  await Promise.all(listeners.map((listener) => listener.close()))
}

/** What others can dial, the interfaces of this machine in place of `0.0.0.0` and `::`. */
export const addressesOf = (listeners: readonly Listener[]): Multiaddr[] =>
  listeners.flatMap((listener) => reachableAddresses(listener.address))

const shapeOf = (address: Multiaddr, { enabled, confined }: ListenContext): Shape => {
  const layers = address.parts.slice(1).map(({ name }) => (name === 'http-path' ? '' : `/${name}`))
  const name = layers.join('')
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined
  if (shape === undefined) {
    const known = Object.keys(shapes).map((each) => `/ip4/…${each.replace(/^\/(tcp|udp)/, '/$1/P')}`)
    throw new TabmeshError('ERR_UNSUPPORTED', `can't listen on ${address.text}, only on ${known.join(', ')}, /p2p-circuit and /webrtc`)
  }
  if (confined && !shape.pipe) throw new TabmeshError('ERR_PRIVATE_NETWORK', `${address.text} leaves the private network`)
  if (!enabled[shape.transport]) {
    throw new TabmeshError('ERR_UNSUPPORTED', `can't listen on ${address.text} with \`transports.${shape.transport}\` off`)
  }
  return shape
}
