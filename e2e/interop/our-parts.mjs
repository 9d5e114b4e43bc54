// An application of partial messages on `peer.pubsub` and nothing else, the same as the go-libp2p peer has (../peers/go/parts.go). A message is
// eight parts of one length. Metadata is a byte with a bit for each part that the sender has, and it wants the others; a partial message such a
// byte, and then the parts. Bytes cross the border of a page as plain arrays.

const PARTS = 8
const ALL = 0xff
const TIMEOUT = 30_000

/**
 * What is known of a peer and a message: what it has, as far as it said or was sent (undefined: it has not said), and what it was told that we have.
 *
 * @typedef {{ has: number | undefined, heard: number | undefined, requests: boolean }} View
 * @typedef {{ held: number, parts: Uint8Array[], came: number, views: Map<string, View>, arrived: () => void }} Assembly
 */

/** @param {import('../../src/peer.ts').Peer} peer */
export const partsOf = (peer) => {
  /** @type {Map<string, Assembly>} */
  const open = new Map()
  let listening = false

  /** @param {string} topic @param {string} group */
  const assembly = (topic, group) => {
    const name = `${topic}/${group}`
    const found = open.get(name) ?? { held: 0, parts: [], came: 0, views: new Map(), arrived() {} }
    open.set(name, found)
    return found
  }

  /** Sends each peer that has said something the parts that it lacks, and what there is here, where that is news. @param {string} topic @param {string} group */
  const answer = async (topic, group) => {
    const one = assembly(topic, group)
    const { parts, views } = one
    for (const [id, view] of views) {
      const { held } = one
      const lacks = view.has === undefined || !view.requests ? 0 : held & ~view.has
      const news = view.heard !== held
      if (lacks === 0 && !news) continue
      if (lacks !== 0) view.has = (view.has ?? 0) | lacks
      view.heard = held
      const message = lacks === 0 ? {} : { message: encode(lacks, parts) }
      const metadata = news ? { metadata: Uint8Array.of(held) } : {}
      await peer.pubsub.publishPartial(topic, { group, ...message, ...metadata }, { to: [id] })
    }
  }

  const listen = () => {
    if (listening) return
    listening = true
    peer.pubsub.addEventListener('partial', ({ detail: { topic, from, requests, message, metadata, ...rest } }) => {
      const group = new TextDecoder().decode(rest.group)
      const one = assembly(topic, group)
      const view = one.views.get(from) ?? { has: undefined, heard: undefined, requests }
      one.views.set(from, Object.assign(view, { requests }))
      if (metadata?.length === 1) view.has = (view.has ?? 0) | /** @type {number} */ (metadata[0])
      if (message !== undefined) {
        const bits = /** @type {number} */ (message[0])
        add(one, bits, message.subarray(1))
        view.has = (view.has ?? 0) | bits
        one.came += count(bits)
      }
      // It may be stopped meanwhile.
      answer(topic, group).catch(() => {})
      one.arrived()
    })
  }

  return {
    /** @param {string} topic @param {'request' | 'support'} partial */
    async joinInParts(topic, partial) {
      listen()
      await peer.pubsub.subscribe(topic, { partial })
    },
    /** Returns to how many peers something went. @param {string} topic @param {string} group @param {number[]} message @param {number} held @param {{ eager?: boolean }} [options] */
    async putParts(topic, group, message, held, { eager = false } = {}) {
      const one = assembly(topic, group)
      const length = message.length / PARTS
      const parts = Array.from({ length: PARTS }, (_, i) => Uint8Array.from(message.slice(i * length, (i + 1) * length)))
      add(one, held, encode(held, parts).subarray(1))
      const pushed = eager ? { message: encode(held, one.parts) } : {}
      const { peers } = await peer.pubsub.publishPartial(topic, { group, metadata: Uint8Array.of(held), ...pushed })
      await answer(topic, group)
      return peers
    },
    /** @param {string} topic @param {string} group @param {{ timeout?: number }} [options] */
    async whole(topic, group, { timeout = TIMEOUT } = {}) {
      const one = assembly(topic, group)
      const end = performance.now() + timeout
      while (one.held !== ALL) {
        const left = end - performance.now()
        if (left <= 0) throw new Error(`the message is not whole: ${one.held.toString(2)}`)
        await new Promise((resolve) => {
          one.arrived = () => resolve(undefined)
          setTimeout(resolve, left)
        })
      }
      return { data: [...encode(ALL, one.parts).subarray(1)], came: one.came }
    },
  }
}

/** @param {number} bits */
const count = (bits) => Array.from({ length: PARTS }, (_, i) => (bits >> i) & 1).reduce((sum, bit) => sum + bit, 0)

/** @param {Assembly} one @param {number} bits @param {Uint8Array} bytes */
const add = (one, bits, bytes) => {
  const length = bytes.length / count(bits)
  let at = 0
  for (let i = 0; i < PARTS; i++) {
    if (((bits >> i) & 1) === 0) continue
    one.parts[i] = bytes.slice(at, at + length)
    at += length
  }
  one.held |= bits
}

/** @param {number} bits @param {Uint8Array[]} parts */
const encode = (bits, parts) => {
  const bytes = [bits]
  for (let i = 0; i < PARTS; i++) if ((bits >> i) & 1) bytes.push(.../** @type {Uint8Array} */ (parts[i]))
  return Uint8Array.from(bytes)
}
