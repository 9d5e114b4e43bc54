// Who plays in the matrix. A peer is started when a cell first needs it and stays for the others of its flavour: one js-libp2p and one Go
// process that listen on everything, per security that they prefer and muxer that they have; one page of a kind; our Node peers, which cost
// nothing to start, per transport. A peer that was part of a failure is replaced.

import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeCertificate } from './certificate.mjs'
import { TRANSPORTS } from './matrix.mjs'
import { expect } from './trial.mjs'
import { until } from './waiting.mjs'

const ADDRESS_TIMEOUT = 10_000
const MPLEX_IN_A_PAGE = '/dist/tabmesh.mplex.js'

/** Node peers that would not leave a circuit for WebRTC, nor for TCP or QUIC by DCUtR. */
const CIRCUITS = { webRTC: false, tcp: false, quic: false }

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 * @typedef {import('./matrix.mjs').Kind} Kind
 * @typedef {import('./matrix.mjs').Line} Line
 * @typedef {import('./matrix.mjs').Pair} Pair
 * @typedef {{ flavour: string, start: () => Promise<Side> }} Part
 */

/** What each transport listens on, this machine only. */
export const LISTEN = {
  tcp: '/ip4/127.0.0.1/tcp/0',
  websocket: '/ip4/127.0.0.1/tcp/0/ws',
  'websocket-tls': '/ip4/127.0.0.1/tcp/0/tls/ws',
  'webrtc-direct': '/ip4/127.0.0.1/udp/0/webrtc-direct',
  'quic-v1': '/ip4/127.0.0.1/udp/0/quic-v1',
  webtransport: '/ip4/127.0.0.1/udp/0/quic-v1/webtransport',
}

/**
 * @param {Scene} stage
 * @param {{ folder: string, quic: boolean }} options a folder for the certificate and the key of the private network; whether Node has QUIC
 */
