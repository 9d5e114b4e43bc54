/**
 * IPNS records of the second version (https://specs.ipfs.tech/ipns/ipns-record/), for tests: what the vectors, which boxo made, do not say.
 */

import { concat, utf8 } from '../../codec/bytes.ts'
import type { PrivateKey } from '../../codec/keys.ts'
import { bytes, message } from '../../codec/protobuf.ts'
import { signWith } from '../../crypto/verify.ts'
import { printTime } from '../../protocols/kad/time.ts'

const Entry = message({ signatureV2: bytes(8), data: bytes(9) })

export interface MadeIpns {
  readonly value?: string
  readonly sequence?: number
  /** Unix milliseconds. */
  readonly expires: number
  /** Who signs; nobody, if false. */
  readonly by?: PrivateKey | false
}

/** Text and byte strings, and numbers, of DAG-CBOR. */
const head = (major: number, n: number): Uint8Array => (n < 24 ? Uint8Array.of((major << 5) | n) : Uint8Array.of((major << 5) | 24, n))
const text = (it: string): Uint8Array => concat([head(3, it.length), utf8(it)])
const blob = (it: string): Uint8Array => concat([head(2, it.length), utf8(it)])

export const makeIpns = (key: PrivateKey, { value = '/ipfs/bafkqaaa', sequence = 1, expires, by = key }: MadeIpns): Uint8Array => {
  const data = concat([
    head(5, 5),
    ...[text('TTL'), head(0, 0)],
    ...[text('Value'), blob(value)],
    ...[text('Sequence'), head(0, sequence)],
    ...[text('Validity'), blob(printTime(expires))],
    ...[text('ValidityType'), head(0, 0)],
  ])
  return Entry.encode({ signatureV2: by === false ? undefined : signWith(by, concat([utf8('ipns-signature:'), data])), data })
}
