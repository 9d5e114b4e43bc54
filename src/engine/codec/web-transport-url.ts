/**
 * Which multiaddrs WebTransport can dial, and the URL and certificates of each
 * (https://github.com/libp2p/specs/blob/master/webtransport/README.md#addressing):
 *
 *   /(ip4|ip6|dns|dns4|dns6)/H/udp/P/quic-v1[/sni/S]/webtransport/certhash/C…[/p2p/R]
 *
 * The URL names H: the certificate is known by its hash, so its name matters to nobody, and H is where the remote said it is.
 * Without a certhash the certificate would have to be an authority's; go and js dial no such address, and nobody offers one.
 *
 * Bounds: as many certhashes as a multiaddr holds (MULTIADDR_MAX_BYTES).
 */

import type { Multiaddr } from './multiaddr.ts'

export interface WebTransportTarget {
  readonly url: string
  /** Multihashes of the certificates that may be shown, at least one. */
  readonly certhashes: readonly Uint8Array[]
}

const hosts: readonly string[] = ['ip4', 'ip6', 'dns', 'dns4', 'dns6']

/** "WebTransport HTTP endpoint": where it is, and which handshake follows. */
const ENDPOINT = '/.well-known/libp2p-webtransport?type=noise'

/** Undefined where the address is not WebTransport's own: another transport, or a circuit through it. */
export const webTransportTarget = ({ parts }: Multiaddr): WebTransportTarget | undefined => {
  const [host, udp, quic] = parts
  if (host?.value === undefined || !hosts.includes(host.name)) return undefined
  if (udp?.name !== 'udp' || Number(udp.value) === 0 || quic?.name !== 'quic-v1') return undefined
  let at = parts[3]?.name === 'sni' ? 4 : 3
  if (parts[at++]?.name !== 'webtransport') return undefined
  const certhashes: Uint8Array[] = []
  for (let part = parts[at]; part?.name === 'certhash' && part.bytes !== undefined; part = parts[++at]) certhashes.push(part.bytes)
  if (parts[at]?.name === 'p2p') at += 1
  if (certhashes.length === 0 || at < parts.length) return undefined
  // A name is text to a multiaddr; in a URL some characters would begin something else.
  if (host.name !== 'ip6' && /[/?#@:[\]%\\]/.test(host.value)) return undefined
  const name = host.name === 'ip6' ? `[${host.value}]` : host.value
  return { url: `https://${name}:${udp.value}${ENDPOINT}`, certhashes }
}

/** The code of SHA-256 and the length of its digest, as they begin a multihash (multicodec's table). */
const SHA2_256 = 0x12
const DIGEST = 32

/** The digest of a SHA-256 multihash, undefined for any other: browsers check no other (W3C WebTransport, `serverCertificateHashes`). */
export const sha256Digest = (multihash: Uint8Array): Uint8Array | undefined =>
  multihash[0] === SHA2_256 && multihash[1] === DIGEST && multihash.length === 2 + DIGEST ? multihash.subarray(2) : undefined
