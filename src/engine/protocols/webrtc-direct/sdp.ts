/**
 * What WebRTC-direct reads from and writes into session descriptions (specs: webrtc/webrtc-direct.md). Nothing is signalled:
 * each side writes the other's description itself, from an address or from a STUN request.
 *
 *   v1   the dialer replaces the ufrag and the password of its offer by one value, `libp2p+webrtc+v1/…`, and takes it for the
 *        listener's too. STUN's USERNAME is `value:value`.
 *   v2   the dialer keeps its own and takes `libp2p+webrtc+v2/<its password>` for the listener's (specs pull request 715).
 *        USERNAME is `libp2p+webrtc+v2/<password>:<ufrag>`. Browsers may come to refuse v1's replacement.
 *
 * A description that goes through here has one section, and that is of data channels: `UDP/DTLS/SCTP webrtc-datachannel`.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { concat } from '../../codec/bytes.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { RTC_MAX_MESSAGE } from '../../limits.ts'

export const V1_PREFIX = 'libp2p+webrtc+v1/'
export const V2_PREFIX = 'libp2p+webrtc+v2/'

export interface Credentials {
  readonly ufrag: string
  readonly pwd: string
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** RFC 8839 §5.4: both are made of ice-chars, 4 to 256 and 22 to 256 of them. */
const ICE_UFRAG = /^[A-Za-z0-9+/]{4,256}$/
const ICE_PWD = /^[A-Za-z0-9+/]{22,256}$/

/** The values of `a=<name>:` lines, without their line ends. */
const attributes = (sdp: string, name: string): string[] =>
  sdp
    .split(/\r?\n/)
    .filter((line) => line.startsWith(`a=${name}:`))
    .map((line) => line.slice(name.length + 3).trimEnd())

const foreign = (what: string): TabmeshError => new TabmeshError('ERR_WEBRTC_FAILED', `a session description ${what}`)

/** Refuses a remote's description that asks for more than data channels: a page should decode no stranger's video. */
export const checkDataOnly = (sdp: string): void => {
  const media = sdp.split(/\r?\n/).filter((line) => line.startsWith('m='))
  if (media.length !== 1 || !/^m=application \d+ (UDP|TCP)\/DTLS\/SCTP webrtc-datachannel *$/.test(media[0] as string))
    throw remoteFault('ERR_PROTOCOL', 'the SDP describes something else than data channels')
}

/** The SHA-256 of the certificate, 32 bytes. Throws ERR_WEBRTC_FAILED where there is none, or more than one. */
export const fingerprintOfSdp = (sdp: string): Uint8Array => {
  const printed = new Set(
    attributes(sdp, 'fingerprint')
      .map((line) => line.toLowerCase())
      .filter((line) => line.startsWith('sha-256 ')),
  )
  const [only = ''] = printed
  const fingerprint = parseFingerprint(only.slice('sha-256 '.length))
  if (printed.size !== 1 || fingerprint === undefined) throw foreign(`with ${printed.size} SHA-256 fingerprints`)
  return fingerprint
}

/** The 32 bytes of `AB:CD:…`; undefined where it is something else. */
export const parseFingerprint = (text: string): Uint8Array | undefined => {
  if (!/^([0-9a-f]{2}:){31}[0-9a-f]{2}$/i.test(text)) return undefined
  return Uint8Array.from(text.split(':'), (hex) => Number.parseInt(hex, 16))
}

