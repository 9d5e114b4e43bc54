/**
 * Room: one room that we are in: who is there (members.ts), what we say (voice.ts), by gossip (gossip.ts) or by the streams to other members (links.ts).
 *
 *   send ─▶ voice ─┬─ a stream to each member ─▶ by stream ──────────────────────────┐
 *                  └─ else: signed ─▶ gossip, in any order, now and then twice ──────┴─▶ members.ts: each once, in order ─▶ the application
 *
 * Of a small room all members have streams to each other. What is said there goes by these: gossip would have it signed, checked by each, and sent to each by
 * all others as well (eight members: some 40 copies and seven checks for one message). In larger rooms, and until all streams are there, gossip carries it.
 *
 * A peer is a member when it has said something that is sealed with the key of the room; being in the topic is not enough.
 *
 * Bounds: those of the parts.
 */

import { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { ROOM_CROWD, ROOM_JOIN_PATIENCE, ROOM_JOIN_TIMEOUT, ROOM_MAX_MESSAGE, ROOM_MAX_PART, ROOM_MAX_PRESENCE } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { FENCE, secretFor } from './fence.ts'
import type { FileEvents, FileSource } from './file-sender.ts'
import { Files, type OfferedFile } from './files.ts'
import type { Found, Rendezvous } from './finder.ts'
import { Gossip, type Pubsub, type Verdict } from './gossip.ts'
import { Links } from './links.ts'
import { Members, type MembersInput, type MembersOutput } from './members.ts'
import { type Body, decodeBody, encodeWord, LIFE, type Preamble, ROOM_FILE, type Word } from './messages.ts'
import { type Place, unhex } from './place.ts'
import { Voice } from './voice.ts'

export type RoomEvent =
  | { readonly t: 'join'; readonly peer: PeerId; readonly presence: Uint8Array | undefined }
  /** `left` by its own word, or `lost`. */
  | { readonly t: 'leave'; readonly peer: PeerId; readonly reason: 'left' | 'lost' }
  | { readonly t: 'presence'; readonly peer: PeerId; readonly presence: Uint8Array | undefined }
  /** `data` may be a view of what is passed on: copy it before it is changed or handed over. */
  | { readonly t: 'message'; readonly peer: PeerId; readonly data: Uint8Array; readonly private: boolean }
  | { readonly t: 'file'; readonly peer: PeerId; readonly file: OfferedFile }
  /** Who is there has been met, as far as can be told. Once. */
  | { readonly t: 'ready' }

export interface RoomOwner {
  readonly net: Net
  readonly pubsub: Pubsub
  readonly rendezvous: Rendezvous
  /** Whether rooms may use a connection. */
  allows(connection: Connection): boolean
  /** Rendezvous points that there will be. */
  readonly points: number
  onEvent(event: RoomEvent): void
}

export class Room {
  readonly place: Place
  readonly #owner: RoomOwner
  readonly #life: Uint8Array
  /** What the secrets of fences come from. */
  readonly #secret: Uint8Array
  readonly #members: Members
  readonly #voice: Voice
  readonly #gossip: Gossip
  readonly #links: Links
  readonly #files: Files
  readonly #waits: Cancel[] = []
  #timer: { readonly at: number; readonly cancel: Cancel } | undefined
  #ready = false
  #patient = true
  #holds = false
  #handling = false
  #left = false

  constructor(place: Place, owner: RoomOwner) {
    const { net } = owner
    const { host, self } = net
    this.place = place
    this.#owner = owner
    this.#life = lifeOf(host.date(), host.random(LIFE))
    this.#secret = host.random(FENCE)
    this.#members = new Members(self)
    this.#voice = new Voice(host.now(), () => fraction(host.random(4)))
    this.#gossip = new Gossip(place, net, owner.pubsub, this.#life)
    const holds = (): boolean => this.#holds
    this.#links = new Links({
      net,
      place,
      rendezvous: owner.rendezvous,
      members: this.#members,
      allows: owner.allows,
      secret: (peer) => secretFor(this.#secret, peer),
      hello: (peer, first) => this.#hello(peer, first),
      onWord: (peer, word, life) => this.#hear(peer, word, life),
      onPrivate: (peer, life, message) => this.#run({ t: 'private', peer, life, ...message }),
      onUnlinked: (peer) => this.#run({ t: 'linked', peer, on: false }),
      onUnreachable: (peer) => this.#run({ t: 'unreachable', peer }),
      onSettled: () => this.#settled(),
      get holds() {
        return holds()
      },
    })
    this.#files = new Files({
      net,
      place,
      allows: owner.allows,
      expects: (peer) => this.#members.expects(peer),
      onOffer: (file) => owner.onEvent({ t: 'file', peer: file.peer, file }),
    })
  }

  /** Begins, once the topic is joined; `presence` is what all are told of us from the first word on. */
  start(presence?: Uint8Array): void {
    this.#voice.presence = presence
    const { host } = this.#owner.net
    for (const peer of this.#gossip.peers) this.#links.meet(peer)
    const patience = host.after(ROOM_JOIN_PATIENCE, () => {
      this.#patient = false
      this.#settled()
    })
    this.#waits.push(
      patience,
      host.after(ROOM_JOIN_TIMEOUT, () => this.#becomeReady()),
    )
    host.defer(() => this.#settled())
    this.#run(undefined)
  }

  // ── the application ────────────────────────────────────────────────────────────────────────────────────────

  /** To all members; `done` hears when it is on its way. Throws ERR_INVALID_ARGUMENT. */
  send(data: Uint8Array, done?: () => void): void {
    checkSize(data)
    let at = 0
    do {
      const end = Math.min(data.length, at + ROOM_MAX_PART)
      const ends = end === data.length
      this.#publish({ t: 'message', data: data.subarray(at, end), begins: at === 0, ends }, false, ends ? done : undefined)
      at = end
    } while (at < data.length)
  }

  /** To one member; `done` hears when it has come there, or why it won't. Throws ERR_INVALID_ARGUMENT. */
  sendTo(peer: PeerId, data: Uint8Array, done: (fault: TabmeshError | undefined) => void): void {
    checkSize(data)
    if (!this.#members.has(peer)) return done(notThere(peer))
    const link = this.#links.with(peer)
    link.send(data, this.#voice.next, done)
    if (!link.open) this.#links.reach(peer)
  }

  /** Sends a file to one member; the returned function gives it up. Throws ERR_INVALID_ARGUMENT, ERR_NOT_IN_ROOM. */
  sendFile(peer: PeerId, source: FileSource, events: FileEvents): Cancel {
    if (!this.#members.has(peer)) throw notThere(peer)
    return this.#files.send(peer, source, events)
  }

  /** What all are told of us; JSON. Throws ERR_INVALID_ARGUMENT. */
  tellPresence(presence: Uint8Array | undefined): void {
    if (presence !== undefined && presence.length > ROOM_MAX_PRESENCE)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `a presence of ${presence.length} bytes, where ${ROOM_MAX_PRESENCE} are allowed`)
    this.#voice.tellPresence(presence, this.#now)
    this.#run(undefined)
  }

  /** The application is behind, or has caught up: private messages wait meanwhile. */
  set holds(holds: boolean) {
    this.#holds = holds
    if (!holds) this.#links.resume()
  }

  /** Says goodbye. The topic is for the caller to leave. */
  leave(): void {
    if (this.#left) return
    this.#publish({ t: 'leave' }, true)
    this.#left = true
    this.#timer?.cancel()
    for (const cancel of this.#waits) cancel()
    this.#files.stop()
    this.#links.leave()
  }

  // ── what comes ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A message on the topic, signed by `from`. */
  published(from: PeerId, data: Uint8Array): Verdict {
    if (this.#left || from === this.#owner.net.self) return 'ignore'
    const now = this.#now
    if (!this.#members.admits(from, now)) return 'ignore'
    const read = this.#gossip.read(from, data)
    if (typeof read === 'string') return read
    this.#owner.net.host.defer(() =>
      this.#run({ t: 'published', from, ...read, before: this.#before(from, read.life, read.number, read.body) }),
    )
    return 'accept'
  }

  /** A peer of ours has come into the topic. */
  subscribed(peer: PeerId): void {
    if (!this.#left) this.#links.subscribed(peer)
  }

  /** A stream about this room, behind its preamble. */
  accept(stream: Stream, preamble: Preamble): void {
    if (stream.protocol === ROOM_FILE) this.#files.accept(stream, preamble)
    else this.#links.with(stream.connection.remotePeer).accept(stream, preamble)
  }

  /** One of our relays is connected. */
  point(at: PeerId): void {
    this.#links.point(at)
  }

  /** Somebody says that they are there. */
  found(peers: readonly Found[]): void {
    this.#links.found(peers)
  }

  /** Whether there is somebody to be found yet: no relay tells of members, or one is heard that no stream connects us with. */
  get seeks(): boolean {
    return this.#links.seeks
  }

  connection({ remotePeer }: Connection): void {
    this.#links.get(remotePeer)?.settle()
    this.#files.connection(remotePeer)
  }

  /** The network is there again. */
  online(): void {
    this.#voice.hurry(false, this.#now)
    this.#links.online()
    this.#run(undefined)
  }

  #hear(peer: PeerId, word: Word, life: string): void {
    switch (word.t) {
      case 'hello':
        this.#links.greeted(peer)
        this.#run({ t: 'hello', peer, hello: word })
        if (this.#members.has(peer)) this.#links.keep(peer)
        return this.#settled()
      case 'again': {
        const body = decodeBody(word.body)
        return body === undefined
          ? undefined
          : this.#run({ t: 'again', peer, life, number: word.number, body, before: this.#before(peer, unhex(life), word.number, body) })
      }
      case 'repeat':
        this.#repeat(peer, word.from, word.to)
        return this.#run({ t: 'heard', peer })
      case 'leave':
        return this.#run({ t: 'goodbye', peer })
      case 'private':
      case 'taken':
        return this.#run({ t: 'heard', peer })
    }
  }

  /** The number of the private words of `peer` that come before this word of it. */
  #before(peer: PeerId, life: Uint8Array, number: number, { fences }: Body): number {
    return fences === undefined ? 0 : this.#links.before(peer, life, number, fences)
  }

  #repeat(peer: PeerId, from: number, to: number): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    const end = Math.min(to, this.#voice.next, from + 1024)
    for (let number = from; number < end; number++) {
      const body = this.#voice.said(number)
      if (body !== undefined && !link.say({ t: 'again', number, body })) return
    }
  }

  #settled(): void {
    if (this.#ready || this.#left) return
    const { points } = this.#owner
    // A relay that is away, or that gives us no slot, keeps nobody waiting for long where one has told who is there.
    const told = this.#patient ? this.#links.answered >= points : this.#links.looked >= Math.min(points, 1)
    if (told && this.#links.quiet) this.#becomeReady()
  }

  #becomeReady(): void {
    if (this.#ready) return
    this.#ready = true
    this.#owner.onEvent({ t: 'ready' })
  }

  // ── the machines ───────────────────────────────────────────────────────────────────────────────────────────

  get #now(): number {
    return this.#owner.net.host.now()
  }

  #hello(peer: PeerId, first: number): Uint8Array {
    const { next, presence } = this.#voice
    const secret = secretFor(this.#secret, peer)
    const interval = this.#voice.interval(this.#members.size)
    return encodeWord({ t: 'hello', life: this.#life, secret, next, first, interval, presence })
  }

  /** `wide`: also to those in the topic of whom nothing is known. */
  #publish(body: Body, wide: boolean, done?: () => void): void {
    if (this.#left) return
    const leaving = body.t === 'leave'
    const begins = leaving || (body.t === 'message' && body.begins)
    const fences = begins ? this.#links.fences(this.#life, this.#voice.next, leaving) : undefined
    const { number, body: plain } = this.#voice.say(fences === undefined ? body : { ...body, fences })
    const inTopic = this.#gossip.peers
    const links = wide ? undefined : this.#links.toAll(inTopic)
    if (links !== undefined) {
      for (const link of links) link.say({ t: 'again', number, body: plain })
      if (done !== undefined) this.#owner.net.host.defer(done)
      return
    }
    this.#gossip.publish(number, plain, done)
    for (const link of this.#links.beside(inTopic)) link.say({ t: 'again', number, body: plain })
  }

  #run(input: MembersInput | undefined): void {
    if (this.#left) return
    const now = this.#now
    if (input !== undefined) this.#members.handle(input, now)
    // What an output brings about comes behind it.
    if (this.#handling) return
    this.#handling = true
    for (let output = this.#members.poll(); output !== undefined; output = this.#members.poll()) this.#act(output, now)
    this.#handling = false
    const beat = this.#voice.beat(now, this.#members.size)
    if (beat !== undefined) this.#publish(beat.body, beat.wide)
    this.#arm()
  }

  #act(output: MembersOutput, now: number): void {
    const { onEvent } = this.#owner
    const { peer } = output.t === 'beat' ? { peer: '' } : output
    switch (output.t) {
      case 'beat':
        if (!output.soon || this.#members.size <= ROOM_CROWD) this.#voice.hurry(output.soon, now)
        return
      case 'ask':
        if (this.#links.get(peer)?.say({ t: 'repeat', from: output.from, to: output.to }) !== true) this.#links.with(peer).settle()
        return
      case 'join':
        onEvent.call(this.#owner, output)
        return this.#links.joined(peer)
      case 'leave':
        this.#links.gone(peer, output.reason === 'lost', notThere(peer))
        return onEvent.call(this.#owner, output)
      case 'presence':
        return onEvent.call(this.#owner, output)
      case 'message':
        return onEvent.call(this.#owner, output)
    }
  }

  #arm(): void {
    const at = Math.min(this.#members.deadline, this.#voice.deadline)
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    const { host } = this.#owner.net
    const cancel = host.after(Math.max(0, at - host.now()), () => {
      this.#timer = undefined
      this.#run({ t: 'time' })
    })
    this.#timer = { at, cancel }
  }
}

const checkSize = ({ length }: Uint8Array): void => {
  if (length > ROOM_MAX_MESSAGE)
    throw new TabmeshError(
      'ERR_INVALID_ARGUMENT',
      `a message of ${length} bytes, where ${ROOM_MAX_MESSAGE} are allowed; \`sendFile\` takes more`,
    )
}

const notThere = (peer: PeerId): TabmeshError => new TabmeshError('ERR_NOT_IN_ROOM', `${peer} is not in the room`)

/** The time in milliseconds, and then what is random. */
const lifeOf = (date: number, random: Uint8Array): Uint8Array => {
  const life = random.slice()
  let rest = Math.floor(date)
  for (let i = 5; i >= 0; i--) {
    life[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  return life
}

const fraction = (bytes: Uint8Array): number => {
  let value = 0
  for (const byte of bytes) value = (value + byte) / 256
  return value
}
