/**
 * What waits to be sent to one peer, and in which RPCs it goes: control before messages, messages before gossip.
 *
 * Everything that comes up between two writes leaves together. What contradicts itself is said once: who is grafted and pruned before
 * either was written is pruned.
 *
 * Bounds. Subscriptions, GRAFT and PRUNE are kept by topic, so there is one for each topic we are in. Of messages at most
 * GOSSIP_MAX_QUEUED and GOSSIP_MAX_QUEUED_BYTES wait, of ids in IHAVE and IWANT GOSSIP_MAX_QUEUED_IDS: beyond, the oldest is dropped.
 * An RPC has at most the bytes asked for, unless a single message is longer. Of parts at most GOSSIP_MAX_QUEUED_PARTS and
 * GOSSIP_MAX_QUEUED_PARTS_BYTES wait: what comes then is refused, and who sends them told so, for they are not kept to be asked for.
 */

import {
  GOSSIP_MAX_LIST,
  GOSSIP_MAX_QUEUED,
  GOSSIP_MAX_QUEUED_BYTES,
  GOSSIP_MAX_QUEUED_IDS,
  GOSSIP_MAX_QUEUED_PARTS,
  GOSSIP_MAX_QUEUED_PARTS_BYTES,
} from '../../limits.ts'
import type { Message } from './message.ts'
import type { Control, Extensions, Have, PartialRole, Parts, Prune, Rpc, Subscription } from './rpc.ts'
import { none } from './rpc.ts'
import { graftLength, idLength, messageLength, partsLength, pruneLength, subscriptionLength } from './rpc-writer.ts'

/** A tag and a length. */
const HEAD = 6

export class Outbox {
  extensions: Extensions | undefined
  test = false
  /** Messages and lists of ids that were dropped because the peer was slow. */
  dropped = 0
  #subscriptions: Map<string, Subscription> | undefined
  #grafts: Set<string> | undefined
  #prunes: Map<string, Prune> | undefined
  #idontwant: string[] = none as unknown as string[]
  #iwant: string[] = none as unknown as string[]
  #haves: Have[] = none as unknown as Have[]
  #haveIds = 0
  #messages: Message[] = none as unknown as Message[]
  #head = 0
  #bytes = 0
  #parts: Parts[] | undefined
  #partsBytes = 0
  /** The last RPC carried parts: the next one is for what else waits. */
  #carried = false
  /** The ids of messages that wait, from the first question for one until none waits. */
  #waiting: Set<string> | undefined

  get empty(): boolean {
    return (
      this.#messages.length === this.#head &&
      this.#idontwant.length === 0 &&
      this.#haves.length === 0 &&
      this.#iwant.length === 0 &&
      this.#grafts === undefined &&
      this.#prunes === undefined &&
      this.#subscriptions === undefined &&
      this.#parts === undefined &&
      this.extensions === undefined &&
      !this.test
    )
  }

  /** Messages that wait. */
  get queued(): number {
    return this.#messages.length - this.#head
  }

