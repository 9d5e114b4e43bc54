/**
 * Peers of tests: ids with an address each, whose keys lie where they should.
 */

import { publicKey } from '../../codec/keys.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { commonPrefix, compareDistance, type Key, PeerKeys } from '../../protocols/kad/keys.ts'
import type { KadPeer } from '../../protocols/kad/messages.ts'
import type { Contact } from '../../protocols/kad/table.ts'
import type { Prng } from '../prng.ts'

export const peerKeys = new PeerKeys(Number.POSITIVE_INFINITY)

/** One whose address is in no other's network. */
export const someContact = (random: Prng): Contact => {
  const peer = peerIdFromKey(publicKey('Ed25519', random.bytes(32)))
  const address = parseMultiaddr(`/ip4/${11 + random.below(80)}.${random.below(256)}.${random.below(256)}.1/tcp/4001`)
  return { peer, key: peerKeys.of(peer), addresses: [address] }
}

/** One whose key has exactly `prefix` bits in common with `key`. */
export const contactAt = (random: Prng, key: Key, prefix: number): Contact => {
  for (;;) {
    const contact = someContact(random)
    if (commonPrefix(contact.key, key) === prefix) return contact
  }
}

export const peerOf = ({ peer, addresses }: Contact): KadPeer => ({ id: peer, addresses })

/** The nearest first. */
export const byDistance = <T extends { readonly key: Key }>(target: Key, contacts: readonly T[]): T[] =>
  [...contacts].sort((a, b) => compareDistance(target, a.key, b.key))
