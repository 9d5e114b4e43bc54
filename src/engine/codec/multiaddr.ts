/**
 * Multiaddrs: https://github.com/libp2p/specs/blob/master/addressing/README.md
 *
 *   text    /ip4/192.0.2.42/tcp/443/tls/ws/p2p/12D3KooW…
 *   bytes   (uvarint code, value)…   a value has a fixed size or a uvarint length before it
 *
 * Immutable. A code that we don't know can't be skipped, since its size is unknown: it and all behind it become one
 * part `unknown`, whose bytes are kept and whose text (`/unknown/…`) does not parse, so nobody takes it for dialable.
 *
 * Bounds: MULTIADDR_MAX_BYTES; time in proportion to the length.
 */

import { TabmeshError } from '../../errors.ts'
import { MULTIADDR_MAX_BYTES } from '../limits.ts'
import { concat, emptyBytes, equalBytes } from './bytes.ts'
import type { Protocol } from './multiaddr-protocols.ts'
import { protocolsByCode, protocolsByName } from './multiaddr-protocols.ts'
import { toBase64Url } from './multibase.ts'
import type { PeerId } from './peer-id.ts'
import { readVarint, varintLength, writeVarint } from './varint.ts'

export interface Part {
  readonly code: number
  readonly name: string
  /** As it stands in the text, but unescaped where the text escapes (http-path, unix). */
  readonly value?: string
  /** The value in bytes, without code and length. Of an unknown part: all that follows its code. */
  readonly bytes?: Uint8Array
}

export interface Multiaddr {
  /** Canonical: equal where the bytes are equal. */
  readonly text: string
  readonly bytes: Uint8Array
  /** Never empty. */
  readonly parts: readonly Part[]
}

const invalid = (what: string, cause?: unknown) => new TabmeshError('ERR_INVALID_MULTIADDR', what, { cause })
const quote = (text: string): string => JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)

const P2P = 421
const P2P_CIRCUIT = 290

/** Throws ERR_INVALID_MULTIADDR. */
export const parseMultiaddr = (text: string): Multiaddr => {
  // Ten characters a byte: two bytes print as /p2p-websocket-star, and nothing grows more.
  if (text.length > 10 * MULTIADDR_MAX_BYTES) throw invalid(`address of ${text.length} characters`)
  const pieces = text.replace(/\/+$/, '').split('/')
  if (pieces[0] !== '' || pieces.length === 1) throw invalid(`${quote(text)} is no address`)
  const parts: Part[] = []
  for (let i = 1; i < pieces.length; i++) {
    const name = pieces[i] as string
    const protocol = protocolsByName.get(name)
    if (protocol === undefined) throw invalid(`${quote(text)} has an unknown part ${quote(name)}`)
    parts.push(protocol.kind === undefined ? protocol : parsePart(protocol, pieces[++i] ?? ''))
  }
  return make(parts)
}

const parsePart = (protocol: Protocol, text: string): Part => {
  const what = () => `${quote(text)} is no value of /${protocol.name}`
  let bytes: Uint8Array | undefined
  try {
    bytes = protocol.kind?.parse(protocol.kind.escaped ? decodeURIComponent(text) : text)
  } catch (error) {
    throw invalid(what(), error)
  }
  if (bytes === undefined || bytes.length === 0) throw invalid(what())
  const { code, name, kind } = protocol
  return kind?.isCanonical?.(text) ? { code, name, value: text, bytes } : printPart(protocol, bytes)
}

/** The part with its value in its canonical text. */
const printPart = ({ code, name, kind }: Protocol, bytes: Uint8Array): Part => {
  let value: string | undefined
  try {
    value = kind?.print(bytes)
  } catch (error) {
    throw invalid(`value of /${name} is malformed`, error)
  }
  if (value === undefined || value === '') throw invalid(`value of /${name} is malformed`)
  return { code, name, value, bytes }
}

/** Copies what it keeps. Throws ERR_INVALID_MULTIADDR, but not for a code that is unknown. */
export const decodeMultiaddr = (input: Uint8Array): Multiaddr => {
  if (input.length === 0 || input.length > MULTIADDR_MAX_BYTES) throw invalid(`address of ${input.length} bytes`)
  const bytes = input.slice()
  const parts: Part[] = []
  for (let at = 0; at < bytes.length; ) {
    const code = readNumber(bytes, at)
    at = code.next
    const protocol = protocolsByCode.get(code.value)
    if (protocol === undefined) {
      parts.push({ code: code.value, name: 'unknown', bytes: bytes.subarray(at) })
      break
    }
    const { kind } = protocol
    if (kind === undefined) {
      parts.push(protocol)
      continue
    }
    let { size } = kind
    if (size === undefined) {
      const length = readNumber(bytes, at)
      at = length.next
      size = length.value
    }
    if (size > bytes.length - at) throw invalid(`address ends inside /${protocol.name}`)
    parts.push(printPart(protocol, bytes.subarray(at, at + size)))
    at += size
  }
  return { text: parts.map(printText).join(''), bytes, parts }
}

const readNumber = (bytes: Uint8Array, at: number): { value: number; next: number } => {
  let number: ReturnType<typeof readVarint>
  try {
    number = readVarint(bytes, at)
  } catch (error) {
    throw invalid('address is malformed', error)
  }
  if (number === undefined) throw invalid('address is cut short')
  return number
}

