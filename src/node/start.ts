/**
 * Starts the engine in this process: who it is, what it speaks, what it dials with and what it listens on.
 *
 *   identity ─▶ host ─▶ node (services, transports, securities, multiplexers) ─▶ listeners ─▶ started: addresses announced
 */

import { join } from 'node:path'
import { decodePrivateKey, type PrivateKey } from '../engine/codec/keys.ts'
import { type Multiaddr, parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { relayUrlToMultiaddr } from '../engine/codec/relay-url.ts'
import { CONNECTIONS_MAX, CONNECTIONS_MAX_PENDING_INBOUND } from '../engine/limits.ts'
import { Node } from '../engine/net/node.ts'
import { scopeOf } from '../engine/net/rank.ts'
import type { Service, Transport } from '../engine/net/service.ts'
import { NOISE, yamuxKind } from '../engine/net/upgrade.ts'
import { dcutrService } from '../engine/protocols/dcutr/service.ts'
import { identifyService } from '../engine/protocols/identify/service.ts'
import { kadService } from '../engine/protocols/kad/service.ts'
import { pingService } from '../engine/protocols/ping/service.ts'
import { relayClient } from '../engine/protocols/relay/service.ts'
import { stunClient } from '../engine/protocols/stun/service.ts'
import { webrtcDirectTransport } from '../engine/protocols/webrtc-direct/transport.ts'
import { SIGNALING } from '../engine/protocols/webrtc-signaling/messages.ts'
import type { Rtc } from '../engine/protocols/webrtc-signaling/rtc.ts'
import { webrtcService } from '../engine/protocols/webrtc-signaling/service.ts'
import { mplexKind } from '../engine/wire/mplex/muxer.ts'
import { parseSwarmKey, pnetShield } from '../engine/wire/pnet.ts'
import { TabmeshError } from '../errors.ts'
import { kadOptions } from '../port/dht-port.ts'
import type { StartEngine } from '../port/engine-port.ts'
import { httpRouters } from '../port/http-routers.ts'
import { keepRecords } from '../port/kad-shelf.ts'
import type { EngineOptions } from '../port/messages.ts'
import { keepPeers } from '../port/peer-shelf.ts'
import { routingOf } from '../port/routing.ts'
import type { TransportOptions } from '../types.ts'
import { type AutonatOptions, nodeAutonat } from './autonat.ts'
import { systemTxt } from './dns.ts'
import { nodePuncher } from './hole.ts'
import { nodeHost } from './host.ts'
import { loadIdentity, newIdentity } from './identity.ts'
import { isInstalled, lazyRtc } from './lazy-rtc.ts'
import { addressesOf, closeAll, type Listener, listenOn } from './listen.ts'
import { localPort } from './local-port.ts'
import { recordsInFile } from './log-file.ts'

import { peersInFile } from './peer-file.ts'
import { mapPorts } from './port-mapping.ts'
import { quicTransport } from './quic/transport.ts'
import { tcpTransport } from './tcp.ts'
import { TLS, tlsSecurity } from './tls/security.ts'
import { dtlsCertificates } from './webrtc/certificates.ts'
import { readConfiguration } from './webrtc/configuration.ts'
import { nodeRtc } from './webrtc/rtc.ts'
import { wsTransport } from './ws-dialer.ts'

export interface TlsOptions {
  /** The certificate that `/tls/ws` listeners show, with those that lead to its authority behind it: PEM. */
  readonly cert?: string | Uint8Array
  /** Its private key: PEM. */
  readonly key?: string | Uint8Array
  /** Authorities that `wss` dials trust beside those that Node comes with: PEM. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
}

/** What only Node has, and what does not cross to an engine as it is. */
export interface NodeExtras {
  readonly tls: TlsOptions | undefined
  readonly rtcConfiguration: RTCConfiguration | undefined
  /** The transports that the user named: without one of these there is no peer; without another there is, but for that. */
  readonly wanted: TransportOptions
  readonly autonat: boolean | AutonatOptions | undefined
  /** Whether the network's gateway is asked to let others in. */
  readonly portMapping: boolean
}

/** Announced by the relay's client, behind each reservation; nothing is bound for them. */
const CIRCUIT = '/p2p-circuit'
const WEBRTC = '/webrtc'

export const starter =
  ({ tls, rtcConfiguration, wanted, autonat, portMapping }: NodeExtras): StartEngine =>
  async (options, _rtc, onEvent, gater, namespaces) => {
    const { connections } = options
    // First what may be refused, so that nothing is held when it is.
    const networkKey = options.preSharedKey === undefined ? undefined : parseSwarmKey(options.preSharedKey)
    const confined = networkKey !== undefined
    const stun = stunClient()
    const rtc = confined ? undefined : findRtc(options, wanted, stun.servers, rtcConfiguration)
    const enabled = enabledOf(options.transports, confined, rtc !== undefined)
    const relays = options.relays.map(relayUrlToMultiaddr)
    const bootstrap = options.bootstrap.map(parseMultiaddr)
    const routers = options.delegatedRouting.length > 0 ? httpRouters(options.delegatedRouting) : undefined
    const bound = boundOf(options.listen ?? [], enabled, confined)
    const propose = proposalsOf(options.encryption)
    const ca = tls?.ca === undefined ? {} : { ca: typeof tls.ca === 'string' || tls.ca instanceof Uint8Array ? [tls.ca] : tls.ca }

    const identity = await identityOf(options)
    const ping = pingService()
    const services: Service[] = [identifyService(), ping]
    const transports: Transport[] = []
    const quic = quicTransport(identity)
    // What relays see of it is what others knock at.
    const port = enabled.circuitRelay && enabled.tcp ? localPort() : undefined
    if (enabled.tcp) transports.push(tcpTransport({ port }))
    if (enabled.webSocket) transports.push(wsTransport({ ...ca, port }))
    if (enabled.quic) transports.push(quic)
    if (rtc !== undefined && enabled.webRTCDirect) transports.push(webrtcDirectTransport(rtc))
    if (rtc !== undefined && enabled.webRTC) {
      const webrtc = webrtcService({ rtc, ping: ping.ping })
      services.push(webrtc, stun)
      transports.push(webrtc)
    }
    if (enabled.circuitRelay) {
      const relay = relayClient({ relays, wanted: options.reservations, webrtc: options.listen?.includes(WEBRTC) === true })
      services.push(relay)
      transports.push(relay)
      if (enabled.tcp || enabled.quic) {
        const puncher = nodePuncher({ port, quic: enabled.quic ? quic : undefined })
        services.push(dcutrService({ puncher, scopeOf, ping: ping.ping, after: SIGNALING }))
      }
    }
    const muxers = options.mplex === false ? [yamuxKind] : [yamuxKind, mplexKind(TabmeshError)]
    const shield = networkKey && pnetShield(networkKey)
    const nat = nodeAutonat(autonat, {
      listens: bound.length > 0,
      // None of those above: a dial back must not come from where our own dials do.
      transports: [
        ...(enabled.tcp ? [tcpTransport()] : []),
        ...(enabled.webSocket ? [wsTransport(ca)] : []),
        ...(rtc !== undefined && enabled.webRTCDirect ? [webrtcDirectTransport(rtc)] : []),
      ],
      quic: enabled.quic,
      muxers,
      shield,
      gater,
    })
    services.push(...nat.services)
    const fail = (error: TabmeshError): void => onEvent({ t: 'error', error })
    const folder = options.identity === 'persistent' ? options.name : undefined
    const records = options.dht && folder !== undefined ? keepRecords(recordsInFile(join(folder, 'dht')), fail) : undefined
    const dht =
      options.dht &&
      kadService({
        ...(records && { shelves: records.shelves }),
        ...kadOptions(options.dht, { near: [...relays, ...bound], bootstrap, transports }),
        namespaces,
        addressesOf: (peer) => node.peerStore.get(peer)?.addresses ?? [],
        serve: (server, on) => (on ? node.mount(server) : node.unmount(server)),
      })
    if (dht !== undefined) services.push(dht)
    if (routers !== undefined) services.push(routers)
    const node: Node = new Node({
      host: nodeHost(identity),
      services,
      transports,
      securities: [tlsSecurity(identity)],
      propose,
      muxers,
      ...(shield && { shield }),
      lookUpTxt: systemTxt(),
      limits: connections,
      gater,
      onEvent(event) {
        if (event.t === 'reachability:change') dht?.reachable(event.reachability === 'public')
        onEvent(event)
      },
    })
    const peers = folder === undefined ? undefined : await keepPeers(peersInFile(folder), node.peerStore, node.host.date, fail)
    let listeners: readonly Listener[] = []
    const mapping = portMapping
      ? mapPorts({
          listening: () => addressesOf(listeners),
          announce: (addresses) => nat.announce('port-mapping', addresses),
          fail,
        })
      : undefined
    const announce = (): void => {
      nat.listening(listeners)
      mapping?.update()
    }
    listeners = await listenOn(bound, {
      net: node,
      enabled,
      confined,
      tls: tls?.cert === undefined || tls.key === undefined ? undefined : { cert: tls.cert, key: tls.key },
      // Those there are, those being secured, and none that the engine would only turn away.
      maxSockets: (connections.max ?? CONNECTIONS_MAX) + (connections.maxIncomingPending ?? CONNECTIONS_MAX_PENDING_INBOUND),
      quic,
      certificates: dtlsCertificates(folder),
      onAddress: announce,
      onError: fail,
    })
    return {
      node,
      ping: ping.ping,
      routing: routingOf({ kad: dht, routers, host: node.host, namespaces }),
      warnings: peers?.warnings ?? [],
      started() {
        nat.started(node)
        announce()
        peers?.started(node)
        // A server has at once what it had.
        return dht === undefined ? undefined : records?.open(dht)
      },
      async close() {
        nat.close()
        quic.close()
        await Promise.all([closeAll(listeners), mapping?.close()])
        await Promise.all([peers?.close(), records?.close()])
      },
    }
  }

type Enabled = EngineOptions['transports']

/**
 * Peer connections, where they are enabled and node-datachannel is installed. Throws ERR_UNSUPPORTED where it is not and was asked for,
 * ERR_INVALID_ARGUMENT for a configuration that can't be read.
 */
const findRtc = (
  { transports, listen }: EngineOptions,
  wanted: TransportOptions,
  stun: () => readonly string[],
  configuration: RTCConfiguration = {},
): Rtc | undefined => {
  if (!transports.webRTC && !transports.webRTCDirect) return undefined
  readConfiguration(configuration)
  if (wanted.webRTC || wanted.webRTCDirect || listen?.some((each) => each.includes('/webrtc'))) return nodeRtc(configuration, stun)
  return isInstalled('node-datachannel') ? lazyRtc(() => nodeRtc(configuration, stun)) : undefined
}

/** In a private network what has no pipe for its cipher is off, and WebRTC is where there is nothing to make it with. */
const enabledOf = (enabled: Enabled, confined: boolean, hasRtc: boolean): Enabled => ({
  ...enabled,
  quic: enabled.quic && !confined,
  webRTC: enabled.webRTC && hasRtc,
  webRTCDirect: enabled.webRTCDirect && hasRtc,
})

/** The addresses that something is bound for. Throws ERR_INVALID_MULTIADDR, and ERR_UNSUPPORTED for one that is off. */
const boundOf = (listen: readonly string[], enabled: Enabled, confined: boolean): Multiaddr[] => {
  if (confined && listen.includes(WEBRTC)) throw new TabmeshError('ERR_PRIVATE_NETWORK', `${WEBRTC} leaves the private network`)
  const off = listen.find((each) => (each === WEBRTC && !enabled.webRTC) || (each === CIRCUIT && !enabled.circuitRelay))
  if (off !== undefined) throw new TabmeshError('ERR_UNSUPPORTED', `can't listen on ${off} with its transport off`)
  return listen.filter((each) => each !== CIRCUIT && each !== WEBRTC).map(parseMultiaddr)
}

const securities: Readonly<Record<string, string>> = { noise: NOISE, tls: TLS }

/** What dials propose, as multistream names it. Throws ERR_INVALID_ARGUMENT. */
const proposalsOf = (encryption: EngineOptions['encryption']): string[] => {
  if (encryption.length === 0)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', "`encryption` is empty: 'noise', 'tls' or both, the best first")
  return encryption.map((name) => {
    const protocol = Object.hasOwn(securities, name) ? securities[name] : undefined
    if (protocol === undefined)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`encryption\` knows 'noise' and 'tls', not ${JSON.stringify(name)}`)
    return protocol
  })
}

const identityOf = async ({ identity, name }: EngineOptions): Promise<PrivateKey> => {
  if (identity === 'ephemeral') return newIdentity()
  return identity === 'persistent' ? loadIdentity(name) : decodePrivateKey(identity.privateKey)
}
