/**
 * Addresses of circuits: …/p2p/R/p2p-circuit/p2p/B (specs: relay/circuit-v2.md §Reservation, addressing/README.md).
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import { encapsulate, parseMultiaddr, peerIdOf, relayOf, withoutPeerId } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { RELAY_MAX_ADDRESS_BYTES, RELAY_MAX_ADDRESSES } from '../../limits.ts'

/** A circuit that can be dialled. */
export interface Circuit {
  /** How to reach the relay: an address, or its /p2p alone. */
  readonly relay: Multiaddr
  readonly target: PeerId
}

/** Undefined for what is no circuit to a named peer over one relay; `…/p2p-circuit/webrtc/…` is another transport's. */
export const circuitOf = (address: Multiaddr): Circuit | undefined => {
  const sides = relayOf(address)
  if (sides?.relay === undefined || sides.target === undefined || relayOf(sides.relay) !== undefined) return undefined
  const target = sides.target.parts.length === 1 ? peerIdOf(sides.target) : undefined
  return target === undefined ? undefined : { relay: sides.relay, target }
}

/** The address of `relay` and its peer id; undefined where it is no way to that peer. */
const named = (relay: Multiaddr, peer: PeerId): Multiaddr | undefined => {
  if (relayOf(relay) !== undefined || relay.parts.some((part) => part.name === 'unknown')) return undefined
  if ((peerIdOf(relay) ?? peer) !== peer) return undefined
  const bare = withoutPeerId(relay)
  return bare === undefined ? undefined : encapsulate(bare, `/p2p/${peer}`)
}

/**
 * How to reach the relay `peer`, best first: the address that works for us, then what the relay says of itself. What only
 * the relay's own machine could use is left out, unless that is where we are.
 */
export const relayAddresses = (peer: PeerId, used: readonly Multiaddr[], said: readonly Multiaddr[]): readonly Multiaddr[] => {
  const local = used.some(isLoopback)
  const byText = new Map<string, Multiaddr>()
  for (const address of [...used, ...said.filter((each) => !isUnspecified(each) && (local || !isLoopback(each)))]) {
    // A longer one would leave no room for the circuit behind it.
    const whole = address.bytes.length > RELAY_MAX_ADDRESS_BYTES ? undefined : named(address, peer)
    if (whole !== undefined && byText.size < RELAY_MAX_ADDRESSES) byText.set(whole.text, whole)
  }
  return [...byText.values()]
}

const circuitSuffix = parseMultiaddr('/p2p-circuit')
const webrtcSuffix = parseMultiaddr('/p2p-circuit/webrtc')

/** What we can be dialled at over a relay at `relays`, without our /p2p. */
export const circuitAddresses = (relays: readonly Multiaddr[], webrtc: boolean): readonly Multiaddr[] =>
  relays.flatMap((relay) =>
    webrtc ? [encapsulate(relay, circuitSuffix), encapsulate(relay, webrtcSuffix)] : [encapsulate(relay, circuitSuffix)],
  )

/** `…/p2p/R/p2p-circuit/p2p/B`. */
export const circuitTo = (relay: Multiaddr, target: PeerId): Multiaddr => encapsulate(relay, `/p2p-circuit/p2p/${target}`)

const isLoopback = ({ parts }: Multiaddr): boolean => {
  const { name, value = '' } = parts[0] ?? {}
  if (name === 'ip4') return value.startsWith('127.')
  if (name === 'ip6') return value === '::1'
  return value === 'localhost' || value.endsWith('.localhost')
}

const isUnspecified = ({ parts }: Multiaddr): boolean => parts[0]?.value === '0.0.0.0' || parts[0]?.value === '::'
