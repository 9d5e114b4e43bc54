/**
 * Where STUN is answered: `/tabmesh/stun/1.0.0`, a protocol of tabmesh's own relays.
 *
 *   client                            relay
 *     │── opens a stream ───────────────▶│
 *     │◀─ { 1: UDP port, 2: host }, FIN ─│   no host: the one that the relay was dialled at
 *
 * A client asks every relay that it dialled itself and that speaks the protocol; the answer is its ICE server for as long as the
 * connection lives. So nobody's server is contacted but those of relays that the application chose.
 *
 * Bounds: one answer of STUN_MAX_ANSWER bytes from each relay, within STUN_ANSWER_TIMEOUT; STUN_MAX_SERVERS are used at a time.
 */

import { remoteFault } from '../../../errors.ts'
import { message, string, uint } from '../../codec/protobuf.ts'
import { STUN_ANSWER_TIMEOUT, STUN_MAX_ANSWER, STUN_MAX_SERVERS } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import { type Conversation, converse, end, readSome } from '../../wire/conversation.ts'
import { readFrame, writeFrame } from '../../wire/frame.ts'

export const STUN = '/tabmesh/stun/1.0.0'

const Answer = message({ port: uint(1), host: string(2) })

/** Where a relay answers binding requests. */
export interface StunPlace {
  readonly port: number
  /** A name or an IP address; the relay's own where absent. */
  readonly host?: string
}

/** The relay's side: tells `place` to whoever asks. */
export const stunDirectory = (place: () => StunPlace): Service => {
  let net: Net
  return {
    name: 'stun directory',
    protocols: { [STUN]: { maxInbound: 2 } },
    start(started) {
      net = started
    },
    onStream(stream) {
      converse(stream, tell(place()), net.host, {
        timeout: STUN_ANSWER_TIMEOUT,
        what: 'telling where STUN is answered',
        done: (outcome) => {
          if (outcome.ok) stream.finish(net.host)
        },
      })
    },
  }
}

export interface StunClient extends Service {
  /** `stun:` URLs (RFC 7064) of the relays that are connected, the first one asked first. */
  servers(): readonly string[]
}

export const stunClient = (): StunClient => {
  let net: Net
  /** Undefined until the relay has answered. */
  const known = new Map<Connection, string | undefined>()
  return {
    name: 'stun client',
    protocols: {},
    start(started) {
      net = started
    },
    onIdentify(connection) {
      const ours = connection.direction === 'outbound' && connection.direct && connection.identified?.protocols.includes(STUN) === true
      if (!ours || known.has(connection)) return
      known.set(connection, undefined)
      const stream = connection.openStream([STUN])
      converse(stream, ask(), net.host, {
        timeout: STUN_ANSWER_TIMEOUT,
        what: 'asking where STUN is answered',
        done: (outcome) => {
          if (!outcome.ok) return
          stream.finish(net.host)
          if (known.has(connection)) known.set(connection, urlOf(outcome.value, connection))
        },
      })
    },
    onDisconnect(connection) {
      known.delete(connection)
    },
    servers: () => [...new Set([...known.values()].filter((url) => url !== undefined))].slice(0, STUN_MAX_SERVERS),
  }
}

function* tell({ port, host }: StunPlace): Conversation<void> {
  yield* writeFrame(Answer.encode({ port, host }))
  yield* end()
}

function* ask(): Conversation<StunPlace> {
  yield* end()
  const { port, host } = Answer.decode(yield* readFrame(STUN_MAX_ANSWER))
  while ((yield* readSome(STUN_MAX_ANSWER)).length > 0);
  if (port === undefined || port < 1 || port > 65_535) throw remoteFault('ERR_PROTOCOL', `STUN at port ${port}`)
  // RFC 7064 §3.1: what could be more than a host is none.
  if (host !== undefined && !/^([\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])$/.test(host)) throw remoteFault('ERR_PROTOCOL', 'STUN at no host')
  return host === undefined ? { port } : { port, host }
}

/** Undefined where the address that the relay was dialled at has no host. */
const urlOf = ({ port, host }: StunPlace, { remoteAddr }: Connection): string | undefined => {
  const own = remoteAddr.parts.find(({ name }) => /^(ip4|ip6|dns|dns4|dns6)$/.test(name))
  const at = host ?? (own?.name === 'ip6' ? `[${own.value}]` : own?.value)
  return at === undefined ? undefined : `stun:${at}:${port}`
}
