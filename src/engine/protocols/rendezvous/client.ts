/**
 * The rendezvous client: registers us and keeps us registered, finds others, watches for those who come.
 *
 *   register ─▶ registration.ts        discover ─▶ one answer, verified        watch ─▶ watch.ts
 *
 * Whom we deal with we stay connected to: the peer has a tag `keep-alive…` for as long as there is a registration or a watch.
 *
 * Bounds: RENDEZVOUS_MAX_KEPT registrations and as many watches; what an answer may have: conversation.ts.
 */

import { TabmeshError } from '../../../errors.ts'
import { utf8Length } from '../../codec/bytes.ts'
import { routingRecordUse } from '../../codec/envelope.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  RENDEZVOUS_LEAVE_TIMEOUT,
  RENDEZVOUS_MAX_FOUND,
  RENDEZVOUS_MAX_KEPT,
  RENDEZVOUS_MAX_NAMESPACE,
  RENDEZVOUS_MAX_TTL,
  RENDEZVOUS_PAGE,
  RENDEZVOUS_POLL,
  RENDEZVOUS_POLL_MIN,
  RENDEZVOUS_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import { converse, type Outcome } from '../../wire/conversation.ts'
import { OwnRecord } from '../../wire/own-record.ts'
import { type Answered, askToDiscover, type FoundPeer, tellUnregister } from './conversation.ts'
import { ask, openTo, refusal } from './desk.ts'
import { RENDEZVOUS, Status } from './messages.ts'
import { type RegisterOptions, Registration } from './registration.ts'
import { type Look, Watch, type WatchOptions } from './watch.ts'

export interface RendezvousClientOptions {
  /** Takes in what a verified record says, for the peer store. Its envelope may be in the form of RFC 0003, which go and js do not read. */
  learn?(found: FoundPeer): void
}

export interface DiscoverOptions {
  /** Registrations at most, 1 to 1,000; 200 if absent. */
  readonly limit?: number
  /** Of an earlier answer: only those who came since. One that the server does not know any more is left out. */
  readonly cookie?: Uint8Array | undefined
}

export interface RendezvousClient extends Service {
  /**
   * Registers us with the peer `at` and keeps us registered until `unregister`; a second time with other options. Peers are told all that we are
   * dialled at. Throws ERR_INVALID_ARGUMENT.
   */
  register(at: PeerId, namespace: string, options?: RegisterOptions): Registration
  /** Whether we were, or wanted to be. */
  unregister(at: PeerId, namespace: string): boolean
  /** Unregisters everywhere; calls back when that has been heard, or has taken RENDEZVOUS_LEAVE_TIMEOUT. To be waited for before the node stops. */
  leave(done: () => void): void
  /** Asks once who is registered there; in any namespace, where none is named. Throws ERR_INVALID_ARGUMENT. */
  discover(at: PeerId, namespace: string | undefined, options: DiscoverOptions, done: (outcome: Outcome<Answered>) => void): Cancel
  /** Looks now and each `interval` milliseconds; `stop` ends it. Throws ERR_INVALID_ARGUMENT. */
  watch(at: PeerId, namespace: string, options: Omit<WatchOptions, 'interval'> & { readonly interval?: number }): Watching
}

export interface Watching {
  /** Looks now, as well. */
  look(): void
  stop(): void
}

/** As a tag: as much as a relay's holder of a slot. */
const WORTH = 20

