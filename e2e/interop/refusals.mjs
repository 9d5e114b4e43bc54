// What has to be refused, each with a code of its own and soon; after it the next dial, with everything right, works.

import { randomBytes } from 'node:crypto'
import { TRANSPORTS } from './matrix.mjs'
import { expect, failure, tells } from './trial.mjs'

/** A wrong certificate shows only when the browser gives the handshake up. */
const REFUSAL_TIMEOUT = 20_000
const LOCAL_TCP = '/ip4/127.0.0.1/tcp/0'
const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 * @typedef {import('./matrix.mjs').TransportId} TransportId
 * @typedef {import('./trial.mjs').Case} Case
 */

/** @param {TransportId} transport @param {'our page' | 'our node'} dialer @param {Scene} scene @param {('noise' | 'tls')[]} [encryption] */
const withGo = async (transport, dialer, scene, encryption) => {
  const go = await scene.goNode({ listen: ['tcp', 'ws', 'quic-v1', 'webtransport', 'webrtc-direct'] })
  const ours = dialer === 'our page' ? await scene.ourPage() : await scene.ourNode(encryption === undefined ? {} : { encryption })
  const address = (await go.addresses()).find((each) => TRANSPORTS[transport].address.test(each))
  if (address === undefined) throw new Error(`go has no ${transport} address`)
  return { ours, go, address }
}

/**
 * @param {Side} ours
 * @param {Side} theirs
 * @param {{ wrong: string, right: string, codes: string[] }} plan
 */
const refused = async (ours, theirs, { wrong, right, codes }) => {
  const started = performance.now()
  const error = await failure('the dial', ours.dial(wrong, { timeout: REFUSAL_TIMEOUT }))
  const after = Math.round(performance.now() - started)
  const code = codes.find((each) => tells(error, each))
  expect(code !== undefined, `the dial should say ${codes.join(' or ')}`, [
    error.code,
    ...(error.errors ?? []).map((/** @type {any} */ each) => each.code),
  ])
  const { ms } = await ours.dial(right)
  await ours.ping(theirs.peerId)
  return { connect: ms, note: `${code} after ${after} ms` }
}

/** @param {TransportId} transport @param {'our page' | 'our node'} dialer @param {('noise' | 'tls')[]} [encryption] @returns {Case} */
const otherPeer = (transport, dialer, encryption) => ({
  name: `another peer answers: ${dialer} ⇥ go, ${transport}${encryption === undefined ? '' : ` ${encryption.join()}`}`,
  async run(scene) {
    const { ours, go, address } = await withGo(transport, dialer, scene, encryption)
    const stranger = await scene.ourNode()
    const wrong = address.replace(go.peerId, stranger.peerId)
    return refused(ours, go, { wrong, right: address, codes: ['ERR_PEER_ID_MISMATCH'] })
  },
})

/** @param {TransportId} transport @param {'our page' | 'our node'} dialer @param {string[]} codes @returns {Case} */
const otherCertificate = (transport, dialer, codes) => ({
  name: `another certificate: ${dialer} ⇥ go, ${transport}`,
  async run(scene) {
    const { ours, go, address } = await withGo(transport, dialer, scene)
    // sha2-256, 32 bytes, as multihash in base64url
    const hash = () => `/certhash/u${Buffer.concat([Buffer.from([0x12, 32]), randomBytes(32)]).toString('base64url')}`
    return refused(ours, go, { wrong: address.replace(/\/certhash\/[^/]+/g, hash), right: address, codes })
  },
})

const keyText = () => `/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`

/** What a wrong key makes of the first message. */
const GARBLED = [
  'ERR_NETWORK_KEY',
  'ERR_PROTOCOL',
  'ERR_FRAME_TOO_LARGE',
  'ERR_DECODE',
  'ERR_NO_SECURITY',
  'ERR_STREAM_CLOSED',
  'ERR_STREAM_RESET',
  'ERR_CONNECTION_CLOSED',
  'ERR_TIMEOUT',
  'ERR_DIAL_TIMEOUT',
]

/** @param {string} name @param {string | undefined} theirs of the dialer; none if undefined @returns {Case} */
const stranger = (name, theirs) => ({
  name: `${name}: our node ⇥ go in a private network`,
  async run(scene) {
    const preSharedKey = keyText()
    const go = await scene.goNode({ listen: [LOCAL_TCP, LOCAL_WS], preSharedKey })
    const outside = await scene.ourNode(theirs === undefined ? {} : { preSharedKey: theirs })
    const inside = await scene.ourNode({ preSharedKey })
    /** @type {string[]} */
    const notes = []
    for (const address of await go.addresses()) {
      const error = await failure('the dial', outside.dial(address, { timeout: REFUSAL_TIMEOUT }))
      const code = GARBLED.find((each) => tells(error, each))
      expect(code !== undefined, 'the dial should have a code', error.code ?? error.message)
      notes.push(/** @type {string} */ (code))
      await inside.dial(address)
      await inside.ping(go.peerId)
      await inside.hangUp(go.peerId)
    }
    return { note: notes.join(', ') }
  },
})

/** @type {Case[]} */
export const refusals = [
  otherPeer('websocket', 'our page'),
  otherPeer('tcp', 'our node'),
  otherPeer('tcp', 'our node', ['tls']),
  otherPeer('quic-v1', 'our node'),
  otherPeer('webtransport', 'our page'),
  otherPeer('webrtc-direct', 'our page'),
  otherPeer('webrtc-direct', 'our node'),
  otherCertificate('webtransport', 'our page', ['ERR_CERTHASH_MISMATCH', 'ERR_WEBTRANSPORT_FAILED']),
  otherCertificate('webrtc-direct', 'our page', ['ERR_CERTHASH_MISMATCH', 'ERR_ENCRYPTION_FAILED']),
  otherCertificate('webrtc-direct', 'our node', ['ERR_CERTHASH_MISMATCH', 'ERR_ENCRYPTION_FAILED']),
  stranger('no key', undefined),
  stranger('another key', keyText()),
]
