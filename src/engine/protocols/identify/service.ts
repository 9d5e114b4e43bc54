/**
 * The identify service: asks every new connection who is there, answers the same question, and pushes changes.
 *
 *   connection opens ─▶ ask ─▶ node.identified          a remote asks ─▶ tell
 *   our addresses or protocols change ─▶ pushes.ts ─▶ push to all who take pushes
 *   a remote pushes ─▶ node.identified, where what it left out has not changed
 *
 * Bounds: one question for each connection, IDENTIFY_TIMEOUT for its answer; pushes of a remote are read IDENTIFY_PUSH_BURST at a time and
 * then one in IDENTIFY_PUSH_INTERVAL; frames, addresses and protocols as in conversation.ts and messages.ts.
 */

import { TabmeshError } from '../../../errors.ts'
import { peerRecordUse } from '../../codec/envelope.ts'
import { encapsulate, type Multiaddr, peerIdOf, withoutPeerId } from '../../codec/multiaddr.ts'
import { IDENTIFY_PUSH_BURST, IDENTIFY_PUSH_INTERVAL, IDENTIFY_TIMEOUT, MULTIADDR_MAX_BYTES } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Identified, Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { OwnRecord } from '../../wire/own-record.ts'
import { listen, push, tell, type Verified } from './conversation.ts'
import type { Identify } from './messages.ts'
import { IDENTIFY_PUSH, Pushes } from './pushes.ts'

/** https://github.com/libp2p/specs/blob/master/identify/README.md */
export const IDENTIFY = '/ipfs/id/1.0.0'
const PROTOCOL_VERSION = 'ipfs/0.1.0'
const AGENT = 'tabmesh/0.1.0'

export interface IdentifyOptions {
  /** `name/version` of this software as others see it. */
  readonly agent?: string
}

export const identifyService = ({ agent = AGENT }: IdentifyOptions = {}): Service => {
  let net: Net
  let ownRecord: OwnRecord
  let pushes: Pushes
  /** When each remote's allowance of pushes began to fill, in the time of `now`. */
  const pushedUntil = new WeakMap<Connection, number>()

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

  /** Says who we are over `stream`, in the words of `talk`. */
  const send = (stream: Stream, talk: typeof tell, what: string, done: (taken: boolean) => void = () => {}): void => {
    ownRecord.ask((envelope) => {
      pushes.telling(stream.connection)
      converse(stream, talk(introduce(stream.connection, envelope)), net.host, {
        timeout: IDENTIFY_TIMEOUT,
        what,
        done: (outcome) => {
          if (outcome.ok) stream.finish(net.host)
          done(outcome.ok)
        },
      })
    })
  }

  const receive = (stream: Stream, isPush: boolean): void => {
    converse(stream, listen(stream.connection.remotePeer), net.host, {
      timeout: IDENTIFY_TIMEOUT,
      what: isPush ? 'identify push' : 'identify',
      done: (outcome) => {
        if (!outcome.ok) return
        const { connection } = stream
        stream.finish(net.host)
        // Before anybody chooses a connection by what was learnt.
        if (connection.direct && !isPush) connection.proven = true
        net.identified(connection, learn(connection, outcome.value, isPush))
        pushes.identified(connection)
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
      ownRecord = new OwnRecord(net, peerRecordUse)
      pushes = new Pushes(net, (connection, done) => send(connection.openStream([IDENTIFY_PUSH]), push, 'telling what changed', done))
    },
    onConnection(connection) {
      receive(connection.openStream([IDENTIFY]), false)
    },
    onStream(stream) {
      if (stream.protocol === IDENTIFY) send(stream, tell, 'telling who we are')
      else if (mayPush(stream.connection)) receive(stream, true)
      else stream.abort(new TabmeshError('ERR_STREAM_LIMIT', `${stream.connection.remotePeer} introduces itself too often`))
    },
    onSelfChange: () => pushes.changed(),
    stop: () => pushes.stop(),
  }
}

/**
 * What came on top of what is known of the connection. What is absent has not changed; and an answer that comes after a push is older
 * than the push, for it was asked for when the connection opened: it only fills in.
 */
const learn = (connection: Connection, verified: Verified, isPush: boolean): Identified => {
  const known = connection.identified
  const told = ofItsOwn(verified, connection)
  const [first, second] = isPush || known === undefined ? [told, known] : [known, told]
  return {
    protocols: first.protocols.length > 0 ? first.protocols : (second?.protocols ?? []),
    addresses: first.addresses.length > 0 ? first.addresses : (second?.addresses ?? []),
    agent: first.agent || (second?.agent ?? ''),
    protocolVersion: first.protocolVersion || (second?.protocolVersion ?? ''),
    observed: first.observed ?? second?.observed,
    ...recordOf(first.recordSeq === undefined ? (second ?? first) : first),
  }
}

const recordOf = ({
  certified,
  signedRecord,
  recordSeq,
}: Pick<Identified, 'certified' | 'signedRecord' | 'recordSeq'>): Pick<Identified, 'certified' | 'signedRecord' | 'recordSeq'> => ({
  certified,
  signedRecord,
  recordSeq,
})

/** What it told, without addresses that are not its own and, over a relay, without how it sees us: it sees the relay. */
const ofItsOwn = (verified: Verified, connection: Connection): Identified => {
  const own = (list: readonly Multiaddr[]): Multiaddr[] =>
    list.filter((address) => belongs(address, connection)).map((address) => complete(address, connection))
  const certified = verified.certified === undefined ? undefined : own(verified.certified)
  return {
    protocols: verified.protocols,
    addresses: certified ?? own(verified.addresses),
    certified,
    agent: verified.agent ?? '',
    protocolVersion: verified.protocolVersion ?? '',
    observed: connection.direct ? verified.observed : undefined,
    signedRecord: verified.signedRecord?.slice(),
    recordSeq: verified.recordSeq,
  }
}

/** Room for `/p2p` and the longest peer id there is. */
const ROOM_FOR_PEER = 64

/**
 * An address that ends in another peer is not this one's; one that ends in what we can't read may be anybody's; one that leaves no
 * room for its peer can't be dialled.
 */
const belongs = (address: Multiaddr, connection: Connection): boolean =>
  address.parts.at(-1)?.name !== 'unknown' &&
  address.bytes.length <= MULTIADDR_MAX_BYTES - ROOM_FOR_PEER &&
  (peerIdOf(address) ?? connection.remotePeer) === connection.remotePeer

const complete = (address: Multiaddr, connection: Connection): Multiaddr =>
  peerIdOf(address) === undefined ? encapsulate(address, `/p2p/${connection.remotePeer}`) : address