  /** Whether a message waits. */
  has(id: string): boolean {
    if (this.queued === 0) return false
    if (this.#waiting === undefined) {
      this.#waiting = new Set()
      for (let i = this.#head; i < this.#messages.length; i++) this.#waiting.add((this.#messages[i] as Message).id)
    }
    return this.#waiting.has(id)
  }

  subscription(topic: string, subscribe: boolean, partial?: PartialRole): void {
    this.#subscriptions ??= new Map()
    this.#subscriptions.set(topic, partial === undefined ? { topic, subscribe } : { topic, subscribe, partial })
  }

  graft(topic: string): void {
    this.#prunes?.delete(topic)
    this.#grafts ??= new Set()
    this.#grafts.add(topic)
  }

  prune(prune: Prune): void {
    this.#grafts?.delete(prune.topic)
    this.#prunes ??= new Map()
    this.#prunes.set(prune.topic, prune)
  }

  message(message: Message): void {
    if (this.#messages.length === 0) this.#messages = []
    this.#messages.push(message)
    this.#waiting?.add(message.id)
    this.#bytes += message.raw.length
    while (this.queued > GOSSIP_MAX_QUEUED || this.#bytes > GOSSIP_MAX_QUEUED_BYTES) {
      this.dropped += 1
      this.#next()
    }
  }

  /** Whether there is room for them. */
  sendParts(parts: Parts): boolean {
    const length = partsLength(parts)
    const waiting = this.#parts?.length ?? 0
    if (waiting >= GOSSIP_MAX_QUEUED_PARTS || this.#partsBytes + length > GOSSIP_MAX_QUEUED_PARTS_BYTES) {
      this.dropped += 1
      return false
    }
    if (this.#parts === undefined) this.#parts = [parts]
    else this.#parts.push(parts)
    this.#partsBytes += length
    return true
  }

  /** `ids` may be shared, and is not changed. */
  have(topic: string, ids: readonly string[]): void {
    if (this.#haves.length === 0) this.#haves = []
    this.#haves.push({ topic, ids })
    this.#haveIds += ids.length
    while (this.#haveIds > GOSSIP_MAX_QUEUED_IDS && this.#haves.length > 1) {
      this.#haveIds -= (this.#haves.shift() as Have).ids.length
      this.dropped += 1
    }
  }

  want(ids: readonly string[]): void {
    this.#iwant = this.#limited(this.#iwant, ids)
  }

  dontWant(id: string): void {
    this.#idontwant = this.#limited(this.#idontwant, [id])
  }

  #limited(list: string[], more: readonly string[]): string[] {
    const all = list.length === 0 ? [...more] : list
    if (all === list) for (const id of more) list.push(id)
    if (all.length <= GOSSIP_MAX_QUEUED_IDS) return all
    this.dropped += 1
    return all.slice(all.length - GOSSIP_MAX_QUEUED_IDS)
  }

  /**
   * The next RPC of at most `max` bytes and `most` messages; undefined when there is none. IDONTWANT carries `maxDontWant` ids at a time, since
   * go looks at no more. Messages that `unwanted` names are left out.
   */
  take(max: number, maxDontWant: number, unwanted?: ReadonlyMap<string, number>, most = GOSSIP_MAX_LIST): Rpc | undefined {
    // The one case that counts: nothing but a few messages.
    if (
      this.#onlyMessages &&
      this.queued <= most &&
      this.#bytes + this.queued * HEAD <= max &&
      (unwanted === undefined || unwanted.size === 0)
    ) {
      if (this.queued === 0) return undefined
      const publish = this.#head === 0 ? this.#messages : this.#messages.slice(this.#head)
      this.#messages = none as unknown as Message[]
      this.#head = 0
      this.#bytes = 0
      this.#waiting = undefined
      return { subscriptions: none, publish, control: undefined, parts: undefined, test: false }
    }
    let room = max - 2 * HEAD
    const control: Control | undefined = this.#takeControl(room, maxDontWant, (left) => {
      room = left
    })
    const subscriptions: Subscription[] = []
    for (const subscription of this.#subscriptions?.values() ?? none) {
      room -= subscriptionLength(subscription)
      if (room < 0 && (subscriptions.length > 0 || control !== undefined)) break
      subscriptions.push(subscription)
      this.#subscriptions?.delete(subscription.topic)
    }
    if (this.#subscriptions?.size === 0) this.#subscriptions = undefined
    const some = control !== undefined || subscriptions.length > 0
    // Where messages wait, too, each second RPC is for them: neither keeps the other waiting for long.
    let parts = this.#carried && this.queued > 0 ? undefined : this.#takeParts(room, some)
    this.#carried = parts !== undefined
    if (parts !== undefined) room -= partsLength(parts)
    const publish: Message[] = []
    while (this.queued > 0) {
      const message = this.#messages[this.#head] as Message
      if (unwanted?.has(message.id)) {
        this.#next()
        continue
      }
      if (publish.length >= most) break
      room -= messageLength(message)
      if (room < 0 && (publish.length > 0 || some || parts !== undefined)) break
      publish.push(message)
      this.#next()
    }
    // None was left, or none may go now.
    if (publish.length === 0 && parts === undefined) {
      parts = this.#takeParts(room, some)
      if (parts !== undefined) room -= partsLength(parts)
    }
    const ihave = this.#takeHaves(room)
    const { test } = this
    this.test = false
    if (ihave.length > 0) return { subscriptions, publish, control: { ...(control ?? noControl), ihave }, parts, test }
    if (control === undefined && subscriptions.length === 0 && publish.length === 0 && parts === undefined && !test) return undefined
    return { subscriptions, publish, control, parts, test }
  }

  /** Those of one message: an RPC has room for no more. */
  #takeParts(room: number, some: boolean): Parts | undefined {
    const first = this.#parts?.[0]
    if (first === undefined) return undefined
    const length = partsLength(first)
    if (length > room && some) return undefined
    this.#partsBytes -= length
    this.#parts?.shift()
    if (this.#parts?.length === 0) this.#parts = undefined
    return first
  }

  get #onlyMessages(): boolean {
    return (
      this.#subscriptions === undefined &&
      this.#grafts === undefined &&
      this.#prunes === undefined &&
      this.#idontwant.length === 0 &&
      this.#iwant.length === 0 &&
      this.#haves.length === 0 &&
      this.#parts === undefined &&
      this.extensions === undefined &&
      !this.test
    )
  }

  #takeControl(room: number, maxDontWant: number, left: (room: number) => void): Control | undefined {
    const { extensions } = this
    this.extensions = undefined
    let some = extensions !== undefined
    const fits = (length: number): boolean => {
      room -= length
      if (room < 0 && some) return false
      some = true
      return true
    }
    const graft: string[] = []
    for (const topic of this.#grafts ?? none) {
      if (!fits(graftLength(topic))) break
      graft.push(topic)
      this.#grafts?.delete(topic)
    }
    if (this.#grafts?.size === 0) this.#grafts = undefined
    const prune: Prune[] = []
    for (const each of this.#prunes?.values() ?? none) {
      if (!fits(pruneLength(each))) break
      prune.push(each)
      this.#prunes?.delete(each.topic)
    }
    if (this.#prunes?.size === 0) this.#prunes = undefined
    const take = (list: string[], most: number): [taken: string[], rest: string[]] => {
      let count = 0
      while (count < list.length && count < most && fits(idLength(list[count] as string))) count += 1
      return count === list.length ? [list, none as unknown as string[]] : [list.slice(0, count), list.slice(count)]
    }
    const [idontwant, dontWantLater] = take(this.#idontwant, maxDontWant)
    const [iwant, wantLater] = take(this.#iwant, Number.POSITIVE_INFINITY)
    this.#idontwant = dontWantLater
    this.#iwant = wantLater
    left(room)
    return some ? { ihave: none, iwant, graft, prune, idontwant, extensions } : undefined
  }

  #takeHaves(room: number): readonly Have[] {
    if (this.#haves.length === 0) return none
    const taken: Have[] = []
    while (this.#haves.length > 0) {
      const { topic, ids } = this.#haves[0] as Have
      room -= graftLength(topic) + HEAD
      let count = 0
      while (count < ids.length) {
        room -= idLength(ids[count] as string)
        if (room < 0) break
        count += 1
      }
      if (count > 0) taken.push(count === ids.length ? { topic, ids } : { topic, ids: ids.slice(0, count) })
      this.#haveIds -= count
      if (count < ids.length) {
        this.#haves[0] = { topic, ids: ids.slice(count) }
        break
      }
      this.#haves.shift()
    }
    if (this.#haves.length === 0) this.#haves = none as unknown as Have[]
    return taken
  }

  #next(): void {
    const { raw, id } = this.#messages[this.#head] as Message
    this.#bytes -= raw.length
    this.#head += 1
    this.#waiting?.delete(id)
    if (this.#head === this.#messages.length) {
      this.#messages = none as unknown as Message[]
      this.#head = 0
      this.#waiting = undefined
    } else if (this.#head >= 64 && this.#head * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head)
      this.#head = 0
    }
  }
}

const noControl: Control = { ihave: none, iwant: none, graft: none, prune: none, idontwant: none, extensions: undefined }
