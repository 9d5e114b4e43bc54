// Pubsub of one of our peers as the cases use it: the calls that the peers of js-libp2p and go-libp2p offer too (../peers/js/rooms.mjs,
// ../peers/go/rooms.go), on `peer.pubsub` and nothing else. Bytes cross the border of a page as plain arrays.

import { newTally, publishSeries } from '../peers/js/series.mjs'

const TIMEOUT = 30_000

/**
 * @typedef {{ from: string, seqno: number[], data: number[], id: string }} PlainMessage
 * @typedef {{ received: PlainMessage[], tally: ReturnType<typeof newTally>, arrived: () => void }} OurRoom
 */

/** @param {import('../../src/peer.ts').Peer} peer */
export const roomsOf = (peer) => {
  /** @type {Map<string, OurRoom>} */
  const rooms = new Map()
  let listening = false

  const listen = () => {
    if (listening) return
    listening = true
    peer.pubsub.addEventListener('message', ({ detail: { topic, from, seqno, data, id } }) => {
      const room = rooms.get(topic)
      if (room === undefined || from === peer.id || room.tally.add(from ?? '', data)) return
      room.received.push({ from: from ?? '', seqno: seqno === undefined ? [] : seqnoBytes(seqno), data: [...data], id })
      room.arrived()
    })
  }

  /** @param {string} topic */
  const joined = (topic) => {
    const room = rooms.get(topic)
    if (room === undefined) throw new Error(`not joined: ${topic}`)
    return room
  }

  return {
    /** @param {string} topic */
    async join(topic) {
      if (rooms.has(topic)) return
      listen()
      rooms.set(topic, { received: [], tally: newTally(), arrived() {} })
      await peer.pubsub.subscribe(topic)
    },
    /** @param {string} topic */
    async leave(topic) {
      joined(topic)
      rooms.delete(topic)
      await peer.pubsub.unsubscribe(topic)
    },
    /** The message's id. @param {string} topic @param {number[]} data */
    publish: async (topic, data) => (await peer.pubsub.publish(topic, Uint8Array.from(data))).id,
    /** Takes what others have published, once `count` have come. @param {string} topic @param {{ count?: number, timeout?: number }} [options] */
    async messages(topic, { count = 0, timeout = TIMEOUT } = {}) {
      const room = joined(topic)
      const end = performance.now() + timeout
      while (room.received.length < count) {
        const left = end - performance.now()
        if (left <= 0) throw new Error(`${room.received.length} of ${count} messages came`)
        await new Promise((resolve) => {
          room.arrived = () => resolve(undefined)
          setTimeout(resolve, left)
        })
      }
      return room.received.splice(0)
    },
    /** @param {string} topic */
    subscribers: async (topic) => [...(await peer.pubsub.subscribers(topic))],
    /** @param {string} topic */
    mesh: async (topic) => [...((await peer.pubsub.inspect()).topics.find(({ name }) => name === topic)?.mesh ?? [])],
    scores: async () => Object.fromEntries((await peer.pubsub.inspect()).peers.map(({ id, score }) => [id, score])),
    /** @param {string} topic @param {{ count: number, bytes: number, rate: number, timeout?: number }} options */
    burst: (topic, { count, bytes, rate, timeout = TIMEOUT }) =>
      publishSeries(peer.id, { count, bytes, rate, signal: AbortSignal.timeout(timeout) }, (text) => peer.pubsub.publish(topic, text)),
    /** @param {string} topic */
    tally: async (topic) => joined(topic).tally.read(),
  }
}

/** @param {bigint} seqno */
const seqnoBytes = (seqno) => [...new Uint8Array(new BigUint64Array([seqno]).buffer)].reverse()
