/**
 * One peer of the peer store as bytes, for a database or a file: what is to outlive a reload.
 *
 *   { 1: version, 2: peer id, 3: envelope, 4: when that was told, 5: addresses { 1: multiaddr, 2: when heard, 3: by itself },
 *     6: protocols, 7: agent, 8: tags { 1: name, 2: value }, 9: last seen, 10: addresses of the envelope that count }
 *
 * Times are Unix milliseconds. The number of a signed record is read from its envelope. The signature was verified before it was
 * stored, and is not again: who can write our storage can write anything.
 *
 * Fields that are added are skipped by older versions. The version changes when that would not do; such a record is then left alone.
 *
 * Bounds: STORED_PEER_MAX bytes; the lists as in the peer store.
 */

import { TabmeshError } from '../../errors.ts'
import { decodeEnvelope, decodePeerRecord } from '../codec/envelope.ts'
import { decodeMultiaddr, type Multiaddr } from '../codec/multiaddr.ts'
import { type PeerId, peerIdFromBytes, peerIdFromKey, peerIdToBytes } from '../codec/peer-id.ts'
import { bool, bytes, message, nested, repeated, string, uint } from '../codec/protobuf.ts'
import { IDENTIFY_MAX_PROTOCOLS, PEER_STORE_MAX_ADDRESSES, PEER_STORE_MAX_TAGS, STORED_PEER_MAX } from '../limits.ts'

const VERSION = 1

/** Addresses that the peer has signed. */
export interface SignedAddresses {
  readonly seq: bigint
  readonly addresses: readonly Multiaddr[]
  readonly envelope: Uint8Array
  /** Unix milliseconds: when the peer last told us so. */
  readonly at: number
}

export interface HeardAddress {
  readonly address: Multiaddr
  /** Unix milliseconds. */
  readonly at: number
  /** Whether the peer itself said so, or answered there. */
  readonly told: boolean
}

export interface StoredPeer {
  readonly id: PeerId
  readonly signed: SignedAddresses | undefined
  /** The newest first. */
  readonly heard: readonly HeardAddress[]
  readonly protocols: readonly string[]
  readonly agent: string | undefined
  readonly tags: Readonly<Record<string, number>>
  /** Unix milliseconds. */
  readonly seenAt: number
}

const Version = message({ version: uint(1) })
const Stored = message({
  version: uint(1),
  id: bytes(2),
  envelope: bytes(3),
  signedAt: uint(4),
  heard: repeated(nested(5, message({ address: bytes(1), at: uint(2), told: bool(3) })), PEER_STORE_MAX_ADDRESSES),
  protocols: repeated(string(6), IDENTIFY_MAX_PROTOCOLS),
  agent: string(7),
  tags: repeated(nested(8, message({ name: string(1), value: uint(2) })), PEER_STORE_MAX_TAGS),
  seenAt: uint(9),
  certified: repeated(bytes(10), PEER_STORE_MAX_ADDRESSES),
})

/** Where it would be too long, without what identify tells anew, then without what was merely heard; undefined if even that is too long. */
export const encodeStoredPeer = (peer: StoredPeer): Uint8Array | undefined => {
  const { id, signed, heard, protocols, agent, tags, seenAt } = peer
  const least = {
    version: VERSION,
    id: peerIdToBytes(id),
    envelope: signed?.envelope,
    certified: signed?.addresses.map((address) => address.bytes),
    signedAt: signed && Math.floor(signed.at),
    tags: Object.entries(tags)
      .slice(0, PEER_STORE_MAX_TAGS)
      .map(([name, value]) => ({ name, value: Math.ceil(value) })),
    seenAt: Math.floor(seenAt),
  }
  const addresses = heard.map(({ address, at, told }) => ({ address: address.bytes, at: Math.floor(at), told }))
  for (const part of [{ heard: addresses, protocols: protocols.slice(0, IDENTIFY_MAX_PROTOCOLS), agent }, { heard: addresses }, {}]) {
    const encoded = Stored.encode({ ...least, ...part })
    if (encoded.length <= STORED_PEER_MAX) return encoded
  }
  return undefined
}

/** Undefined where a newer version wrote it. Throws ERR_DECODE for what is no peer, or none of those we would store. */
export const decodeStoredPeer = (stored: Uint8Array): StoredPeer | undefined => {
  if (stored.length > STORED_PEER_MAX) throw damaged(`${stored.length} bytes`)
  const { version = 0 } = Version.decode(stored)
  if (version > VERSION) return undefined
  const { id: idBytes, envelope, certified, signedAt = 0, heard, protocols, agent, tags, seenAt } = Stored.decode(stored)
  if (version !== VERSION || idBytes === undefined || seenAt === undefined) throw damaged('its version, its id or its time is missing')
  const id = reading(() => peerIdFromBytes(idBytes))
  return {
    id,
    signed: envelope && reading(() => openStored(id, envelope, certified.map(decodeMultiaddr), signedAt)),
    heard: heard.map(({ address, at = 0, told = false }) => {
      if (address === undefined) throw damaged('an address is missing')
      return { address: reading(() => decodeMultiaddr(address)), at, told }
    }),
    protocols,
    agent,
    tags: Object.fromEntries(tags.map(({ name = '', value = 0 }) => [name, Math.min(value, 100)])),
    seenAt,
  }
}

const openStored = (id: PeerId, envelope: Uint8Array, addresses: readonly Multiaddr[], at: number): SignedAddresses => {
  const { publicKey, payload } = decodeEnvelope(envelope)
  const { peerId, seq } = decodePeerRecord(payload)
  if (peerId !== id || peerIdFromKey(publicKey) !== id) throw damaged('its signed record is of another peer')
  return { seq, addresses, envelope, at }
}

const damaged = (what: string, cause?: unknown): TabmeshError =>
  new TabmeshError('ERR_DECODE', `a stored peer is damaged: ${what}`, { cause })

/** No remote is at fault for what was stored here. */
const reading = <T>(read: () => T): T => {
  try {
    return read()
  } catch (error) {
    throw damaged(error instanceof Error ? error.message : 'unreadable', error)
  }
}
