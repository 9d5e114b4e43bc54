// A peer that writes pubsub RPCs by hand: what is right and what is not (specs: pubsub/README.md).

import { generateKeyPairSync, sign } from 'node:crypto'

const PROTOCOL = '/meshsub/1.1.0'
const ED25519 = 1
const SIGN_PREFIX = Buffer.from('libp2p-pubsub:')

/** @param {number} value */
const varint = (value) => {
  const bytes = []
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80)
  return Buffer.from([...bytes, value])
}

/** A field of bytes. @param {number} number @param {Uint8Array} bytes */
const field = (number, bytes) => Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])

/**
 * One of our nodes without pubsub, whose key is known here.
 *
 * @param {import('./lab.mjs').Scene} scene
 */
export const rawPeer = async (scene) => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d, x } = privateKey.export({ format: 'jwk' })
  const publicBytes = Buffer.from(/** @type {string} */ (x), 'base64url')
  const secret = Buffer.concat([Buffer.from(/** @type {string} */ (d), 'base64url'), publicBytes])
  const encode = (/** @type {Buffer} */ bytes) => Buffer.concat([Buffer.from([0x08, ED25519]), field(2, bytes)])
  const publicKey = encode(publicBytes)
  const side = await scene.ourNode({ identity: { privateKey: new Uint8Array(encode(secret)) }, pubsub: false })
  await side.sink(PROTOCOL)
  /** An identity multihash. */
  const from = Buffer.concat([Buffer.from([0x00, publicKey.length]), publicKey])
  let seqno = 0n

  /** @param {string} topic @param {string} text @param {{ forged?: boolean }} options */
  const message = (topic, text, { forged = false }) => {
    const number = Buffer.alloc(8)
    number.writeBigUInt64BE(++seqno)
    const signed = Buffer.concat([field(1, from), field(2, Buffer.from(text)), field(3, number), field(4, Buffer.from(topic))])
    const signature = sign(null, Buffer.concat([SIGN_PREFIX, signed]), privateKey)
    if (forged) signature.reverse()
    return Buffer.concat([signed, field(5, signature)])
  }

  return {
    side,
    /**
     * Publishes in one RPC, on a stream of its own.
     *
     * @param {string} target
     * @param {string} topic
     * @param {{ text: string, forged?: boolean }[]} messages
     */
    async publish(target, topic, messages) {
      const rpc = Buffer.concat(messages.map(({ text, ...how }) => field(2, message(topic, text, how))))
      await side.write(target, PROTOCOL, [...varint(rpc.length), ...rpc])
    },
  }
}