export const rendezvousClient = ({ learn = () => {} }: RendezvousClientOptions = {}): RendezvousClient => {
  let net: Net
  let own: OwnRecord
  const registrations = new Map<string, Registration>()
  const watches = new Set<Watch>()

  const weigh = (at: PeerId): void => {
    const needed = [...registrations.values(), ...watches].some((each) => each.at === at)
    net.tag(at, 'keep-alive-rendezvous', needed ? WORTH : undefined)
  }

  const look = (
    at: PeerId,
    namespace: string | undefined,
    limit: number,
    cookie: Uint8Array | undefined,
    done: Parameters<Look>[4],
  ): Cancel => {
    let giveUp: Cancel = () => {}
    const once = (known: Uint8Array | undefined): Cancel =>
      ask(
        net,
        at,
        () => askToDiscover(net.self, namespace, limit, known),
        (outcome, connection) => {
          if (!outcome.ok) return done(outcome, connection)
          if (outcome.value.t === 'found') {
            for (const found of outcome.value.peers) learn(found)
            return done({ ok: true, value: outcome.value }, connection)
          }
          if (outcome.value.status === Status.E_INVALID_COOKIE && known !== undefined) {
            giveUp = once(undefined)
            return
          }
          done({ ok: false, fault: refusal(at, outcome.value) }, connection)
        },
      )
    giveUp = once(cookie)
    return () => giveUp()
  }

  /** Over the connection there is: for this none is made. `done` hears when the server has taken notice, or won't. */
  const forget = (registration: Registration, done: () => void = () => {}): void => {
    const connection = registration.stop() ? openTo(net, registration.at) : undefined
    if (connection === undefined) return net.host.defer(done)
    const stream = connection.openStream([RENDEZVOUS])
    converse(stream, tellUnregister(registration.namespace), net.host, {
      timeout: RENDEZVOUS_TIMEOUT,
      what: 'unregistering',
      done: (outcome) => {
        if (outcome.ok) stream.finish(net.host)
        done()
      },
    })
  }

  const concerned = (peer: PeerId): (Registration | Watch)[] => [...registrations.values(), ...watches].filter(({ at }) => at === peer)

  return {
    name: 'rendezvous client',
    protocols: {},
    start(started) {
      net = started
      // In the form of RFC 0003: rust's server and its clients read no other, and one record of another makes such a client drop the whole answer.
      own = new OwnRecord(net, routingRecordUse)
    },
    onConnection(connection: Connection) {
      for (const each of concerned(connection.remotePeer)) each.connected(connection)
    },
    onHangUp(peer) {
      for (const each of concerned(peer)) each.pause()
    },
    onSelfChange() {
      for (const each of registrations.values()) each.moved()
    },
    stop() {
      for (const each of [...registrations.values(), ...watches]) each.stop()
      watches.clear()
      registrations.clear()
    },
    leave(done) {
      const leaving = [...registrations.values()]
      registrations.clear()
      let left = leaving.length
      let over = false
      const settle = (): void => {
        if (over) return
        over = true
        late()
        done()
      }
      const late = net.host.after(RENDEZVOUS_LEAVE_TIMEOUT, settle)
      if (left === 0) net.host.defer(settle)
      for (const registration of leaving) {
        forget(registration, () => {
          left -= 1
          if (left === 0) settle()
        })
        weigh(registration.at)
      }
    },
    register(at, namespace, options = {}) {
      checkNamespace(namespace)
      const { ttl } = options
      if (ttl !== undefined && !(Number.isInteger(ttl) && ttl > 0 && ttl <= RENDEZVOUS_MAX_TTL))
        throw new TabmeshError('ERR_INVALID_ARGUMENT', `a ttl is from 1 to ${RENDEZVOUS_MAX_TTL} seconds, not ${ttl}`)
      const key = `${at} ${namespace}`
      registrations.get(key)?.stop()
      if (!registrations.has(key) && registrations.size >= RENDEZVOUS_MAX_KEPT) throw tooMany('registrations')
      const registration = new Registration(net, own, at, namespace, options)
      registrations.set(key, registration)
      weigh(at)
      registration.start()
      return registration
    },
    unregister(at, namespace) {
      const key = `${at} ${namespace}`
      const registration = registrations.get(key)
      if (registration === undefined) return false
      registrations.delete(key)
      forget(registration)
      weigh(at)
      return true
    },
    discover(at, namespace, { limit = RENDEZVOUS_PAGE, cookie }, done) {
      if (namespace !== undefined) checkNamespace(namespace)
      if (!(Number.isInteger(limit) && limit > 0 && limit <= RENDEZVOUS_MAX_FOUND))
        throw new TabmeshError('ERR_INVALID_ARGUMENT', `a limit is from 1 to ${RENDEZVOUS_MAX_FOUND}, not ${limit}`)
      return look(at, namespace, limit, cookie, (outcome) => done(outcome))
    },
    watch(at, namespace, { interval = RENDEZVOUS_POLL, ...options }) {
      checkNamespace(namespace)
      if (watches.size >= RENDEZVOUS_MAX_KEPT) throw tooMany('watches')
      const watch = new Watch(net, look, at, namespace, { ...options, interval: Math.max(RENDEZVOUS_POLL_MIN, interval) })
      watches.add(watch)
      weigh(at)
      watch.look()
      return {
        look: () => watch.look(),
        stop() {
          watch.stop()
          if (watches.delete(watch)) weigh(at)
        },
      }
    },
  }
}

const tooMany = (what: string): TabmeshError =>
  new TabmeshError('ERR_INVALID_ARGUMENT', `${RENDEZVOUS_MAX_KEPT} rendezvous ${what} are kept already`)

const checkNamespace = (namespace: string): void => {
  const length = utf8Length(namespace)
  if (length === 0 || length > RENDEZVOUS_MAX_NAMESPACE)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a namespace has 1 to ${RENDEZVOUS_MAX_NAMESPACE} bytes, not ${length}`)
}
