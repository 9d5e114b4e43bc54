/**
 * The public types of the gater, which decides with whom a peer deals.
 */

import type { ConnectionInfo } from '../types.ts'

/**
 * The application decides with whom its peer deals. Only the hooks that are there when the peer starts are asked, each as a method of the gater,
 * several at a time.
 *
 * `true` allows. `false` refuses: with ERR_GATED here, among the `errors` of a dial; the remote sees a closed connection and is not told why. A
 * hook that throws, rejects or answers anything else refuses too, and is an `error` event of ERR_HANDLER. One that has not answered within
 * 5 seconds refuses as well: the remote does not wait for ever.
 */
export interface Gater {
  /** Before an address is tried: nothing of it has been contacted yet. */
  dial?(attempt: DialAttempt): Verdict
  /** Somebody has come: nothing of it has been read yet. */
  accept?(newcomer: Newcomer): Verdict
  /** The remote has proved who it is, on a connection of either direction. */
  secured?(remote: SecuredRemote): Verdict
  /** The connection is whole, and nobody has heard of it yet. */
  upgraded?(connection: UpgradedConnection): Verdict
  /** A relay's: a peer wants to be reachable through it. A peer that is no relay is never asked. */
  reservation?(request: ReservationRequest): Verdict
}

export type Verdict = boolean | Promise<boolean>

export interface DialAttempt {
  /** Undefined where the address does not tell, and nobody knows. */
  readonly remotePeer: string | undefined
  readonly remoteAddr: string
}

export interface Newcomer {
  /** Where it comes from, as a socket or a relay has it; behind a relay with the peer id that the relay announces, which is not proved yet. */
  readonly remoteAddr: string
}

export interface SecuredRemote {
  readonly remotePeer: string
  readonly remoteAddr: string
  readonly direction: 'inbound' | 'outbound'
}

export type UpgradedConnection = Pick<
  ConnectionInfo,
  'remotePeer' | 'remoteAddr' | 'direction' | 'transport' | 'limited' | 'encryption' | 'muxer'
>

export interface ReservationRequest {
  readonly remotePeer: string
}