const printText = ({ code, name, value, bytes = emptyBytes }: Part): string => {
  if (name === 'unknown') return `/unknown/${code}:${toBase64Url(bytes)}`
  if (value === undefined) return `/${name}`
  return `/${name}/${protocolsByCode.get(code)?.kind?.escaped ? encodeURIComponent(value) : value}`
}

const make = (parts: readonly Part[]): Multiaddr => {
  let length = 0
  for (const part of parts) length += varintLength(part.code) + prefixOf(part) + (part.bytes?.length ?? 0)
  if (length > MULTIADDR_MAX_BYTES) throw invalid(`address of ${length} bytes`)
  const bytes = new Uint8Array(length)
  let text = ''
  let at = 0
  for (const part of parts) {
    text += printText(part)
    at = writeVarint(part.code, bytes, at)
    if (part.bytes === undefined) continue
    if (prefixOf(part) > 0) at = writeVarint(part.bytes.length, bytes, at)
    bytes.set(part.bytes, at)
    at += part.bytes.length
  }
  return { text, bytes, parts }
}

/** Bytes of the length before the value. */
const prefixOf = ({ code, bytes }: Part): number => {
  const kind = protocolsByCode.get(code)?.kind
  return bytes === undefined || kind === undefined || kind.size !== undefined ? 0 : varintLength(bytes.length)
}

/** Those that decode: one that does not must not cost the others. */
export const decodeMultiaddrs = (list: readonly Uint8Array[]): Multiaddr[] => {
  const addresses: Multiaddr[] = []
  for (const bytes of list) {
    try {
      addresses.push(decodeMultiaddr(bytes))
    } catch {
      // Peers send what newer versions, or other networks, understand.
    }
  }
  return addresses
}

/** `address` with `suffix` behind it. Behind an unknown part nothing can be told apart: throws ERR_INVALID_MULTIADDR. */
export const encapsulate = (address: Multiaddr, suffix: Multiaddr | string): Multiaddr => {
  if (address.parts.at(-1)?.name === 'unknown') throw invalid(`${quote(address.text)} ends in an unknown part`)
  const inner = typeof suffix === 'string' ? parseMultiaddr(suffix) : suffix
  const bytes = concat([address.bytes, inner.bytes])
  if (bytes.length > MULTIADDR_MAX_BYTES) throw invalid(`address of ${bytes.length} bytes`)
  return { text: address.text + inner.text, bytes, parts: [...address.parts, ...inner.parts] }
}

export const equalMultiaddr = (a: Multiaddr, b: Multiaddr): boolean => equalBytes(a.bytes, b.bytes)

/** Whether both lead to the same socket in the same way: as `equalMultiaddr`, but /tls/ws is /wss and /tls/http is /https. */
export const sameEndpoint = (a: Multiaddr, b: Multiaddr): boolean => equalMultiaddr(a, b) || modern(a) === modern(b)

const modern = ({ parts }: Multiaddr): string =>
  parts.map((part) => (part.name === 'wss' ? '/tls/ws' : part.name === 'https' ? '/tls/http' : printText(part))).join('')

/** Where the target's /p2p stands; −1 where the address does not name its target. */
const targetAt = ({ parts }: Multiaddr): number => {
  for (let i = parts.length - 1; i >= 0; i--) {
    const part = parts[i] as Part
    if (part.code === P2P) return i
    // The peer before /p2p-circuit is the relay; an unknown part may name anyone.
    if (part.code === P2P_CIRCUIT || part.name === 'unknown') return -1
  }
  return -1
}

/** The peer that the address leads to. Undefined for `…/p2p/R/p2p-circuit`, which names the relay only. */
export const peerIdOf = (address: Multiaddr): PeerId | undefined => address.parts[targetAt(address)]?.value

/** The address, which names `peer` in the end unless it names one already. */
export const withPeerId = (address: Multiaddr, peer: PeerId): Multiaddr =>
  peerIdOf(address) === undefined ? encapsulate(address, `/p2p/${peer}`) : address

/** The address without the peer that it leads to; undefined where nothing else is in it. */
export const withoutPeerId = (address: Multiaddr): Multiaddr | undefined => {
  const at = targetAt(address)
  if (at === -1) return address
  return address.parts.length === 1 ? undefined : make(address.parts.toSpliced(at, 1))
}

export interface RelayedAddress {
  /** How to reach the relay; undefined where any will do: `/p2p-circuit/…`. */
  readonly relay: Multiaddr | undefined
  /** What stands behind /p2p-circuit: `/p2p/B`, `/webrtc/p2p/B`; undefined for the address of a reservation. */
  readonly target: Multiaddr | undefined
}

/** Both sides of the last /p2p-circuit; undefined where there is none. */
export const relayOf = ({ parts }: Multiaddr): RelayedAddress | undefined => {
  const at = parts.findLastIndex((part) => part.code === P2P_CIRCUIT)
  if (at === -1) return undefined
  // go hands out …/p2p/R/p2p/R/p2p-circuit (go-libp2p issue 3003).
  const relay = parts.slice(0, at).filter((part, i) => !(part.code === P2P && part.value === parts[i - 1]?.value))
  const target = parts.slice(at + 1)
  return { relay: relay.length > 0 ? make(relay) : undefined, target: target.length > 0 ? make(target) : undefined }
}
