// @ts-nocheck: js-libp2p's packages and types are only there once this folder's own `npm ci` has run
//
// Gossipsub of the js-libp2p peer, and its commands: those of the go-libp2p peer (../go/rooms.go). Bytes cross in base64.
//
// Its message ids are go's unless told otherwise, `from ‖ seqno`: js-libp2p's own have the public key in place of the peer id, and what is told by id (IHAVE, IWANT,
// IDONTWANT) is understood only among peers that make the same ones. Without signatures it is SHA-256 of the data, its own.

import { gossipsub, StrictNoSign, StrictSign } from '@libp2p/gossipsub'
import { newTally, publishSeries } from './series.mjs'

const SEQNO_BYTES = 8
/** What is kept of a topic until it is asked for. */
const KEPT = 4096
/** Looking for messages that have been asked for. */
const TURN = 10

/** `from ‖ seqno` */
function originId({ from, sequenceNumber }) {
  const author = from.toMultihash().bytes
  const id = new Uint8Array(author.length + SEQNO_BYTES)
  id.set(author)
  new DataView(id.buffer).setBigUint64(author.length, sequenceNumber)
  return id
}

/** By it a copy is known before its signature is checked again. @returns {string} */
const quickId = ({ from, seqno }) => `${Buffer.from(from ?? []).toString('latin1')} ${Buffer.from(seqno ?? []).toString('latin1')}`

/** @param {{ signing?: 'StrictSign' | 'StrictNoSign', messageId?: 'go' | 'js', peerExchange?: boolean }} options */
export const pubsubService = ({ signing = 'StrictSign', messageId = 'go', peerExchange = false } = {}) =>
  gossipsub({
    globalSignaturePolicy: signing === 'StrictSign' ? StrictSign : StrictNoSign,
    ...(signing === 'StrictSign' && { fastMsgIdFn: quickId, ...(messageId === 'go' && { msgIdFn: originId }) }),
    allowPublishToZeroTopicPeers: true,
    doPX: peerExchange,
  })

export const pubsubCommands = (node) => {
  const { pubsub } = node.services
  /** topic -> { received, tally } */
  const rooms = new Map()
  const traffic = { idontwantReceived: 0, pruneReceived: 0, offersReceived: 0, messagesReceived: 0 }

  const handle = pubsub.handleReceivedRpc.bind(pubsub)
  pubsub.handleReceivedRpc = (from, rpc) => {
    traffic.messagesReceived += rpc.messages.length
    traffic.idontwantReceived += (rpc.control?.idontwant ?? []).reduce((sum, { messageIDs }) => sum + messageIDs.length, 0)
    const prunes = rpc.control?.prune ?? []
    traffic.pruneReceived += prunes.length
    traffic.offersReceived += prunes.reduce((sum, { peers }) => sum + peers.length, 0)
    return handle(from, rpc)
  }

  pubsub.addEventListener('gossipsub:message', ({ detail: { propagationSource, msgId, msg } }) => {
    const room = rooms.get(msg.topic)
    const from = msg.from?.toString() ?? ''
    if (room === undefined || room.tally.add(from, msg.data)) {
      return
    }
    if (room.received.length < KEPT) {
      room.received.push({
        from,
        receivedFrom: propagationSource.toString(),
        seqno: msg.sequenceNumber === undefined ? '' : seqnoBytes(msg.sequenceNumber),
        data: Buffer.from(msg.data).toString('base64'),
        id: msgId,
      })
    }
  })

  const joined = (topic) => {
    const room = rooms.get(topic)
    if (room === undefined) {
      throw new Error(`not joined: ${topic}`)
    }
    return room
  }

  return {
    join({ topic }) {
      if (!rooms.has(topic)) {
        rooms.set(topic, { received: [], tally: newTally() })
        pubsub.subscribe(topic)
      }
    },
    leave({ topic }) {
      joined(topic)
      rooms.delete(topic)
      pubsub.unsubscribe(topic)
    },
    async publish({ topic, data }) {
      await pubsub.publish(topic, new Uint8Array(Buffer.from(data, 'base64')))
    },
    async messages({ topic, count = 0 }, signal) {
      const room = joined(topic)
      while (room.received.length < count) {
        if (signal.aborted) {
          throw new Error(`${room.received.length} of ${count} messages came`)
        }
        await new Promise((resolve) => setTimeout(resolve, TURN))
      }
      return room.received.splice(0)
    },
    subscribers: ({ topic }) => pubsub.getSubscribers(topic).map(String),
    mesh: ({ topic }) => [...pubsub.getMeshPeers(topic)],
    burst: ({ topic, count, bytes, rate }, signal) =>
      publishSeries(node.peerId.toString(), { count, bytes, rate, signal }, (text) =>
        pubsub.publish(topic, new TextEncoder().encode(text)),
      ),
    tally: ({ topic }) => joined(topic).tally.read(),
    traffic: () => traffic,
    scores: () => Object.fromEntries([...pubsub.peers.keys()].map((id) => [id, pubsub.score.score(id)])),
  }
}

function seqnoBytes(seqno) {
  const bytes = Buffer.alloc(SEQNO_BYTES)
  bytes.writeBigUInt64BE(seqno)
  return bytes.toString('base64')
}
