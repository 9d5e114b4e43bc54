/**
 * The identify message (specs: identify/README.md) and how several frames of it make one.
 */

import { remoteFault } from '../../../errors.ts'
import { decodeMultiaddr, decodeMultiaddrs, type Multiaddr } from '../../codec/multiaddr.ts'
import { bytes, message, repeated, string } from '../../codec/protobuf.ts'
import { IDENTIFY_MAX_ADDRESSES, IDENTIFY_MAX_PROTOCOLS, IDENTIFY_MAX_SENT } from '../../limits.ts'

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

/** One message of at most IDENTIFY_MAX_SENT bytes with its length prefix: addresses go overboard first, then the record. */
export const encodeIdentify = (identify: Identify): Uint8Array => {
  const encode = (addresses: readonly Multiaddr[], signedPeerRecord: Uint8Array | undefined): Uint8Array =>
    wire.encode({
      publicKey: identify.publicKey,
      listenAddrs: addresses.map((address) => address.bytes),
      protocols: [...identify.protocols],
      observedAddr: identify.observed?.bytes,
      protocolVersion: identify.protocolVersion,
      agentVersion: identify.agent,
      signedPeerRecord,
    })
  const max = IDENTIFY_MAX_SENT - 2
  const { addresses, signedRecord } = identify
  let encoded = encode(addresses, signedRecord)
  for (let count = addresses.length - 1; encoded.length > max && count >= 1; count -= 1)
    encoded = encode(addresses.slice(0, count), signedRecord)
  return encoded.length > max ? encode(addresses.slice(0, 1), undefined) : encoded
}

/** Frames of one stream together: lists add up, later single values replace earlier ones. Throws ERR_DECODE, ERR_PROTOCOL. */
export const mergeIdentify = (frames: readonly Uint8Array[]): Identify => {
  if (frames.length === 0) throw remoteFault('ERR_PROTOCOL', 'identify ended without a message')
  const addresses: Multiaddr[] = []
  const protocols: string[] = []
  let single: Omit<Identify, 'addresses' | 'protocols'> = {}
  for (const frame of frames) {
    const part = wire.decode(frame)
    addresses.push(...decodeMultiaddrs(part.listenAddrs))
    protocols.push(...part.protocols)
    single = {
      publicKey: part.publicKey ?? single.publicKey,
      observed: observedOf(part.observedAddr) ?? single.observed,
      protocolVersion: part.protocolVersion ?? single.protocolVersion,
      agent: part.agentVersion ?? single.agent,
      signedRecord: part.signedPeerRecord ?? single.signedRecord,
    }
  }
  return { ...single, addresses: addresses.slice(0, IDENTIFY_MAX_ADDRESSES), protocols: protocols.slice(0, IDENTIFY_MAX_PROTOCOLS) }
}

/** An address we can't read is no reason to refuse the rest. */
const observedOf = (input: Uint8Array | undefined): Multiaddr | undefined => {
  if (input === undefined) return undefined
  try {
    return decodeMultiaddr(input)
  } catch {
    return undefined
  }
}
