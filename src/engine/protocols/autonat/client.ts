/**
 * The client of AutoNAT: has other peers dial our addresses, and tells only of those that can be reached.
 *
 *   announce (listeners, a port mapping) ──┐                    ┌─▶ announced: what was to be, without what proved out of reach
 *                                          ├─▶ verdicts.ts ─────┤
 *   identify ──▶ observed.ts: rumours ─────┘     │    ▲         └─▶ 'observed': rumours that proved to be true
 *                                           asks │    │ answers
 *                                               ▼    │
 *                    /libp2p/autonat/2/dial-request; where a peer has only version 1, /libp2p/autonat/1.0.0
 *
 * An answer counts only if it is borne out: the server says that it reached us, and in this time a new connection has come in by the transport
 * of that address, with our nonce on it (version 1 knows none). Who it came from does not matter: go and we dial back under another identity.
 *
 * What is private is told of as it is and not asked about. A public address of an interface of ours, or of our router, is told of until it proves out
 * of reach, as in go: without any server around it would never be. What others say of us is told of once it is confirmed, and as long as it is.
 *
 * Bounds: those of verdicts.ts and observed.ts; AUTONAT_TIMEOUT for a request.
 */

import { equalBytes } from '../../codec/bytes.ts'
import { type Multiaddr, withoutPeerId } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { AUTONAT_DIAL_BACK_TIMEOUT, AUTONAT_MAX_INBOUND, AUTONAT_MAX_TRACKED, AUTONAT_TIMEOUT, OBSERVED_DELAY } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { type Asked, askDialBack, askDialBack1, takeDialBack } from './conversation.ts'
import { endpointOf, isPublicIp, sourceOf, transportOf } from './endpoint.ts'
import { DIAL_BACK_ERROR, DIAL_ERROR, DIAL_REFUSED, OK, V1_DIAL_ERROR, V1_DIAL_REFUSED, V1_OK } from './messages.ts'
import { Observed } from './observed.ts'
import { type Probe, type Reachability, type Result, Verdicts } from './verdicts.ts'

/** https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md */
export const DIAL_REQUEST = '/libp2p/autonat/2/dial-request'
export const DIAL_BACK = '/libp2p/autonat/2/dial-back'
/** https://github.com/libp2p/specs/blob/master/autonat/autonat-v1.md */
export const AUTONAT_V1 = '/libp2p/autonat/1.0.0'

export interface AutonatClientOptions {
  /** Also ask about addresses of private networks and of this machine, for tests and closed networks; servers have to allow it too. */
  readonly allowPrivate?: boolean
  /** Called after each change of what is known. */
  onChange?(): void
}

export interface AutonatClient extends Service {
  /** Where listeners are bound, all interfaces being `0.0.0.0` and `::`: what others see us at is theirs too. */
  listening(bound: readonly Multiaddr[]): void
  /** `Net.announce`, but for those addresses that prove to be out of reach. */
  announce(source: string, addresses: readonly Multiaddr[]): void
  /** Whether anybody can dial us without a relay: 'private' once it is known that none of our addresses can be. */
  readonly reachability: Reachability
  /** Addresses that others have reached us at. */
  readonly confirmed: readonly Multiaddr[]
}

/** A request under way, and the connection that it brought. */
interface Pending {
  readonly since: number
  readonly asked: readonly Asked[]
  arrived: Connection | undefined
  onArrival: (() => void) | undefined
}

