/**
 * Verdicts: which of our addresses others can reach, from what servers found. Pure: `next` says whom to ask about what, `settle` takes
 * the answer, `deadline` says when to look again.
 *
 *            AUTONAT_CONFIDENCE more say yes than no, or all have spoken and more say yes
 *   unknown ─────────────────────────────────────────────────────────────────────────────▶ public
 *      │ ▲───────────── nobody could be asked for AUTONAT_OUTCOME_LIFE ──────────────────────┤ ▲
 *      ▼ │                                                                                 ▼ │
 *      └─┴────────────────────────────── the same with no ──────────────────────────────▶ private
 *
 * A verdict stays until the evidence says otherwise. Each source (an IP address, of IPv6 a /56) has one voice on each address, so
 * that one machine with many identities is one server. A voice that contradicts itself first loses its say and is asked again: one
 * failed dial must not take an address away. Where there are fewer servers than AUTONAT_CONFIDENCE, they decide: an application with a relay
 * of its own has no others, and what a server claims to have reached has brought us its nonce.
 *
 * Bounds: AUTONAT_MAX_TRACKED addresses, AUTONAT_MAX_ASKED of them in a request, AUTONAT_MAX_ASKING requests at a time, one to each server and
 * one after AUTONAT_PAUSE; servers are connected peers.
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import {
  AUTONAT_CONFIDENCE,
  AUTONAT_DELAY,
  AUTONAT_FAILED_PAUSE,
  AUTONAT_FAILED_PAUSE_MAX,
  AUTONAT_MAX_ASKED,
  AUTONAT_MAX_ASKING,
  AUTONAT_MAX_TRACKED,
  AUTONAT_OUTCOME_LIFE,
  AUTONAT_PAUSE,
  AUTONAT_REFRESH,
  AUTONAT_REFUSED_PAUSE,
} from '../../limits.ts'
import type { Asked } from './conversation.ts'

export type Reachability = 'public' | 'private' | 'unknown'

export interface Server {
  readonly peer: PeerId
  /** Whose voice it is. */
  readonly source: string
  /** Those of version 1 are asked only where there is none of version 2. */
  readonly version: 1 | 2
  /** IP addresses that it may be asked about; all, if absent. Version 1 dials no other than it sees us at. */
  readonly ip?: string | undefined
}

export interface Probe {
  readonly server: Server
  /** The first one is what it is for. */
  readonly asked: readonly Asked[]
}

export type Result =
  /** The address at `index` was dialled, those before it could not be. */
  | { readonly t: 'dialled'; readonly index: number; readonly reached: boolean }
  /** The server can or will dial none of them. */
  | { readonly t: 'refused' }
  /** Nothing is known from it: no answer, too many requests, nonsense. */
  | { readonly t: 'failed' }

interface Known {
  readonly server: Server
  restsUntil: number
  asking: boolean
  failures: number
}

class Track {
  asked: Asked
  verdict: Reachability = 'unknown'
  /** By source. */
  readonly evidence = new Map<string, { readonly reached: boolean; readonly at: number }>()
  /** Until when a source is not asked, for it can't dial this. */
  readonly refused = new Map<string, number>()
  /** A request whose first address this is, is under way. */
  asking = false
  readonly notBefore: number
  refreshAt = Number.POSITIVE_INFINITY
  /** When a server last said anything. */
  heardAt = 0

  constructor(asked: Asked, now: number) {
    this.asked = asked
    this.notBefore = now + AUTONAT_DELAY
  }

  get score(): number {
    let score = 0
    for (const { reached } of this.evidence.values()) score += reached ? 1 : -1
    return score
  }
}

export class Verdicts {
  #tracks = new Map<string, Track>()
  readonly #servers = new Map<PeerId, Known>()
  #asking = 0

