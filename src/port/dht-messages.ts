/**
 * What crosses the border between the page and the engine for `peer.dht`: commands, what is found on the way, and the questions of the engine
 * about records in namespaces that are the application's.
 */

import type { FoundPeer } from '../types.ts'

/** `DhtOptions` as far as the engine is concerned. */
export interface EngineDht {
  readonly mode: 'client' | 'server' | 'auto'
  readonly protocol: string | undefined
  /** Undefined: by where the peers are that are dialled first. */
  readonly network: 'public' | 'lan' | 'any' | undefined
  /** Namespaces of which the page validates records, and those of which it also selects the best. */
  readonly validators: readonly string[]
  readonly selectors: readonly string[]
}

export interface DhtCommands {
  /** Rejects with ERR_NOT_FOUND. */
  findPeer: { args: string; result: FoundPeer }
  /** The result is how many peers keep it. */
  provide: { args: string; result: number }
  unprovide: { args: string; result: boolean }
  /** Each provider is an event of this `query`; the result is how many there were. */
  findProviders: { args: { query: number; cid: string }; result: number }
  /** As `findProviders`. */
  closestPeers: { args: { query: number; key: string | Uint8Array }; result: number }
  /** The result is how many peers keep it. */
  putRecord: { args: { key: string | Uint8Array; value: Uint8Array }; result: number }
  /** Where there is a `query`, each value that is better than those before it is an event of it. */
  getRecord: { args: { query: number | undefined; key: string | Uint8Array; quorum: number | undefined }; result: Uint8Array }
  /** The page's answer to a `validate` or `select` event. */
  answerRecord: { args: RecordAnswer; result: undefined }
}

/** What is found on the way. */
export type FoundEvent =
  | { readonly t: 'found'; readonly query: number; readonly peer: FoundPeer }
  | { readonly t: 'value'; readonly query: number; readonly value: Uint8Array }

/** Engine → page. */
export type DhtEvent =
  | FoundEvent
  /** The page answers with `answerRecord` of the same `id`, or too late. */
  | { readonly t: 'validate'; readonly id: number; readonly namespace: string; readonly key: Uint8Array; readonly value: Uint8Array }
  | {
      readonly t: 'select'
      readonly id: number
      readonly namespace: string
      readonly key: Uint8Array
      readonly values: readonly Uint8Array[]
    }

export type RecordAnswer =
  | { readonly t: 'validated'; readonly id: number; readonly valid: boolean; readonly why: string | undefined }
  | { readonly t: 'selected'; readonly id: number; readonly best: number }
