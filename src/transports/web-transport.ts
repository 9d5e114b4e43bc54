/**
 * The WebTransport transport of pages and workers: https://github.com/libp2p/specs/blob/master/webtransport/README.md
 *
 *   dial ──▶ session (QUIC, HTTP/3 CONNECT, a certificate of one of the hashes)
 *              └─ first stream: Noise, which proves the peer and lists its certificates
 *                    ├─ all hashes that we dialled are listed ──▶ link
 *                    ├─ some are ──▶ closed, and dialled once more with those
 *                    └─ none, or no list ──▶ ERR_CERTHASH_MISMATCH
 *
 * The rule for certificates ("Security Handshake"): the browser takes any certificate whose hash we name and does not say which one
 * it was, so all that we name have to be on the list that the authenticated peer sends inside Noise. Else somebody on the path who
 * has slipped a hash of his own into the address could carry Noise through to the real peer and read all that follows. An address
 * may name a certificate that has been retired: that peer's list tells which, the session is given up before anything was said
 * on it, and the next one is dialled with the listed ones alone, so that there the rule holds to the letter. Once only.
 *
 * The bytes are protected by QUIC's TLS 1.3; Noise proves who is there and is over after its handshake. So `encryption` is `quic`.
 */

import { equalBytes } from '../engine/codec/bytes.ts'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { peerIdOf } from '../engine/codec/multiaddr.ts'
import { sha256Digest, webTransportTarget } from '../engine/codec/web-transport-url.ts'
import type { Cancel } from '../engine/host.ts'
import type { Link, Net, Transport } from '../engine/net/service.ts'
import type { Channel } from '../engine/wire/channel.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { asTabmeshError, remoteFault, TabmeshError } from '../errors.ts'
import type { Session } from '../sockets/web-transport-muxer.ts'
import { WebTransportMuxer } from '../sockets/web-transport-muxer.ts'

type SessionClass = new (url: string, options: WebTransportOptions) => Session

export interface WebTransportTransportOptions {
  /** The platform's class if absent. */
  readonly WebTransport?: SessionClass
}

export const webTransportTransport = (options: WebTransportTransportOptions = {}): Transport => {
  const Session: SessionClass | undefined = options.WebTransport ?? globalThis.WebTransport
  return {
    name: 'webtransport',
    matches: (address) => Session !== undefined && webTransportTarget(address) !== undefined,
    dial(address, net, done) {
      const target = webTransportTarget(address)
      if (Session === undefined || target === undefined) return failSoon(net, notOurs(address), done)
      const { url, certhashes } = target
      if (certhashes.some((each) => sha256Digest(each) === undefined)) return failSoon(net, unknownHash(address), done)
      return new Attempt(Session, url, address, net, done).start(certhashes)
    },
  }
}

class Attempt {
  readonly #Session: SessionClass
  readonly #url: string
  readonly #address: Multiaddr
  readonly #net: Net
  readonly #done: (outcome: Outcome<Link>) => void
  #muxer: WebTransportMuxer | undefined
  #over = false
  #again = false

  constructor(Session: SessionClass, url: string, address: Multiaddr, net: Net, done: (outcome: Outcome<Link>) => void) {
    this.#Session = Session
    this.#url = url
    this.#address = address
    this.#net = net
    this.#done = done
  }

  start(certhashes: readonly Uint8Array[]): Cancel {
    // Behind our return: an outcome never comes before it.
    this.#net.host.defer(() => this.#dial(certhashes))
    return () => this.#giveUp(new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up'))
  }

  #dial(certhashes: readonly Uint8Array[]): void {
    if (this.#over) return
    let session: Session
    try {
      const serverCertificateHashes = certhashes.map((each) => ({
        algorithm: 'sha-256',
        value: (sha256Digest(each) as Uint8Array).slice(),
      }))
      session = new this.#Session(this.#url, { serverCertificateHashes })
    } catch (cause) {
      return this.#fail(asTabmeshError(cause, 'ERR_WEBTRANSPORT_FAILED', `the browser refuses to open ${this.#url}`))
    }
    const muxer = new WebTransportMuxer(session, this.#url, this.#net.host)
    this.#muxer = muxer
    const channel = muxer.open()
    this.#net.authenticate(channel, { role: 'initiator', expectedPeer: peerIdOf(this.#address) }, (outcome) => {
      if (this.#over) return
      if (!outcome.ok) return this.#fail(outcome.fault)
      const { remotePeer, certhashes: listed } = outcome.value
      const good = certhashes.filter((each) => listed.some((other) => equalBytes(each, other)))
      if (good.length < certhashes.length) return this.#mismatch(certhashes.length, listed.length, good)
      finish(channel)
      this.#over = true
      this.#done({
        ok: true,
        value: { t: 'muxed', muxer, transport: 'webtransport', remoteAddr: this.#address, remotePeer, encryption: 'quic' },
      })
    })
  }

  #mismatch(dialled: number, listed: number, good: readonly Uint8Array[]): void {
    const what = `the peer lists ${listed} certificates, among them ${good.length} of the ${dialled} that were dialled`
    const fault = remoteFault('ERR_CERTHASH_MISMATCH', what)
    if (good.length === 0 || this.#again) return this.#fail(fault)
    this.#again = true
    this.#muxer?.abort(fault)
    this.#dial(good)
  }

  #fail(fault: TabmeshError): void {
    if (this.#over) return
    this.#giveUp(fault)
    this.#done({ ok: false, fault })
  }

  #giveUp(fault: TabmeshError): void {
    if (this.#over) return
    this.#over = true
    this.#muxer?.abort(fault)
  }
}

/** Noise is over: we end its stream; the remote has nothing more to say there, and is not read if it does. */
const finish = (channel: Channel): void => {
  channel.end()
  channel.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
}

const notOurs = (address: Multiaddr): TabmeshError => new TabmeshError('ERR_NO_TRANSPORT', `${address.text} is not a WebTransport address`)

const unknownHash = (address: Multiaddr): TabmeshError =>
  new TabmeshError('ERR_UNSUPPORTED', `${address.text} has a certhash that is not SHA-256, the only one that browsers check`)

/** An outcome never comes before `dial` has returned. */
const failSoon = ({ host }: Net, fault: TabmeshError, done: (outcome: Outcome<Link>) => void): Cancel => {
  let wanted = true
  host.defer(() => {
    if (wanted) done({ ok: false, fault })
  })
  return () => {
    wanted = false
  }
}