  /** Replaces the addresses that are looked after: the first ones first. What is known of those that stay, stays. */
  track(addresses: readonly Asked[], now: number): void {
    const before = this.#tracks
    this.#tracks = new Map()
    for (const asked of addresses) {
      if (this.#tracks.size >= AUTONAT_MAX_TRACKED) break
      const { text } = asked.address
      const track = before.get(text) ?? new Track(asked, now)
      track.asked = asked
      this.#tracks.set(text, track)
    }
  }

  /** A peer that answers requests is there. */
  admit(server: Server, now: number): void {
    const known = this.#servers.get(server.peer)
    if (known !== undefined && known.server.version === server.version && known.server.ip === server.ip) return
    this.#servers.set(server.peer, {
      server,
      restsUntil: Math.max(now + AUTONAT_DELAY, known?.restsUntil ?? 0),
      asking: known?.asking ?? false,
      failures: known?.failures ?? 0,
    })
  }

  dismiss(peer: PeerId): void {
    this.#servers.delete(peer)
  }

  get servers(): number {
    return this.#servers.size
  }

  verdictOf({ text }: Multiaddr): Reachability {
    return this.#tracks.get(text)?.verdict ?? 'unknown'
  }

  /** The addresses with this verdict, in their order. */
  all(verdict: Reachability): Multiaddr[] {
    return [...this.#tracks.values()].filter((track) => track.verdict === verdict).map(({ asked }) => asked.address)
  }

  /** The network is another one: what was found says nothing any more. Verdicts stay until the next ones. */
  doubt(now: number): void {
    for (const track of this.#tracks.values()) {
      track.evidence.clear()
      track.refused.clear()
      track.refreshAt = Number.POSITIVE_INFINITY
    }
    for (const known of this.#servers.values()) {
      known.failures = 0
      known.restsUntil = Math.min(known.restsUntil, now + AUTONAT_DELAY)
    }
  }

  /** Whom to ask about what, now; each one is to be settled. `dice`, from 0 to 1, chooses among servers. */
  next(now: number, dice: number): Probe | undefined {
    this.#forget(now)
    const voters = this.#voters()
    // Who had not spoken yet may be gone.
    for (const track of this.#tracks.values()) this.#judge(track, voters)
    if (this.#asking >= AUTONAT_MAX_ASKING) return undefined
    for (const track of this.#tracks.values()) {
      const decided = this.#decided(track, voters)
      const due = track.asking ? [] : voters.filter((known) => dueAt(track, known, decided) <= now)
      const known = due[Math.floor(dice * due.length)]
      if (known === undefined) continue
      // Version 1 tells of a failure without saying which one it was.
      const others = known.server.version === 1 ? [] : [...this.#tracks.values()].filter((each) => each !== track && !each.asking)
      const more = others.filter((each) => dueAt(each, known, this.#decided(each, voters)) <= now).slice(0, AUTONAT_MAX_ASKED - 1)
      known.asking = true
      track.asking = true
      this.#asking += 1
      return { server: known.server, asked: [track, ...more].map(({ asked }) => asked) }
    }
    return undefined
  }

  /** When `next` may have something again; undefined where only an event can tell. */
  deadline(): number | undefined {
    if (this.#asking >= AUTONAT_MAX_ASKING) return undefined
    const voters = this.#voters()
    let first = Number.POSITIVE_INFINITY
    for (const track of this.#tracks.values()) {
      if (track.asking) continue
      const decided = this.#decided(track, voters)
      for (const known of voters) first = Math.min(first, dueAt(track, known, decided))
      if (track.verdict !== 'unknown') first = Math.min(first, track.heardAt + AUTONAT_OUTCOME_LIFE)
    }
    return first === Number.POSITIVE_INFINITY ? undefined : first
  }

  /** `dice`, from 0 to 1, spreads what comes next. */
  settle({ server, asked }: Probe, result: Result, now: number, dice: number): void {
    this.#asking -= 1
    const [first] = asked
    const target = first && this.#tracks.get(first.address.text)
    if (target !== undefined) target.asking = false
    const known = this.#servers.get(server.peer)
    if (known !== undefined) {
      known.asking = false
      known.failures = result.t === 'failed' ? known.failures + 1 : 0
      const pause =
        result.t === 'failed' ? Math.min(AUTONAT_FAILED_PAUSE * 2 ** (known.failures - 1), AUTONAT_FAILED_PAUSE_MAX) : AUTONAT_PAUSE
      known.restsUntil = now + pause * (1 + 0.2 * dice)
    }
    if (result.t === 'failed') return
    const refused = result.t === 'refused' ? asked : asked.slice(0, result.index)
    for (const { address } of refused) this.#tracks.get(address.text)?.refused.set(server.source, now + AUTONAT_REFUSED_PAUSE)
    const track = result.t === 'dialled' ? this.#tracks.get(asked[result.index]?.address.text ?? '') : undefined
    if (track === undefined || result.t !== 'dialled') return
    const { reached } = result
    if (track.verdict !== 'unknown' && (track.verdict === 'public') !== reached) this.#dropAbsent(track)
    const before = track.evidence.get(server.source)
    if (before !== undefined && before.reached !== reached) track.evidence.delete(server.source)
    else track.evidence.set(server.source, { reached, at: now })
    track.refused.delete(server.source)
    track.heardAt = now
    track.refreshAt = now + AUTONAT_REFRESH * (0.8 + 0.4 * dice)
    this.#judge(track, this.#voters())
  }

  /** Things have changed: who is not here to be asked again has no say in it. */
  #dropAbsent(track: Track): void {
    const here = new Set(this.#voters().map(({ server }) => server.source))
    for (const source of track.evidence.keys()) if (!here.has(source)) track.evidence.delete(source)
  }

  #judge(track: Track, voters: readonly Known[]): void {
    if (this.#decided(track, voters)) track.verdict = track.score > 0 ? 'public' : 'private'
  }

  /** The servers that are asked. */
  #voters(): Known[] {
    const all = [...this.#servers.values()]
    const modern = all.filter(({ server }) => server.version === 2)
    return modern.length > 0 ? modern : all
  }

  #decided(track: Track, voters: readonly Known[]): boolean {
    const { score } = track
    if (Math.abs(score) >= AUTONAT_CONFIDENCE) return true
    // One that only fails is not waited for.
    const silent = ({ server: { source }, failures }: Known): boolean =>
      failures === 0 && !track.evidence.has(source) && !track.refused.has(source)
    return score !== 0 && !voters.some((known) => silent(known) && about(known.server, track))
  }

  #forget(now: number): void {
    for (const track of this.#tracks.values()) {
      for (const [source, until] of track.refused) if (until <= now) track.refused.delete(source)
      for (const [source, { at }] of track.evidence) if (at + AUTONAT_OUTCOME_LIFE <= now) track.evidence.delete(source)
      if (track.heardAt + AUTONAT_OUTCOME_LIFE <= now) track.verdict = 'unknown'
    }
  }
}

/** Whether a server may be asked about an address at all. */
const about = ({ ip }: Server, { asked }: Track): boolean => ip === undefined || asked.address.parts[0]?.value === ip

/** When a server may be asked about an address next. */
const dueAt = (track: Track, known: Known, decided: boolean): number => {
  const { server, asking, restsUntil } = known
  if (asking || !about(server, track)) return Number.POSITIVE_INFINITY
  const heard = decided || track.evidence.has(server.source)
  return Math.max(heard ? track.refreshAt : track.notBefore, track.refused.get(server.source) ?? 0, restsUntil)
}