export const printFingerprint = (fingerprint: Uint8Array): string =>
  Array.from(fingerprint, (byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(':')

/** The ICE credentials. Throws ERR_WEBRTC_FAILED where there are none, or several that differ. */
export const credentialsOfSdp = (sdp: string): Credentials => {
  const [ufrags, pwds] = [new Set(attributes(sdp, 'ice-ufrag')), new Set(attributes(sdp, 'ice-pwd'))]
  const [[ufrag = ''], [pwd = '']] = [[...ufrags], [...pwds]]
  if (ufrags.size !== 1 || pwds.size !== 1 || !ICE_UFRAG.test(ufrag) || !ICE_PWD.test(pwd)) throw foreign('without one pair of credentials')
  return { ufrag, pwd }
}

/**
 * What a listener learns of a dialer from the two halves of STUN's USERNAME, `<serverUfrag>:<clientUfrag>`. Undefined for a version that
 * is not known, and for what is no credential: such requests are dropped, since native ICE may not survive them.
 */
export const credentialsOfUsername = (serverUfrag: string, clientUfrag: string): Credentials | undefined => {
  if (!ICE_PWD.test(serverUfrag) || !ICE_UFRAG.test(clientUfrag)) return undefined
  const pwd = serverUfrag.startsWith(V2_PREFIX) ? serverUfrag.slice(V2_PREFIX.length) : clientUfrag
  if (!serverUfrag.startsWith(V2_PREFIX) && !serverUfrag.startsWith(V1_PREFIX)) return undefined
  return ICE_PWD.test(pwd) ? { ufrag: clientUfrag, pwd } : undefined
}

// ── certificate hashes ───────────────────────────────────────────────────────────────────────────────────────────

/** Multihash: code of sha2-256, length of what follows. */
const SHA2_256 = Uint8Array.of(0x12, 0x20)

export const certhashOf = (fingerprint: Uint8Array): Uint8Array => concat([SHA2_256, fingerprint])

/** The fingerprint in a multihash; undefined where that is not SHA-256. */
export const fingerprintOfCerthash = (certhash: Uint8Array): Uint8Array | undefined =>
  certhash.length === 34 && certhash[0] === SHA2_256[0] && certhash[1] === SHA2_256[1] ? certhash.slice(2) : undefined

// ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────

export interface DirectTarget {
  /** An IP address. */
  readonly host: string
  readonly family: 4 | 6
  readonly port: number
  /** SHA-256 of the certificate that must answer. */
  readonly fingerprint: Uint8Array
}

/** No names: the specification has none, js refuses them, and Chromium 156 does not look up the name in a candidate. */
const FAMILIES: Readonly<Record<string, 4 | 6>> = { ip4: 4, ip6: 6 }

/** Whether it is `/ip4|ip6/<host>/udp/<port>/webrtc-direct`, with certificate hashes and a peer behind it or not. */
export const isDirectAddress = ({ parts }: Multiaddr): boolean => {
  const [host, udp, direct, ...rest] = parts
  if (host === undefined || !Object.hasOwn(FAMILIES, host.name) || udp?.name !== 'udp' || direct?.name !== 'webrtc-direct') return false
  return rest.every(({ name }, at) => name === 'certhash' || (name === 'p2p' && at === rest.length - 1))
}

/** Throws ERR_INVALID_MULTIADDR where the address has no certificate hash, ERR_UNSUPPORTED where it has none of SHA-256. */
export const directTarget = (address: Multiaddr): DirectTarget => {
  const [host, udp] = address.parts
  const certhashes = address.parts.filter(({ name }) => name === 'certhash')
  if (certhashes.length === 0) throw new TabmeshError('ERR_INVALID_MULTIADDR', `${address.text} has no /certhash`)
  // A listener tells one; of several the first counts, as in js.
  for (const { bytes } of certhashes) {
    const fingerprint = bytes && fingerprintOfCerthash(bytes)
    if (fingerprint === undefined) continue
    return { host: host?.value ?? '', family: FAMILIES[host?.name ?? ''] ?? 4, port: Number(udp?.value), fingerprint }
  }
  throw new TabmeshError('ERR_UNSUPPORTED', `no /certhash of ${address.text} is a sha2-256`)
}

// ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

const print = (lines: readonly string[]): string => `${lines.join('\r\n')}\r\n`

/** RFC 8445 §5.1.2.1: of a host candidate, the only one of its kind. */
const PRIORITY = 2_130_706_431

const origin = (host: string, family: 4 | 6): string => `IN IP${family} ${host}`

const dataSection = (port: number, { ufrag, pwd }: Credentials, setup: 'active' | 'passive', fingerprint: Uint8Array): string[] => [
  `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`,
  'a=mid:0',
  `a=ice-ufrag:${ufrag}`,
  `a=ice-pwd:${pwd}`,
  `a=fingerprint:sha-256 ${printFingerprint(fingerprint)}`,
  `a=setup:${setup}`,
  'a=sctp-port:5000',
  `a=max-message-size:${RTC_MAX_MESSAGE}`,
]

/** The answer that the listener at `target` would give; `ufrag` is its ufrag and its password. */
export const directAnswer = ({ host, family, port, fingerprint }: DirectTarget, ufrag: string): string =>
  print([
    'v=0',
    `o=- 0 0 ${origin(host, family)}`,
    's=-',
    `c=${origin(host, family)}`,
    't=0 0',
    // It answers checks and makes none: the dialer is the one to find a path.
    'a=ice-lite',
    ...dataSection(port, { ufrag, pwd: ufrag }, 'passive', fingerprint),
    `a=candidate:1 1 udp ${PRIORITY} ${host} ${port} typ host`,
    'a=end-of-candidates',
  ])

/** The offer that a dialer at `host` (an IP address) must have made; its certificate is not known, Noise binds it. */
export const directOffer = (host: string, port: number, credentials: Credentials): string => {
  const family = host.includes(':') ? 6 : 4
  return print([
    'v=0',
    `o=- 0 0 ${origin(host, family)}`,
    's=-',
    `c=${origin(host, family)}`,
    't=0 0',
    ...dataSection(port, credentials, 'active', new Uint8Array(32)),
    `a=candidate:1 1 udp ${PRIORITY} ${host} ${port} typ host`,
    'a=end-of-candidates',
  ])
}

/** The description with `ufrag` for its ufrag and its password: what v1 does to an offer before it is set. */
export const withCredentials = (sdp: string, ufrag: string): string =>
  sdp.replace(/^(a=ice-(?:ufrag|pwd):)[^\r\n]*/gm, (_line, name: string) => name + ufrag)