export const openCast = async (stage, { folder, quic }) => {
  const { cert, key } = makeCertificate()
  const certificate = join(folder, 'certificate.pem')
  await writeFile(certificate, cert + key)
  const preSharedKey = `/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`
  const swarmKey = join(folder, 'swarm.key')
  await writeFile(swarmKey, preSharedKey)
  /** @type {Map<string, Promise<string>>} */
  const relays = new Map()
  /** The address of a relay: ours, or where only mplex is spoken js-libp2p's, which has that. @param {import('./matrix.mjs').MuxerId} [muxer] */
  const relay = (muxer) => {
    let address = relays.get(muxer ?? 'yamux')
    if (address === undefined) {
      const started = muxer === 'mplex' ? stage.jsRelay({ muxers: ['yamux', 'mplex'] }) : stage.relay()
      relays.set(muxer ?? 'yamux', (address = started.then((one) => one.address)))
    }
    return address
  }
  /** @type {Map<string, Promise<Side>>} */
  const playing = new Map()

  /** @param {boolean} bridge @param {Line} line @returns {Part} */
  const ourPage = (bridge, { transport, muxer, secret }) => {
    if (secret) return { flavour: 'private', start: () => stage.ourPage({ preSharedKey, listen: [] }) }
    // Two pages that could move on from a circuit to WebRTC would.
    const webRTC = transport === 'relay' ? false : bridge ? { bridge } : true
    const options = { transports: { webRTC }, ...(muxer === 'mplex' && { mplex: MPLEX_IN_A_PAGE }) }
    return {
      flavour: [webRTC === false ? 'circuit' : 'all', muxer === 'mplex' ? muxer : ''].join(' '),
      start: async () => stage.ourPage({ ...options, relays: [await relay(muxer)] }),
    }
  }

  /** @param {Line} line @param {boolean} dials @returns {Part} */
  const ourNode = ({ transport, security = 'noise', muxer, secret }, dials) => {
    // A listener answers both securities; a dialer that wants TLS still has to get past a relay.
    const encryption = /** @type {('noise' | 'tls')[]} */ (dials && security === 'tls' ? ['tls', 'noise'] : ['noise'])
    const options = { encryption, ...(muxer === 'mplex' && { mplex: true }), ...(secret && { preSharedKey }) }
    return {
      flavour: [transport, encryption[0], muxer, secret].join(),
      async start() {
        const relays = async () => [await relay(muxer)]
        if (transport === 'relay') return stage.ourNode({ ...options, relays: await relays(), transports: CIRCUITS })
        if (transport === 'webrtc') return stage.ourNode({ ...options, relays: await relays(), listen: ['/p2p-circuit', '/webrtc'] })
        const tls = transport === 'websocket-tls' ? { tls: { cert, key, ca: [cert] } } : {}
        return stage.ourNode({ ...options, ...tls, listen: [LISTEN[transport]] })
      },
    }
  }

  /** @param {Line} line @param {boolean} dials @returns {Part} */
  const jsNode = ({ security = 'noise', muxer = 'yamux', secret }, dials) => {
    const first = dials ? security : 'noise'
    const options = { encryption: [first], muxers: [muxer], certificate, env: { NODE_EXTRA_CA_CERTS: certificate } }
    const pipes = [LISTEN.tcp, LISTEN.websocket]
    if (secret) return { flavour: 'private', start: () => stage.jsNode({ ...options, swarmKey, listen: pipes }) }
    const listen = [...pipes, LISTEN['websocket-tls'], LISTEN['webrtc-direct'], '/webrtc', ...(quic ? [LISTEN['quic-v1']] : [])]
    return { flavour: `${first} ${muxer}`, start: async () => stage.jsNode({ ...options, listen, relay: await relay(muxer) }) }
  }

  /** @param {Line} line @param {boolean} dials @returns {Part} */
  const goNode = ({ security = 'noise', secret }, dials) => {
    const first = dials ? security : 'noise'
    const encryption = /** @type {('noise' | 'tls')[]} */ (first === 'tls' ? ['tls', 'noise'] : ['noise', 'tls'])
    const pipes = [LISTEN.tcp, LISTEN.websocket]
    if (secret) return { flavour: 'private', start: () => stage.goNode({ encryption, preSharedKey, listen: pipes }) }
    return {
      flavour: first,
      start: async () => stage.goNode({ encryption, certificate: cert, key, listen: Object.values(LISTEN), relay: await relay() }),
    }
  }

  /** @param {Line} line @returns {Part} */
  const jsPage = ({ muxer = 'yamux', secret }) => {
    if (secret) return { flavour: 'private', start: () => stage.jsPage({ swarmKey: preSharedKey, webrtc: false }) }
    return { flavour: muxer, start: async () => stage.jsPage({ relays: [await relay(muxer)], muxers: [muxer] }) }
  }

  /** @param {Kind} kind @param {Line} line @param {boolean} dials @returns {Part} */
  const partOf = (kind, line, dials) => {
    if (kind === 'page' || kind === 'bridge') return ourPage(kind === 'bridge', line)
    if (kind === 'node') return ourNode(line, dials)
    if (kind === 'js') return jsNode(line, dials)
    if (kind === 'js-page') return jsPage(line)
    return goNode(line, dials)
  }

  /** @param {string} key @param {Part['start']} start @returns {Promise<Side>} */
  const play = (key, start) => {
    let side = playing.get(key)
    if (side === undefined) playing.set(key, (side = start()))
    return side
  }

  return {
    /**
     * Both sides of a pair, and the address to dial.
     *
     * @param {Pair} pair
     */
    async meet({ dialer, listener, line }) {
      const [from, to] = [partOf(dialer, line, true), partOf(listener, line, false)]
      // One peer can't dial itself: the second of a kind is another one.
      const second = dialer === listener ? ' again' : ''
      const listening = await play(`${listener} ${to.flavour}${second}`, to.start)
      const dialing = await play(`${dialer} ${from.flavour}`, from.start)
      const { address } = TRANSPORTS[line.transport]
      /** @type {string[]} */
      let seen = []
      const target = await until(
        ADDRESS_TIMEOUT,
        () => `${listening.kind} has no ${line.transport} address: ${seen.join(', ') || 'none at all'}`,
        async () => (seen = await listening.addresses()).find((each) => address.test(each)),
      )
      expect(dialing.peerId !== listening.peerId, 'a peer should not meet itself')
      return { from: dialing, to: listening, address: target }
    },

    /** The peers of that pair have failed: who needs them next gets new ones. @param {Pair} pair */
    async replace({ dialer, listener, line }) {
      const second = dialer === listener ? ' again' : ''
      const keys = [`${dialer} ${partOf(dialer, line, true).flavour}`, `${listener} ${partOf(listener, line, false).flavour}${second}`]
      for (const key of keys) {
        const side = await playing.get(key)?.catch(() => undefined)
        // One that can't be started is not tried again: whoever needs it fails for the same reason at once.
        if (side === undefined) continue
        playing.delete(key)
        await stage.dismiss(side)
      }
    },
  }
}
