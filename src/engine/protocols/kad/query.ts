/**
 * Queries: lookups over the network. Each drives a Lookup machine with requests and the host's clock; the table learns from what becomes of
 * them, and the driver hears of each answer as it comes.
 *
 *   run ─▶ (as many as may: wait) ─▶ (no seeds yet: wait for the first peer) ─▶ Lookup ◀─▶ Requests ─▶ answers… ─▶ done
 *
 * Bounds: KAD_MAX_LOOKUPS at a time and KAD_MAX_LOOKUPS_WAITING behind them; a lookup's own deadline counts from when it begins, waiting for
 * that ends after as long, and waiting for the first peer after KAD_FIRST_PEER.
 */

import { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { KAD_FIRST_PEER, KAD_LOOKUP_TIMEOUT, KAD_MAX_LOOKUPS, KAD_MAX_LOOKUPS_WAITING } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { type Key, keyOf } from './keys.ts'
import { type Ending, Lookup } from './lookup.ts'
import type { KadMessage, KadPeer } from './messages.ts'
import type { Admit } from './network.ts'
import { isOfRemote, type Requests } from './requests.ts'
import type { Contact, Table, TableInput } from './table.ts'

export interface QueryEnd {
  readonly ending: Ending
  readonly closest: readonly Contact[]
}

export interface Query {
  /** What is asked of everybody; its key is what is looked for. */
  readonly message: KadMessage
  readonly paths?: number
  readonly timeout?: number
  /** One has answered. Returns whether that is enough. */
  onAnswer?(contact: Contact, answer: KadMessage): boolean
  /** One of the nearest, as far as is known: see Lookup. */
  onNear?(contact: Contact): void
  done(outcome: Outcome<QueryEnd>): void
}

export interface QueriesOptions {
  readonly net: Net
  readonly requests: Requests
  readonly table: Table
  readonly keyOf: (peer: PeerId) => Key
  readonly admit: Admit
  readonly k: number
  readonly alpha: number
  readonly paths: number
  /** What became of a request, for the table. */
  tellTable(input: TableInput): void
  /** Adds what else is known of the addresses of those whom an answer names. */
  complete(peer: KadPeer): KadPeer
}

interface Waiting {
  begin(): void
}

export class Queries {
  readonly #options: QueriesOptions
  readonly #waiting = new Set<Waiting>()
  readonly #running = new Set<(fault: TabmeshError) => void>()
  /** Those that wait for the table's first peer. */
  readonly #hungry = new Set<() => void>()

  constructor(options: QueriesOptions) {
    this.#options = options
  }

  /** The table has a peer. */
  fed(): void {
    for (const begin of [...this.#hungry]) begin()
  }

  stop(): void {
    const fault = new TabmeshError('ERR_STOPPED', 'the peer stops')
    for (const fail of [...this.#running]) fail(fault)
  }

  /** Looks up; `done` is called once, unless it is given up by the function that is returned. */
  run(query: Query): Cancel {
    const { net } = this.#options
    const { host } = net
    const timeout = query.timeout ?? KAD_LOOKUP_TIMEOUT
    let over = false
    let lookup: Lookup | undefined
    let timer: Cancel = () => {}
    const asking = new Map<PeerId, Cancel>()

    const leave = (): void => {
      over = true
      timer()
      this.#running.delete(fail)
      this.#waiting.delete(waiting)
      this.#hungry.delete(seed)
      for (const cancel of asking.values()) cancel()
      asking.clear()
      this.#next()
    }
    const settle = (outcome: Outcome<QueryEnd>): void => {
      if (over) return
      leave()
      query.done(outcome)
    }
    const fail = (fault: TabmeshError): void => settle({ ok: false, fault })

    const begin = (): void => {
      this.#waiting.delete(waiting)
      this.#running.add(fail)
      seed()
    }
    const seed = (): void => {
      const { table, k, alpha, paths, keyOf: keyOfPeer, admit } = this.#options
      const target = keyOf(query.message.key)
      const seeds = table.closest(target, k)
      if (seeds.length === 0) {
        this.#hungry.add(seed)
        timer()
        timer = host.after(Math.min(KAD_FIRST_PEER, timeout), () => fail(new TabmeshError('ERR_NO_PEERS', 'nobody could be asked')))
        return
      }
      this.#hungry.delete(seed)
      timer()
      this.#options.tellTable({ t: 'looked up', key: target })
      lookup = new Lookup(
        { target, self: net.self, seeds, keyOf: keyOfPeer, admit, k, alpha, paths: query.paths ?? paths, timeout },
        host.now(),
      )
      drive()
    }
    const drive = (): void => {
      if (lookup === undefined || over) return
      for (let output = lookup.poll(); output !== undefined; output = lookup.poll()) {
        if (output.t === 'ask') ask(output.contact)
        else if (output.t === 'near') {
          query.onNear?.(output.contact)
          if (over) return
        } else if (output.t === 'abandon') {
          asking.get(output.peer)?.()
          asking.delete(output.peer)
          if (output.late) this.#options.tellTable({ t: 'failed', peer: output.peer })
        } else return settle({ ok: true, value: { ending: output.ending, closest: output.closest } })
      }
      timer()
      timer = host.after(Math.max(0, lookup.deadline - host.now()), () => {
        lookup?.handle({ t: 'time' }, host.now())
        drive()
      })
    }
    const ask = (contact: Contact): void => {
      const { peer, addresses } = contact
      let answered = false
      const cancel = this.#options.requests.ask(contact, query.message, (outcome) => {
        answered = true
        asking.delete(peer)
        if (over || lookup === undefined) return
        if (!outcome.ok) {
          if (isOfRemote(outcome.fault)) this.#options.tellTable({ t: 'failed', peer })
          lookup.handle({ t: 'failed', peer }, host.now())
        } else {
          this.#options.tellTable({ t: 'speaks', peer, addresses })
          const isEnough = query.onAnswer?.(contact, outcome.value) === true
          const closer = outcome.value.closer.map((each) => this.#options.complete(each))
          if (over) return
          lookup.handle({ t: 'answered', peer, closer }, host.now())
          if (isEnough) lookup.handle({ t: 'stop' }, host.now())
        }
        host.defer(drive)
      })
      if (!answered) asking.set(peer, cancel)
    }

    const waiting: Waiting = { begin }
    timer = host.after(timeout, () => fail(new TabmeshError('ERR_TIMEOUT', 'too many lookups wait')))
    if (this.#running.size < KAD_MAX_LOOKUPS) begin()
    else if (this.#waiting.size < KAD_MAX_LOOKUPS_WAITING) this.#waiting.add(waiting)
    else host.defer(() => fail(new TabmeshError('ERR_TIMEOUT', `${KAD_MAX_LOOKUPS_WAITING} lookups wait already`)))
    return () => {
      if (!over) leave()
    }
  }

  #next(): void {
    for (const waiting of this.#waiting) {
      if (this.#running.size >= KAD_MAX_LOOKUPS) return
      waiting.begin()
    }
  }
}
