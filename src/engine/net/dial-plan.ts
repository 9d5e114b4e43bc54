/**
 * What a dial sets out with: what is wanted, and what there is to reach it by.
 */

import type { TabmeshError } from '../../errors.ts'
import type { Multiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { BackOff } from './back-off.ts'
import type { Connection } from './connection.ts'
import type { LookUpTxt } from './dnsaddr.ts'
import type { Gater } from './gater.ts'
import type { Link, Net, Transport } from './service.ts'

/** What is wanted. */
export interface Plan {
  readonly peer: PeerId | undefined
  /** What was named; none where it is for us to know the peer's addresses. */
  readonly named: readonly Multiaddr[]
  /** On somebody's behalf: what failed lately is left alone. */
  readonly background: boolean
  readonly timeout: number
}

/** What the dialer needs of the node around it. */
export interface Dialling {
  readonly net: Net
  readonly transports: readonly Transport[]
  /** Milliseconds for a dial that names no others. */
  readonly timeout: number
  /** Whether only what stays within a private network may be dialled. */
  readonly confined: boolean
  /** Whether addresses in private networks, as others advertise them, may be ours. */
  readonly near: boolean
  readonly backOff: BackOff
  readonly lookUpTxt: LookUpTxt | undefined
  readonly gater: Gater | undefined
  /** Why nothing, or not this peer, is dialled. */
  refuse(peer: PeerId | undefined): TabmeshError | undefined
  /** What others say, and what we know ourselves, of where a peer is. */
  known(peer: PeerId): readonly Multiaddr[]
  routes(peer: PeerId): readonly Multiaddr[]
  /** Has others looked for a peer; undefined where nobody would. `done` is called once, after the call has returned. */
  search(peer: PeerId, done: (addresses: readonly Multiaddr[]) => void): Cancel | undefined
  /** Secures and registers a link; the returned function gives up. */
  upgrade(link: Link, peer: PeerId | undefined, done: (outcome: Outcome<Connection>) => void): (fault: TabmeshError) => void
  /** A dial has come to nothing, and no other one of that peer is under way. */
  failed(peer: PeerId): void
}
