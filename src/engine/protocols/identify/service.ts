/**
 * The identify service: asks every new connection who is there, answers the same question, and pushes changes.
 *
 *   connection opens ─▶ ask ─▶ node.identified        our addresses or protocols change
 *                                                       └─ settle PUSH_DELAY ─▶ push to all who take pushes
 *
 * Bounds: one question for each connection, IDENTIFY_TIMEOUT for its answer, one push in PUSH_DELAY.
 */

import { TabmeshError } from '../../../errors.ts'
import { encapsulate, type Multiaddr, peerIdOf, withoutPeerId } from '../../codec/multiaddr.ts'
import { IDENTIFY_PUSH_BURST, IDENTIFY_PUSH_DELAY, IDENTIFY_PUSH_INTERVAL, IDENTIFY_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { sealPeerRecord } from '../../wire/signed-envelope.ts'
import { listen, tell, type Verified } from './conversation.ts'
import type { Identify } from './messages.ts'

/** https://github.com/libp2p/specs/blob/master/identify/README.md */
export const IDENTIFY = '/ipfs/id/1.0.0'
export const IDENTIFY_PUSH = '/ipfs/id/push/1.0.0'
const PROTOCOL_VERSION = 'ipfs/0.1.0'
const AGENT = 'tabmesh/0.1.0'

export interface IdentifyOptions {
  /** `name/version` of this software as others see it. */
  readonly agent?: string
}

export const identifyService = ({ agent = AGENT }: IdentifyOptions = {}): Service => {
  let net: Net
  /** Our signed record, made once for each change of our addresses. */
  let record: { readonly addresses: string; readonly envelope: Uint8Array } | undefined
  let pushing = false
  /** The number of our last record: the next one is higher, whatever the clock says. */
  let lastSeq = 0
  /** When each remote's allowance of pushes began to fill, in the time of `now`. */
  const pushedUntil = new WeakMap<Connection, number>()

  /** Calls back with our signed record, or undefined if it could not be signed. */
  const withRecord = (use: (envelope: Uint8Array | undefined) => void): void => {
    const addresses = net.addresses.map((address) => address.text).join(' ')
    if (addresses === '') return use(undefined)
    if (record?.addresses === addresses) return use(record.envelope)
    lastSeq = Math.max(net.host.date(), lastSeq + 1)
    const seal = sealPeerRecord(net.publicKey, { seq: BigInt(lastSeq), addresses: net.addresses })
    const first = seal.next()
    if (first.done === true || first.value.t !== 'sign') return use(undefined)
    net.host.sign(first.value.bytes, (signature) => {
      const sealed = signature instanceof Uint8Array ? seal.next(signature) : undefined
      if (sealed?.done !== true) return use(undefined)
      record = { addresses, envelope: sealed.value }
      use(sealed.value)
    })
  }

  const introduce = (connection: Connection, signedRecord: Uint8Array | undefined): Identify => ({
    publicKey: net.publicKey.encoded,
    addresses: net.addresses,
    protocols: net.protocols(connection.limited),
    // Over a relay nothing of the remote is seen, and what WebRTC sees it does not tell.
    observed: connection.direct && connection.transport !== 'webrtc' ? withoutPeerId(connection.remoteAddr) : undefined,
    protocolVersion: PROTOCOL_VERSION,
    agent,
    signedRecord,
  })

  const send = (stream: Stream): void => {
    withRecord((envelope) => {
      converse(stream, tell(introduce(stream.connection, envelope)), net.host, {
        timeout: IDENTIFY_TIMEOUT,
        what: 'telling who we are',
        done: (outcome) => {
          if (outcome.ok) stream.finish(net.host)
        },
      })
    })
  }

  /** Takes over what came; in a push, what is absent has not changed. */
  const learn = (connection: Connection, verified: Verified, isPush: boolean): void => {
    const known = isPush ? connection.identified : undefined
    const addresses = (verified.certified ?? verified.addresses).filter((address) => belongs(address, connection))
    net.identified(connection, {
      protocols: verified.protocols.length > 0 ? verified.protocols : (known?.protocols ?? []),
      addresses: addresses.length > 0 ? addresses.map((address) => complete(address, connection)) : (known?.addresses ?? []),
      agent: verified.agent ?? known?.agent ?? '',
      protocolVersion: verified.protocolVersion ?? known?.protocolVersion ?? '',
      observed: connection.direct ? (verified.observed ?? known?.observed) : undefined,
      signedRecord: verified.signedRecord ?? known?.signedRecord,
      recordSeq: verified.recordSeq ?? known?.recordSeq,
    })
  }

  const receive = (stream: Stream, isPush: boolean): void => {
    converse(stream, listen(stream.connection.remotePeer), net.host, {
      timeout: IDENTIFY_TIMEOUT,
      what: isPush ? 'identify push' : 'identify',
      done: (outcome) => {
        if (!outcome.ok) return
        stream.finish(net.host)
        learn(stream.connection, outcome.value, isPush)
      },
    })
  }

  /** A bucket of IDENTIFY_PUSH_BURST that fills by one each IDENTIFY_PUSH_INTERVAL. */
  const mayPush = (connection: Connection): boolean => {
    const now = net.host.now()
    const until = Math.max(now, pushedUntil.get(connection) ?? now) + IDENTIFY_PUSH_INTERVAL
    if (until > now + IDENTIFY_PUSH_BURST * IDENTIFY_PUSH_INTERVAL) return false
    pushedUntil.set(connection, until)
    return true
  }

  return {
    name: 'identify',
    protocols: { [IDENTIFY]: { maxInbound: 2, allowLimited: true }, [IDENTIFY_PUSH]: { maxInbound: 2, allowLimited: true } },
    start(started) {
      net = started
    },
    onConnection(connection) {
      receive(connection.openStream([IDENTIFY]), false)
    },
    onStream(stream) {
      if (stream.protocol === IDENTIFY) send(stream)
      else if (mayPush(stream.connection)) receive(stream, true)
      else stream.abort(new TabmeshError('ERR_STREAM_LIMIT', `${stream.connection.remotePeer} introduces itself too often`))
    },
    onSelfChange() {
      if (pushing) return
      pushing = true
      net.host.after(IDENTIFY_PUSH_DELAY, () => {
        pushing = false
        for (const connection of net.connections()) {
          if (connection.status === 'open' && connection.identified?.protocols.includes(IDENTIFY_PUSH) === true) {
            send(connection.openStream([IDENTIFY_PUSH]))
          }
        }
      })
    },
  }
}

/** An address that ends in another peer is not this one's; one that ends in what we can't read may be anybody's. */
const belongs = (address: Multiaddr, connection: Connection): boolean =>
  address.parts.at(-1)?.name !== 'unknown' && (peerIdOf(address) ?? connection.remotePeer) === connection.remotePeer

const complete = (address: Multiaddr, connection: Connection): Multiaddr =>
  peerIdOf(address) === undefined ? encapsulate(address, `/p2p/${connection.remotePeer}`) : address
