/**
 * IPNS records (https://specs.ipfs.tech/ipns/ipns-record/ §Record verification): `/ipns/` and the multihash of a key that signed where its
 * name leads to.
 *
 *   { 1 value, 2 signatureV1, 3 validityType, 4 validity, 5 sequence, 6 ttl, 7 pubKey, 8 signatureV2, 9 data }
 *
 * What counts is `data`, DAG-CBOR, which signatureV2 covers. Records for readers of the first version repeat it in the fields 1 to 6: what
 * is there must be the same. signatureV1 covers too little (no sequence) and is not looked at; a record with nothing else is refused.
 *
 * Bounds: KAD_MAX_VALUE bytes.
 */

import { remoteFault } from '../../../errors.ts'
import { compareBytes, concat, emptyBytes, equalBytes, fromUtf8, utf8 } from '../../codec/bytes.ts'
import { decodePublicKey, type PublicKey } from '../../codec/keys.ts'
import { keyFromPeerId, type PeerId, peerIdFromBytes, peerIdFromKey } from '../../codec/peer-id.ts'
import { bytes, message, uint, uint64 } from '../../codec/protobuf.ts'
import { KAD_MAX_VALUE } from '../../limits.ts'
import { type Conversation, verify } from '../../wire/conversation.ts'
import { type CborValue, decodeCborMap } from './cbor.ts'
import { parseTime } from './time.ts'

const Entry = message({
  value: bytes(1),
  signatureV1: bytes(2),
  validityType: uint(3),
  validity: bytes(4),
  sequence: uint64(5),
  ttl: uint64(6),
  pubKey: bytes(7),
  signatureV2: bytes(8),
  data: bytes(9),
})

export interface IpnsRecord {
  /** A path: `/ipfs/…`, `/ipns/…`. */
  readonly value: Uint8Array
  /** Unix milliseconds. */
  readonly expires: number
  readonly sequence: bigint
  /** Nanoseconds that the value may be used without being asked for again. */
  readonly ttl: bigint
}

const SIGNED = utf8('ipns-signature:')
/** ValidityType: the time of an end. The only one. */
const EOL = 0n

const refuse = (what: string, cause?: unknown) => remoteFault('ERR_PROTOCOL', `IPNS record ${what}`, cause)

interface Read {
  readonly record: IpnsRecord
  readonly data: Uint8Array
  readonly signature: Uint8Array
  readonly publicKey: Uint8Array | undefined
}

/** Checks all but the signature and the time. Throws ERR_DECODE, ERR_PROTOCOL, ERR_FRAME_TOO_LARGE. */
const readEntry = (input: Uint8Array): Read => {
  if (input.length > KAD_MAX_VALUE) throw remoteFault('ERR_FRAME_TOO_LARGE', `IPNS record of ${input.length} bytes`)
  const entry = Entry.decode(input)
  const { data = emptyBytes, signatureV2: signature = emptyBytes, pubKey: publicKey } = entry
  if (signature.length === 0 || data.length === 0) throw refuse('without a signature of the second version')
  const map = decodeCborMap(data)
  const value = bytesOf(map.get('Value'), 'Value')
  const validity = bytesOf(map.get('Validity'), 'Validity')
  const validityType = numberOf(map.get('ValidityType'), 'ValidityType')
  const sequence = numberOf(map.get('Sequence'), 'Sequence')
  const ttl = numberOf(map.get('TTL'), 'TTL')
  if (validityType !== EOL) throw refuse(`of validity type ${validityType}`)
  const isRepeated = entry.signatureV1 !== undefined || (entry.value?.length ?? 0) > 0
  if (
    isRepeated &&
    !(
      equalBytes(entry.value ?? emptyBytes, value) &&
      equalBytes(entry.validity ?? emptyBytes, validity) &&
      BigInt(entry.validityType ?? 0) === validityType &&
      (entry.sequence ?? 0n) === sequence &&
      (entry.ttl ?? 0n) === ttl
    )
  )
    throw refuse('that says one thing signed and another unsigned')
  const expires = parseTime(fromUtf8(validity))
  if (expires === undefined) throw refuse('without a time of its end')
  return { record: { value, expires, sequence, ttl }, data, signature, publicKey }
}

const bytesOf = (value: CborValue, name: string): Uint8Array => {
  if (!(value instanceof Uint8Array)) throw refuse(`without ${name}`)
  return value
}

const numberOf = (value: CborValue, name: string): bigint => {
  if (typeof value !== 'bigint') throw refuse(`without ${name}`)
  return value
}

/** Throws as readEntry does. Nothing is verified. */
export const decodeIpns = (input: Uint8Array): IpnsRecord => readEntry(input).record

/** The record, if it is one of `name` (the multihash behind `/ipns/`) and is not over at `date`. Throws why it is not. */
export function* verifyIpns(name: Uint8Array, input: Uint8Array, date: number): Conversation<IpnsRecord> {
  const { record, data, signature, publicKey } = readEntry(input)
  const key = keyFor(name, publicKey)
  if (record.expires <= date) throw refuse('is over')
  if (!(yield* verify(key, concat([SIGNED, data]), signature))) throw refuse('with a wrong signature')
  return record
}

/** The key that the name holds, or the one in the record, if it is the name's. */
const keyFor = (name: Uint8Array, told: Uint8Array | undefined): PublicKey => {
  let peer: PeerId
  let key: PublicKey | undefined
  try {
    peer = peerIdFromBytes(name)
    key = told === undefined || told.length === 0 ? keyFromPeerId(peer) : decodePublicKey(told)
  } catch (cause) {
    throw refuse('of a name or with a key that is none', cause)
  }
  if (key === undefined) throw refuse('without the key of its name')
  if (peerIdFromKey(key) !== peer) throw refuse("with another key than its name's")
  return key
}

/** §Record selection: the higher sequence, then the later end, then the greater bytes. Those that do not decode lose. */
export const selectIpns = (values: readonly Uint8Array[]): number => {
  let best = -1
  let record: IpnsRecord | undefined
  values.forEach((value, at) => {
    let other: IpnsRecord
    try {
      other = decodeIpns(value)
    } catch {
      return
    }
    if (record === undefined || compare(other, value, record, values[best] as Uint8Array) > 0) {
      best = at
      record = other
    }
  })
  return best
}

const compare = (a: IpnsRecord, aBytes: Uint8Array, b: IpnsRecord, bBytes: Uint8Array): number => {
  if (a.sequence !== b.sequence) return a.sequence > b.sequence ? 1 : -1
  return a.expires - b.expires || compareBytes(aBytes, bBytes)
}
