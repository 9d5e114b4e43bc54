/** A rendezvous point in a World, peers around it, and records as nobody should send them: for the tests of rendezvous. */

import {
  type EnvelopeUse,
  encodeEnvelope,
  encodePeerRecord,
  envelopeSigningBytes,
  type PeerRecord,
  routingRecordUse,
} from '../codec/envelope.ts'
import type { Connection } from '../net/connection.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { type RendezvousClient, rendezvousClient } from '../protocols/rendezvous/client.ts'
import type { FoundPeer } from '../protocols/rendezvous/conversation.ts'
import { RENDEZVOUS } from '../protocols/rendezvous/messages.ts'
import { type RendezvousServer, type RendezvousServerOptions, rendezvousServer } from '../protocols/rendezvous/server.ts'
import { type Conversation, converse, type Outcome, write } from '../wire/conversation.ts'
import { readFrame } from '../wire/frame.ts'
import type { World, WorldNode } from './world.ts'

export interface Point extends WorldNode {
  server: RendezvousServer
  /** The server starts anew, on the same node: what it knew is forgotten. */
  restart(): void
}

export interface Guest extends WorldNode {
  readonly client: RendezvousClient
  /** What the client handed to the peer store. */
  readonly learnt: FoundPeer[]
}

export const pointIn = (world: World, options: RendezvousServerOptions = {}): Point => {
  const server = rendezvousServer(options)
  const point: Point = {
    ...world.node(() => ({ services: [identifyService(), server.service] })),
    server,
    restart() {
      point.node.unmount(point.server.service)
      point.server = rendezvousServer(options)
      point.node.mount(point.server.service)
    },
  }
  return point
}

export const guestIn = (world: World): Guest => {
  const learnt: FoundPeer[] = []
  const client = rendezvousClient({
    learn(found) {
      learnt.push(found)
      guest.node.peerStore.certify(found.peer, found, guest.node.host.date())
    },
  })
  const guest: Guest = { ...world.node(() => ({ services: [identifyService(), client] })), client, learnt }
  return guest
}

export const outcomeOf = <T>(world: World, begin: (done: (outcome: Outcome<T>) => void) => void, within = 60_000): Outcome<T> => {
  let got: Outcome<T> | undefined
  begin((outcome) => {
    got = outcome
  })
  world.run(within, () => got !== undefined)
  if (got === undefined) throw new Error(`no outcome within ${within} ms`)
  return got
}

export const taken = <T>(outcome: Outcome<T>): T => {
  if (!outcome.ok) throw outcome.fault
  return outcome.value
}

export const connect = (world: World, from: WorldNode, to: WorldNode): Connection => {
  const connection = taken(outcomeOf<Connection>(world, (done) => from.node.dial({ addresses: [to.address] }, done)))
  world.run(200)
  return connection
}

/** A record as `node` signs it: of itself, with its own address, unless told otherwise. */
export const recordOf = (
  world: World,
  { node }: WorldNode,
  { use = routingRecordUse, ...changes }: Partial<PeerRecord> & { readonly use?: EnvelopeUse } = {},
): Uint8Array => {
  const payload = encodePeerRecord({ peerId: node.self, seq: BigInt(node.host.date()), addresses: node.addresses, ...changes })
  const signature = outcomeOf<Uint8Array>(world, (done) =>
    node.host.sign(envelopeSigningBytes(use, payload), (signed) =>
      done(signed instanceof Uint8Array ? { ok: true, value: signed } : { ok: false, fault: signed }),
    ),
  )
  return encodeEnvelope({ publicKey: node.publicKey, payloadType: use.payloadType, payload, signature: taken(signature) })
}

/** What comes back for bytes of any kind. */
export const send = (world: World, connection: Connection, from: WorldNode, bytes: Uint8Array): Outcome<Uint8Array> => {
  function* talk(): Conversation<Uint8Array> {
    yield* write(bytes)
    return yield* readFrame(1024 * 1024)
  }
  const stream = connection.openStream([RENDEZVOUS])
  return outcomeOf(world, (done) =>
    converse(stream, talk(), from.node.host, {
      timeout: 30_000,
      what: 'a test',
      done(outcome) {
        if (outcome.ok) stream.finish(from.node.host)
        done(outcome)
      },
    }),
  )
}
