/**
 * The identify message (specs: identify/README.md), how ours is cut to what every implementation reads, and how several frames of
 * a remote make one.
 */

import { remoteFault } from '../../../errors.ts'
import { utf8Length } from '../../codec/bytes.ts'
import { decodeMultiaddr, decodeMultiaddrs, type Multiaddr, withoutPeerId } from '../../codec/multiaddr.ts'
import { bytes, message, repeated, string } from '../../codec/protobuf.ts'
import { varintLength } from '../../codec/varint.ts'
import {
  IDENTIFY_MAX_ADDRESSES,
  IDENTIFY_MAX_AGENT,
  IDENTIFY_MAX_FRAMES,
  IDENTIFY_MAX_PROTOCOLS,
  IDENTIFY_MAX_SENT,
  MSS_MAX_LINE,
} from '../../limits.ts'

/** The key comes first: rust reads what fits its buffer. */
const wire = message({
  publicKey: bytes(1),
  listenAddrs: repeated(bytes(2), IDENTIFY_MAX_ADDRESSES),
  protocols: repeated(string(3), IDENTIFY_MAX_PROTOCOLS),
  observedAddr: bytes(4),
  protocolVersion: string(5),
  agentVersion: string(6),
  signedPeerRecord: bytes(8),
})

/** What one peer tells another of itself; what is absent has not changed. */
export interface Identify {
  readonly publicKey?: Uint8Array | undefined
  readonly addresses: readonly Multiaddr[]
  readonly protocols: readonly string[]
  readonly observed?: Multiaddr | undefined
  readonly protocolVersion?: string | undefined
  readonly agent?: string | undefined
  readonly signedRecord?: Uint8Array | undefined
}

/** Less the length in front. */
const MAX_BODY = IDENTIFY_MAX_SENT - 2

/**
 * The message in frames of at most IDENTIFY_MAX_SENT bytes with their lengths. One, where the names of the protocols leave room: when
 * all does not fit, addresses go overboard from the end of the list, down to half of the room; then names go into frames of their own,
 * which go, js and we read and rust does not. A record that leaves no room is left out.
 */
export const encodeIdentify = (identify: Identify): Uint8Array[] => {
  const { addresses, protocols, signedRecord } = identify
  const whole = encode(identify, addresses, protocols, signedRecord)
  if (whole.length <= MAX_BODY) return [whole]
  const bare = (record: Uint8Array | undefined): number => encode(identify, [], [], record).length
  const record = signedRecord !== undefined && bare(signedRecord) > MAX_BODY / 2 ? undefined : signedRecord
  const room = MAX_BODY - bare(record)
  const names = protocols.filter((name) => utf8Length(name) <= MSS_MAX_LINE)
  const wanted = names.reduce((sum, name) => sum + fieldSize(utf8Length(name)), 0)
  const kept = addresses.slice(0, fitting(addresses, Math.max(room - wanted, room / 2), addressSize))
  const left = room - kept.reduce((sum, address) => sum + addressSize(address), 0)
  let at = fitting(names, left, nameSize)
  const frames = [encode(identify, kept, names.slice(0, at), record)]
  // One less than others read: go takes ten for too many.
  while (at < names.length && frames.length < IDENTIFY_MAX_FRAMES - 1) {
    const count = fitting(names.slice(at), MAX_BODY, nameSize)
    frames.push(wire.encode({ protocols: names.slice(at, at + count) }))
    at += count
  }
  return frames
}

const encode = (
  { publicKey, observed, protocolVersion, agent }: Identify,
  addresses: readonly Multiaddr[],
  protocols: readonly string[],
  signedPeerRecord: Uint8Array | undefined,
): Uint8Array =>
  wire.encode({
    publicKey,
    listenAddrs: addresses.map((address) => address.bytes),
    protocols,
    observedAddr: observed?.bytes,
    protocolVersion,
    agentVersion: agent,
    signedPeerRecord,
  })

/** Bytes of a field with its tag and length. */
const fieldSize = (length: number): number => 1 + varintLength(length) + length
const addressSize = (address: Multiaddr): number => fieldSize(address.bytes.length)
const nameSize = (name: string): number => fieldSize(utf8Length(name))

/** How many of `list`, from its beginning, take at most `room` bytes. */
export const fitting = <T>(list: readonly T[], room: number, size: (item: T) => number): number => {
  let taken = 0
  let count = 0
  for (const item of list) {
    taken += size(item)
    if (taken > room) break
    count += 1
  }
  return count
}

/** Frames of one stream together: lists add up, later single values replace earlier ones. Throws ERR_DECODE, ERR_PROTOCOL. */
export const mergeIdentify = (frames: readonly Uint8Array[]): Identify => {
  if (frames.length === 0) throw remoteFault('ERR_PROTOCOL', 'identify ended without a message')
  const addresses = new Map<string, Multiaddr>()
  const protocols = new Set<string>()
  let single: Omit<Identify, 'addresses' | 'protocols'> = {}
  for (const frame of frames) {
    const part = wire.decode(frame)
    for (const address of decodeMultiaddrs(part.listenAddrs)) addresses.set(address.text, address)
    // A longer name could never be negotiated.
    for (const name of part.protocols) if (name.length <= MSS_MAX_LINE) protocols.add(name)
    single = {
      publicKey: part.publicKey ?? single.publicKey,
      observed: observedOf(part.observedAddr) ?? single.observed,
      protocolVersion: part.protocolVersion?.slice(0, IDENTIFY_MAX_AGENT) ?? single.protocolVersion,
      agent: part.agentVersion?.slice(0, IDENTIFY_MAX_AGENT) ?? single.agent,
      signedRecord: part.signedPeerRecord ?? single.signedRecord,
    }
  }
  return {
    ...single,
    addresses: [...addresses.values()].slice(0, IDENTIFY_MAX_ADDRESSES),
    protocols: [...protocols].slice(0, IDENTIFY_MAX_PROTOCOLS),
  }
}

/** An address that we can't read is no reason to refuse the rest, nor is one of a relay: that is not where we were seen. */
const observedOf = (input: Uint8Array | undefined): Multiaddr | undefined => {
  if (input === undefined || input.length === 0) return undefined
  try {
    const address = decodeMultiaddr(input)
    // js puts our own peer id behind it.
    return address.parts.some(({ name }) => name === 'p2p-circuit') ? undefined : withoutPeerId(address)
  } catch {
    return undefined
  }
}
