/**
 * Messages of DCUtR (https://github.com/libp2p/specs/blob/master/relay/DCUtR.md §RPC messages).
 *
 *   B ── CONNECT, B's addresses ──▶ A        B is who was dialled through the relay
 *     ◀── CONNECT, A's addresses ──
 *     ── SYNC ──────────────────▶
 *
 * Bounds: a frame is at most DCUTR_MAX_FRAME bytes, and so is the list in it.
 */

import { remoteFault } from '../../../errors.ts'
import { decodeMultiaddrs, type Multiaddr } from '../../codec/multiaddr.ts'
import { bytes, message, repeated, uint } from '../../codec/protobuf.ts'
import { DCUTR_MAX_FRAME } from '../../limits.ts'

export const DCUTR = '/libp2p/dcutr'

const CONNECT = 100
const SYNC = 300

/** The smallest entry of the list takes two bytes: a frame can't hold more. */
const wire = message({ type: uint(1), addresses: repeated(bytes(2), DCUTR_MAX_FRAME / 2) })

export type HolePunch = { readonly t: 'connect'; readonly addresses: readonly Multiaddr[] } | { readonly t: 'sync' }

/** With its length. */
export const encodeHolePunch = (said: HolePunch): Uint8Array =>
  said.t === 'connect'
    ? wire.frame({ type: CONNECT, addresses: said.addresses.map((address) => address.bytes) })
    : wire.frame({ type: SYNC })

/** Addresses that can't be read are left out. Throws ERR_DECODE or ERR_PROTOCOL. */
export const decodeHolePunch = (body: Uint8Array): HolePunch => {
  const { type, addresses } = wire.decode(body)
  if (type === SYNC) return { t: 'sync' }
  if (type !== CONNECT) throw remoteFault('ERR_PROTOCOL', `a DCUtR message of unknown type ${type}`)
  return { t: 'connect', addresses: decodeMultiaddrs(addresses.map((each) => each.slice())) }
}
