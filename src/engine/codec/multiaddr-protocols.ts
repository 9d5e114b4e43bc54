/**
 * The protocols of multiaddrs: codes, names, and how each value goes between text and bytes.
 * https://github.com/multiformats/multiaddr/blob/master/protocols.csv
 *
 * What is listed is what browsers and servers of libp2p exchange; any other code is kept as it came (multiaddr.ts).
 */

import { fromUtf8, utf8 } from './bytes.ts'
import { formatIp4, formatIp6, parseIp4, parseIp6 } from './ip.ts'
import { fromMultibase, toBase64Url } from './multibase.ts'
import { isBase58Id, parsePeerIdBytes, peerIdFromBytes } from './peer-id.ts'
import { readVarint } from './varint.ts'

/** A kind of value. `parse` and `print` answer undefined, or throw, where the value is not valid. */
export interface ValueKind {
  /** Bytes of the value; undefined where a length stands before it. */
  readonly size: number | undefined
  /** In the text of an address it is percent-encoded, as one segment of a URI path. */
  readonly escaped?: boolean
  parse(text: string): Uint8Array | undefined
  /** Of text that parses: whether it is what `print` would give, where that is known without printing. */
  isCanonical?(text: string): boolean
  print(bytes: Uint8Array): string | undefined
}

export interface Protocol {
  readonly code: number
  readonly name: string
  /** Undefined where the protocol has no value. */
  readonly kind: ValueKind | undefined
}

const decimal = (text: string, max: bigint): bigint | undefined => {
  if (!/^\d{1,20}$/.test(text)) return undefined
  const value = BigInt(text)
  return value <= max ? value : undefined
}

const bigEndian = (size: number): ValueKind => ({
  size,
  parse(text) {
    let rest = decimal(text, (1n << BigInt(8 * size)) - 1n)
    if (rest === undefined) return undefined
    const bytes = new Uint8Array(size)
    for (let i = size - 1; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn)
    return bytes
  },
  print: (bytes) => String(bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)),
})

const port: ValueKind = {
  size: 2,
  parse(text) {
    const number = /^\d{1,5}$/.test(text) ? Number(text) : 65_536
    return number > 65_535 ? undefined : Uint8Array.of(number >> 8, number & 0xff)
  },
  print: ([high = 0, low = 0]) => String((high << 8) | low),
}

const ip4: ValueKind = { size: 4, parse: parseIp4, print: formatIp4 }
const ip6: ValueKind = { size: 16, parse: parseIp6, print: formatIp6 }

// A slash would print as more parts than there are; blanks and controls belong in no name and hide things in logs.
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is there to refuse them
const isName = (text: string): boolean => !/[\u0000-\u0020/\u007f]/.test(text)

const name: ValueKind = {
  size: undefined,
  parse: (text) => (isName(text) ? utf8(text) : undefined),
  print(bytes) {
    const text = fromUtf8(bytes)
    return isName(text) ? text : undefined
  },
}

/** multiaddr: protocols/httppath.md, protocols/unix.md. */
const path: ValueKind = { size: undefined, escaped: true, parse: utf8, print: (bytes) => fromUtf8(bytes) }

const peerId: ValueKind = {
  size: undefined,
  parse: parsePeerIdBytes,
  isCanonical: isBase58Id,
  print: peerIdFromBytes,
}

/** Of any hash function: which ones are trusted is for the transport to say. */
const isMultihash = (bytes: Uint8Array): boolean => {
  const code = readVarint(bytes)
  const size = code && readVarint(bytes, code.next)
  return size !== undefined && size.value === bytes.length - size.next
}

const certhash: ValueKind = {
  size: undefined,
  parse(text) {
    const bytes = fromMultibase(text)
    return bytes !== undefined && isMultihash(bytes) ? bytes : undefined
  },
  print: (bytes) => (isMultihash(bytes) ? toBase64Url(bytes) : undefined),
}

const rows: readonly (readonly [code: number, name: string, kind?: ValueKind])[] = [
  [4, 'ip4', ip4],
  [6, 'tcp', port],
  [41, 'ip6', ip6],
  [42, 'ip6zone', name],
  [43, 'ipcidr', bigEndian(1)],
  [53, 'dns', name],
  [54, 'dns4', name],
  [55, 'dns6', name],
  [56, 'dnsaddr', name],
  [273, 'udp', port],
  // Dead: understood so that what follows can be read, dialled by nobody.
  [275, 'p2p-webrtc-star'],
  [276, 'p2p-webrtc-direct'],
  [277, 'p2p-stardust'],
  [280, 'webrtc-direct'],
  [281, 'webrtc'],
  [290, 'p2p-circuit'],
  [400, 'unix', path],
  [421, 'p2p', peerId],
  [443, 'https'],
  [448, 'tls'],
  [449, 'sni', name],
  [454, 'noise'],
  [460, 'quic'],
  [461, 'quic-v1'],
  [465, 'webtransport'],
  [466, 'certhash', certhash],
  [477, 'ws'],
  [478, 'wss'],
  // Dead, as above.
  [479, 'p2p-websocket-star'],
  [480, 'http'],
  [481, 'http-path', path],
  [777, 'memory', bigEndian(8)],
]

export const protocolsByCode: ReadonlyMap<number, Protocol> = new Map(rows.map(([code, name, kind]) => [code, { code, name, kind }]))

export const protocolsByName: ReadonlyMap<string, Protocol> = new Map(
  [...protocolsByCode.values()].flatMap((protocol) => [
    [protocol.name, protocol] as const,
    // What /p2p was called until 2019; still in bootstrap lists.
    ...(protocol.name === 'p2p' ? [['ipfs', protocol] as const] : []),
  ]),
)
