/**
 * Listening for WebRTC-direct: https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md
 *
 *   dialler proven (front.ts) ─▶ peer connection: its offer is made up ─▶ connected ─▶ Noise, we begin ─▶ link, given to `net`
 *        └─ too many under way: dropped        └───────── DIRECT_SETUP_TIMEOUT, failed ──┴─▶ closed; nobody is told
 *
 * Versions 1 and 2 are answered, any other is dropped (sdp.ts). Whoever dials chooses our ufrag and password; DTLS takes any
 * certificate of theirs, and the prologue of Noise binds both.
 *
 *   open ── stopAccepting() ──▶ draining ── close() ──▶ closed
 *
 * Bounds: DIRECT_MAX_PENDING handshakes under way, DIRECT_MAX_PENDING_PER_IP of one IP address (an IPv6 network of 64 bits counts as
 * one); front.ts. Connections are bounded by `net`.
 */

import { parseIp6 } from '../../engine/codec/ip.ts'
import { type Multiaddr, parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import { toBase64Url } from '../../engine/codec/multibase.ts'
import type { Cancel } from '../../engine/host.ts'
import { DIRECT_MAX_PENDING, DIRECT_MAX_PENDING_PER_IP, DIRECT_SETUP_TIMEOUT } from '../../engine/limits.ts'
import type { Net } from '../../engine/net/service.ts'
import { directPrologue, secureDirect } from '../../engine/protocols/webrtc-direct/handshake.ts'
import { certhashOf, directOffer } from '../../engine/protocols/webrtc-direct/sdp.ts'
import type { Channel } from '../../engine/wire/channel.ts'
import { TabmeshError } from '../../errors.ts'
import { loadWebrtc } from './binding.ts'
import type { DtlsCertificate, DtlsCertificates } from './certificates.ts'
import { Front, LOOPBACK } from './front.ts'
import { NativePeer } from './peer.ts'
import type { Dialler } from './route.ts'

/** How often it is looked whether the certificate has to be renewed. */
const DAY = 86_400_000

export interface WebrtcDirectListenOptions {
  readonly net: Pick<Net, 'host' | 'authenticate' | 'accept'>
  readonly certificates: DtlsCertificates
  /** The certificate was renewed: `address` is another one now. */
  onAddress?(address: Multiaddr): void
  /** The certificate could not be renewed; the one there is goes on. */
  onError?(error: TabmeshError): void
}

export interface WebrtcDirectListener {
  /** Where it listens, with the port that the system chose for /udp/0 and the hash of its certificate. */
  readonly address: Multiaddr
  /** Connections, those under way included. */
  readonly connections: number
  stopAccepting(): void
  /** Closes every connection, and resolves when the port is free. */
  close(): Promise<void>
}

/**
 * Listens on /ip4 or /ip6 /udp/P/webrtc-direct. Throws ERR_LISTEN, ERR_INVALID_ARGUMENT, ERR_STORE, and ERR_UNSUPPORTED where
 * `node-datachannel` is not installed.
 */
export const listenWebrtcDirect = async (address: Multiaddr, options: WebrtcDirectListenOptions): Promise<WebrtcDirectListener> => {
  const { host, port, family } = readAddress(address)
  const binding = loadWebrtc()
  const { net, certificates } = options
  let certificate = await certificates.current(net.host.date())
  const peers = new Set<NativePeer>()
  /** Handshakes under way, by address. */
  const pending = new Map<string, number>()
  let allPending = 0

  const accept = (dialler: Dialler): void => {
    const source = sourceOf(dialler.host)
    const same = pending.get(source) ?? 0
    if (allPending >= DIRECT_MAX_PENDING || same >= DIRECT_MAX_PENDING_PER_IP) return
    allPending += 1
    pending.set(source, same + 1)
    answer(dialler, certificate, () => {
      allPending -= 1
      const left = (pending.get(source) ?? 1) - 1
      if (left === 0) pending.delete(source)
      else pending.set(source, left)
    })
  }

  /** `settled` is called once, when the handshake is over. */
  const answer = (dialler: Dialler, own: DtlsCertificate, settled: () => void): void => {
    const began = net.host.now()
    const route = front.open(dialler)
    let handshaking = true
    let giveUp: Cancel = () => {}
    const over = (): void => {
      if (!handshaking) return
      handshaking = false
      timer()
      settled()
    }
    const fail = (): void => {
      over()
      giveUp()
      peer.close()
    }
    const timer = net.host.after(DIRECT_SETUP_TIMEOUT, fail)
    const secureIt = (): void => {
      const theirs = peer.remoteFingerprint()
      if (theirs === undefined || handshake === undefined) return fail()
      giveUp = secureDirect(
        net,
        peer,
        handshake,
        {
          role: 'listener',
          prologue: directPrologue(theirs, own.fingerprint),
          remoteAddr: remoteAddress(dialler),
          timeout: Math.max(1, DIRECT_SETUP_TIMEOUT - (net.host.now() - began)),
        },
        (outcome) => {
          over()
          if (outcome.ok) net.accept(outcome.value)
        },
      )
    }
    const peer = new NativePeer(
      binding,
      { iceServers: [], iceTransportPolicy: 'all' },
      {
        onDescription: () => {},
        onCandidate: () => {},
        onRefused: fail,
        onReached: () => route.reached(),
        onState(state) {
          if (!handshaking) return
          if (state === 'connected') secureIt()
          else if (state !== 'disconnected') fail()
        },
      },
      {
        onClosed() {
          peers.delete(peer)
          route.end()
        },
        onFlood: () => route.mute(),
      },
    )
    peers.add(peer)
    let handshake: Channel | undefined
    try {
      handshake = peer.answerDirectly({
        offer: directOffer(LOOPBACK, front.innerPort, dialler.credentials),
        ufrag: dialler.ufrag,
        bindAddress: LOOPBACK,
        certificate: own.pem,
        key: own.keyPem,
      })
    } catch {
      fail()
    }
  }

  const front = await bind(address, host, port, family, accept)
  const bare = address.text.replace(/\/udp\/\d+/, `/udp/${front.port}`)
  const named = (): Multiaddr => parseMultiaddr(`${bare}/certhash/${toBase64Url(certhashOf(certificate.fingerprint))}`)
  let current = named()

  const renew = (): void => {
    timer = net.host.after(DAY, renew)
    certificates.current(net.host.date()).then(
      (renewed) => {
        if (renewed === certificate || closed !== undefined) return
        certificate = renewed
        const changed = named()
        if (changed.text === current.text) return
        current = changed
        options.onAddress?.(changed)
      },
      (error: TabmeshError) => options.onError?.(error),
    )
  }
  let timer = net.host.after(DAY, renew)

  let closed: Promise<void> | undefined
  return {
    get address() {
      return current
    },
    get connections() {
      return peers.size
    },
    stopAccepting: () => front.stopAccepting(),
    close() {
      closed ??= (async () => {
        timer()
        front.stopAccepting()
        for (const peer of [...peers]) peer.close()
        await front.close()
      })()
      return closed
    },
  }
}

const readAddress = (address: Multiaddr): { host: string; port: number; family: 4 | 6 } => {
  const [host, udp, direct, ...rest] = address.parts
  const ip = host?.name === 'ip4' || host?.name === 'ip6'
  if (!ip || udp?.name !== 'udp' || direct?.name !== 'webrtc-direct' || rest.length > 0) {
    throw new TabmeshError(
      'ERR_INVALID_ARGUMENT',
      `can't listen on ${address.text}, only on /ip4/…/udp/…/webrtc-direct and /ip6/…/udp/…/webrtc-direct`,
    )
  }
  return { host: host.value as string, port: Number(udp.value), family: host.name === 'ip4' ? 4 : 6 }
}

const bind = async (address: Multiaddr, host: string, port: number, family: 4 | 6, accept: (dialler: Dialler) => void): Promise<Front> => {
  try {
    return await Front.bind(host, port, family, accept)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const what = code === 'EADDRINUSE' ? `port ${port} is in use` : (code ?? message)
    throw new TabmeshError('ERR_LISTEN', `can't listen on ${address.text}: ${what}`, { cause: error })
  }
}

const remoteAddress = ({ host, port }: Dialler): Multiaddr => {
  const ip = host.replace(/%.*$/, '')
  return parseMultiaddr(`/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/udp/${port}/webrtc-direct`)
}

/** What is counted as one source. */
const sourceOf = (host: string): string => parseIp6(host.replace(/%.*$/, ''))?.subarray(0, 8).join('.') ?? host