export const autonatClient = ({ allowPrivate = false, onChange = () => {} }: AutonatClientOptions = {}): AutonatClient => {
  let net: Net
  const observed = new Observed()
  const verdicts = new Verdicts()
  /** What is to be announced, by source. */
  const claims = new Map<string, readonly Multiaddr[]>()
  /** Candidates that only remotes' words speak for. */
  let rumours: ReadonlySet<string> = new Set()
  /** By nonce. */
  const pending = new Map<bigint, Pending>()
  /** Those of version 1: any connection that comes is theirs. */
  const waiting = new Set<Pending>()
  /** When a connection came, on the host's clock. */
  const cameAt = new WeakMap<Connection, number>()
  let reachability: Reachability = 'unknown'
  let told = 'unknown '
  let timer: Cancel = () => {}
  let gathering: Cancel | undefined
  let running = false

  const isPublic = (address: Multiaddr): boolean => {
    const endpoint = endpointOf(address)
    return endpoint !== undefined && (allowPrivate || isPublicIp(endpoint.ip))
  }

  const dice = (): number => {
    const [a = 0, b = 0] = net.host.random(2)
    return ((a << 8) | b) / 65_536
  }

  // ── what there is to ask about ─────────────────────────────────────────────────────────────────────────────

  const gather = (): void => {
    gathering?.()
    gathering = undefined
    if (!running) return
    const candidates = new Map<string, Asked>()
    const add = (asked: Asked): void => {
      if (isPublic(asked.address) && !candidates.has(asked.address.text)) candidates.set(asked.address.text, asked)
    }
    for (const list of claims.values()) for (const address of list) add({ address, pays: true })
    const seen = observed.candidates()
    // A connection that saw us there may be gone; the address is not for that.
    const kept = verdicts.all('public').filter(({ text }) => rumours.has(text))
    rumours = new Set([...seen.map(({ address }) => address), ...kept].map(({ text }) => text))
    for (const asked of [...seen, ...kept.map((address) => ({ address, pays: false }))]) add(asked)
    verdicts.track([...candidates.values()].slice(0, AUTONAT_MAX_TRACKED), net.host.now())
    proceed()
  }

  const gatherSoon = (): void => {
    gathering ??= net.host.after(OBSERVED_DELAY, gather)
  }

  /** Tells others, and the application, what is known now. */
  const tell = (): void => {
    const confirmed = verdicts.all('public')
    const claimed = new Set([...claims.values()].flat().map(({ text }) => text))
    const rest = confirmed.filter(({ text }) => !claimed.has(text))
    net.announce('observed', rest)
    for (const [source, list] of claims) {
      const left = list.filter((address) => verdicts.verdictOf(address) !== 'private')
      net.announce(source, left)
    }
    const now =
      confirmed.length > 0 ? 'public' : verdicts.all('private').length > 0 && verdicts.all('unknown').length === 0 ? 'private' : 'unknown'
    const words = `${now} ${confirmed.map(({ text }) => text).join(' ')}`
    if (words === told) return
    told = words
    reachability = now
    net.emit({ t: 'reachability:change', reachability, addresses: confirmed })
    onChange()
  }

  // ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────

  const proceed = (): void => {
    timer()
    if (!running) return
    for (let probe = verdicts.next(net.host.now(), dice()); probe !== undefined; probe = verdicts.next(net.host.now(), dice())) ask(probe)
    const deadline = verdicts.deadline()
    if (deadline !== undefined) timer = net.host.after(Math.max(1, deadline - net.host.now()), proceed)
    tell()
  }

  const ask = (probe: Probe): void => {
    let over = false
    const settle = (result: Result): void => {
      if (over) return
      over = true
      verdicts.settle(probe, result, net.host.now(), dice())
      proceed()
    }
    const connection = direct(probe.server.peer)
    if (connection === undefined) net.host.defer(() => settle({ t: 'failed' }))
    else if (probe.server.version === 2) askOver(connection, probe, settle)
    else askOver1(connection, probe, settle)
  }

  const direct = (peer: PeerId): Connection | undefined => net.connections(peer).find((each) => each.direct && each.status === 'open')

  const askOver = (connection: Connection, { asked, server }: Probe, settle: (result: Result) => void): void => {
    const nonce = newNonce()
    const entry: Pending = { since: net.host.now(), asked, arrived: undefined, onArrival: undefined }
    pending.set(nonce, entry)
    const finish = (result: Result): void => {
      pending.delete(nonce)
      settle(result)
    }
    const stream = connection.openStream([DIAL_REQUEST])
    converse(stream, askDialBack(asked, nonce), net.host, {
      timeout: AUTONAT_TIMEOUT,
      what: `having ${server.peer} dial us`,
      done: (outcome) => {
        if (!outcome.ok) return finish({ t: 'failed' })
        stream.finish(net.host)
        const { status, index, dialStatus } = outcome.value
        if (status === DIAL_REFUSED) return finish({ t: 'refused' })
        const address = asked[index]?.address
        if (status !== OK || address === undefined) return finish({ t: 'failed' })
        if (dialStatus === DIAL_ERROR)
          return finish(entry.arrived === undefined ? { t: 'dialled', index, reached: false } : { t: 'failed' })
        if (dialStatus !== OK && dialStatus !== DIAL_BACK_ERROR) return finish({ t: 'failed' })
        // Go: the nonce is here, so it was reached, whatever became of it after that.
        const patience = dialStatus === OK ? AUTONAT_DIAL_BACK_TIMEOUT : 0
        awaitArrival(entry, address, patience, (came) => finish(came ? { t: 'dialled', index, reached: true } : { t: 'failed' }))
      },
    })
  }

  const askOver1 = (connection: Connection, { asked, server }: Probe, settle: (result: Result) => void): void => {
    const [first] = asked
    const entry: Pending = { since: net.host.now(), asked, arrived: undefined, onArrival: undefined }
    waiting.add(entry)
    const finish = (result: Result): void => {
      waiting.delete(entry)
      settle(result)
    }
    const addresses = asked.map(({ address }) => address)
    const stream = connection.openStream([AUTONAT_V1])
    converse(stream, askDialBack1(net.self, addresses), net.host, {
      timeout: AUTONAT_TIMEOUT,
      what: `having ${server.peer} dial us`,
      done: (outcome) => {
        if (!outcome.ok || first === undefined) return finish({ t: 'failed' })
        stream.finish(net.host)
        const { status, address } = outcome.value
        if (status === V1_DIAL_REFUSED) return finish({ t: 'refused' })
        if (status === V1_DIAL_ERROR) return finish({ t: 'dialled', index: 0, reached: false })
        // It also dials where it sees us; that such a port answers says nothing of ours.
        if (status !== V1_OK || (address !== undefined && !names(address, first.address))) return finish({ t: 'failed' })
        awaitArrival(entry, first.address, AUTONAT_DIAL_BACK_TIMEOUT, (came) =>
          finish(came ? { t: 'dialled', index: 0, reached: true } : { t: 'failed' }),
        )
      },
    })
  }

  /** A version 1 server may say the address with our peer id behind it. */
  const names = (bytes: Uint8Array, address: Multiaddr): boolean => equalBytes(bytes.subarray(0, address.bytes.length), address.bytes)

  /** Whether a connection by the transport of `address` comes, or has come, for this request. */
  const awaitArrival = (entry: Pending, address: Multiaddr, patience: number, done: (came: boolean) => void): void => {
    const came = (): boolean => entry.arrived !== undefined && fits(entry.arrived, address)
    if (came() || patience === 0) return done(came())
    const late = net.host.after(patience, () => done(false))
    entry.onArrival = () => {
      late()
      done(came())
    }
  }

  const arrive = (entry: Pending, connection: Connection): void => {
    entry.arrived = connection
    entry.onArrival?.()
  }

  const newNonce = (): bigint => {
    const bytes = net.host.random(8)
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  }

  /** The first of each nonce: on a connection that came after we asked, by the transport of an address that we asked for. */
  const isExpected = (connection: Connection, nonce: bigint): boolean => {
    const entry = pending.get(nonce)
    if (entry === undefined || entry.arrived !== undefined || !isNew(connection, entry)) return false
    if (!entry.asked.some(({ address }) => fits(connection, address))) return false
    arrive(entry, connection)
    return true
  }

  /** One that we have not heard of yet has only just come: its first stream may be here before it is told of. */
  const isNew = (connection: Connection, { since }: Pending): boolean =>
    connection.direction === 'inbound' && connection.direct && (cameAt.get(connection) ?? since) >= since

  // ── who there is to ask ────────────────────────────────────────────────────────────────────────────────────

  const meet = (connection: Connection): void => {
    const { identified, remotePeer: peer, remoteAddr } = connection
    if (identified === undefined || !connection.direct || connection.limited || connection.transport === 'webrtc') return
    const remote = endpointOf(remoteAddr)
    // On a private network each peer is a machine; on the Internet each machine may be many peers.
    const source = remote !== undefined && isPublicIp(remote.ip) ? sourceOf(remote.ip) : peer
    const seen = identified.observed
    const at = seen === undefined ? undefined : endpointOf(seen)
    if (seen !== undefined && at !== undefined && isPublic(seen)) {
      observed.note(connection, { direction: connection.direction, transport: connection.transport, observer: source, observed: at })
    } else observed.forget(connection)
    const { protocols } = identified
    if (protocols.includes(DIAL_REQUEST)) verdicts.admit({ peer, source, version: 2 }, net.host.now())
    else if (protocols.includes(AUTONAT_V1) && at !== undefined) verdicts.admit({ peer, source, version: 1, ip: at.host }, net.host.now())
    else verdicts.dismiss(peer)
    gatherSoon()
  }

  return {
    name: 'autonat client',
    protocols: { [DIAL_BACK]: { maxInbound: AUTONAT_MAX_INBOUND } },
    start(started) {
      net = started
      running = true
      gather()
    },
    onConnection(connection) {
      if (connection.direction !== 'inbound' || !connection.direct) return
      cameAt.set(connection, net.host.now())
      for (const entry of waiting) {
        if (entry.arrived === undefined && entry.asked.some(({ address }) => fits(connection, address))) arrive(entry, connection)
      }
    },
    onIdentify: meet,
    onDisconnect(connection) {
      observed.forget(connection)
      const { remotePeer: peer } = connection
      if (direct(peer) === undefined) verdicts.dismiss(peer)
      if (running) gatherSoon()
    },
    onStream(stream: Stream) {
      const { connection } = stream
      converse(
        stream,
        takeDialBack((nonce) => isExpected(connection, nonce)),
        net.host,
        {
          timeout: AUTONAT_DIAL_BACK_TIMEOUT,
          what: 'a dial back',
          done: (outcome) => {
            if (outcome.ok) stream.finish(net.host)
          },
        },
      )
    },
    onNetworkChange(online) {
      if (!online || !running) return
      verdicts.doubt(net.host.now())
      rumours = new Set()
      gather()
    },
    stop() {
      running = false
      timer()
      gathering?.()
    },
    listening(bound) {
      observed.listen(bound)
      gather()
    },
    announce(source, addresses) {
      claims.set(
        source,
        addresses.map((address) => withoutPeerId(address) ?? address),
      )
      gather()
    },
    get reachability() {
      return reachability
    },
    get confirmed() {
      return verdicts.all('public')
    },
  }
}

/** Whether what came may be a dial of `address`: by its transport, and over its IP. The local address itself no transport tells. */
const fits = ({ transport, remoteAddr }: Connection, address: Multiaddr): boolean => {
  const [remote, asked] = [endpointOf(remoteAddr), endpointOf(address)]
  return transport === transportOf(address) && (remote === undefined || asked === undefined || remote.ip.length === asked.ip.length)
}
