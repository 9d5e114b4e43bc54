/**
 * Private networks by a pre-shared key: https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
 *
 *   each side:  nonce (24 random bytes) ‖ everything else ⊕ XSalsa20(key, own nonce)
 *
 * Below multistream, on TCP, WebSocket and relayed pipes alike: go and js, too, cipher a circuit once more within the connection
 * to its relay. Our nonce goes out at once, as js waits for it; what is written does not wait for the remote's.
 *
 * The cipher proves nothing by itself, but what is said first on every pipe is known: under another key it is something else.
 *
 *   nonce ──▶ greeting, which must be multistream's ──▶ anything          within PNET_TIMEOUT; else, or if the remote
 *                                                                         hangs up before: ERR_NETWORK_KEY
 *
 * Bounds: 23 bytes of a nonce that came in parts, and what the channel below holds. Bytes are ciphered in place.
 */

import { remoteFault, TabmeshError } from '../../errors.ts'
import { fromUtf8 } from '../codec/bytes.ts'
import { fromMultibase } from '../codec/multibase.ts'
import { XSALSA20_KEY, XSALSA20_NONCE, XSalsa20 } from '../crypto/xsalsa20.ts'
import type { Cancel, Host } from '../host.ts'
import { PNET_TIMEOUT } from '../limits.ts'
import type { Channel, Sink } from './channel.ts'
import { Inlet } from './channel.ts'
import { HEADER as GREETING } from './multistream.ts'

/** What goes around each byte pipe of a network whose key is `key`: 32 bytes. */
export const pnetShield =
  (key: Uint8Array) =>
  (channel: Channel, host: Pick<Host, 'random' | 'after'>): Channel =>
    new ShieldedChannel(channel, key, host)

class ShieldedChannel implements Channel, Sink {
  readonly #below: Channel
  readonly #key: Uint8Array
  readonly #inlet = new Inlet()
  readonly #out: XSalsa20
  /** Undefined until the remote's nonce is here. */
  #in: XSalsa20 | undefined
  readonly #nonce = new Uint8Array(XSALSA20_NONCE)
  #nonceSize = 0
  /** Bytes of the greeting that came. */
  #greeted = 0
  /** Set until the remote has greeted us. */
  #cancelTimer: Cancel | undefined

  constructor(below: Channel, key: Uint8Array, host: Pick<Host, 'random' | 'after'>) {
    this.#below = below
    this.#key = key
    const nonce = host.random(XSALSA20_NONCE)
    this.#out = new XSalsa20(key, nonce)
    this.#cancelTimer = host.after(PNET_TIMEOUT, () => this.#refuse(`the remote has said nothing under this key for ${PNET_TIMEOUT} ms`))
    below.write(nonce)
    below.attach(this)
  }

  // ── Channel ──────────────────────────────────────────────────────────────────────────────────────────────────

  get credit(): number {
    return this.#below.credit
  }

  write(bytes: Uint8Array): void {
    this.#out.xor(bytes)
    this.#below.write(bytes)
  }

  end(): void {
    this.#below.end()
  }

  abort(fault: TabmeshError): void {
    this.#stopWaiting()
    this.#below.abort(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#below.release(bytes)
  }

  // ── Sink of the channel below ────────────────────────────────────────────────────────────────────────────────

  onData(bytes: Uint8Array): void {
    let rest = bytes
    if (this.#in === undefined) {
      const part = bytes.subarray(0, XSALSA20_NONCE - this.#nonceSize)
      this.#nonce.set(part, this.#nonceSize)
      this.#nonceSize += part.length
      this.#below.release(part.length)
      if (this.#nonceSize < XSALSA20_NONCE) return
      this.#in = new XSalsa20(this.#key, this.#nonce)
      rest = bytes.subarray(part.length)
    }
    this.#in.xor(rest)
    if (this.#cancelTimer !== undefined && !this.#hearGreeting(rest)) return
    this.#inlet.push(rest)
  }

  onDrain(): void {
    this.#inlet.drain()
  }

  onEnd(): void {
    if (this.#cancelTimer === undefined) this.#inlet.end()
    else this.#refuse(this.#hungUp)
  }

  onClose(fault?: TabmeshError): void {
    if (this.#cancelTimer === undefined) return this.#inlet.close(fault)
    this.#stopWaiting()
    this.#inlet.close(remoteFault('ERR_NETWORK_KEY', this.#hungUp, fault))
  }

  // ── the greeting ─────────────────────────────────────────────────────────────────────────────────────────────

  #hearGreeting(bytes: Uint8Array): boolean {
    for (let i = 0; i < bytes.length && this.#greeted < GREETING.length; i++, this.#greeted++) {
      if (bytes[i] === GREETING[this.#greeted]) continue
      this.#refuse('the first words of the remote make no sense under this key')
      return false
    }
    if (this.#greeted === GREETING.length) this.#stopWaiting()
    return true
  }

  get #hungUp(): string {
    return this.#nonceSize < XSALSA20_NONCE
      ? `the remote hung up after ${this.#nonceSize} of the ${XSALSA20_NONCE} bytes that each side of a private network begins with`
      : 'the remote hung up before it had said anything under this key'
  }

  #refuse(what: string): void {
    this.abort(remoteFault('ERR_NETWORK_KEY', what))
  }

  #stopWaiting(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}

/** First line of a key file. */
const HEADER = '/key/swarm/psk/1.0.0/'
/** A line of the header, the longest there is, and what may stand around it. */
const MAX_FILE = 1_024

/**
 * The key of a network, from its 32 bytes or from a `swarm.key` file, as text or bytes: three lines, that is the header above, `/base16/`
 * or `/base64/`, and the key in it. Throws ERR_NETWORK_KEY, which never repeats any of the key.
 */
export const parseSwarmKey = (from: string | Uint8Array): Uint8Array => {
  if (typeof from !== 'string' && from.length === XSALSA20_KEY) return from.slice()
  if (from.length > MAX_FILE) throw refused(`a swarm.key file of ${from.length} bytes`)
  const lines = textOf(from)
    .trim()
    .split(/\r\n|\r|\n/)
  const [header, encoding, text = '', ...more] = lines.map((line) => line.trim())
  if (header !== HEADER) throw refused(`a swarm.key file begins with ${HEADER}`)
  if (more.length > 0) throw refused(`a swarm.key file has three lines, not ${lines.length}`)
  if (encoding !== '/base16/' && encoding !== '/base64/') throw refused('the second line of a swarm.key file is /base16/ or /base64/')
  const key = fromMultibase(encoding === '/base16/' ? `f${text.toLowerCase()}` : `m${text.replace(/={1,2}$/, '')}`)
  if (key === undefined) throw refused(`the key is not in ${encoding.slice(1, -1)}`)
  if (key.length !== XSALSA20_KEY) throw refused(`the key has ${key.length} bytes, not ${XSALSA20_KEY}`)
  return key
}

const textOf = (from: string | Uint8Array): string => {
  if (typeof from === 'string') return from
  try {
    return fromUtf8(from)
  } catch {
    throw refused(`${from.length} bytes that are neither a key of ${XSALSA20_KEY} nor a swarm.key file`)
  }
}

const refused = (what: string): TabmeshError => new TabmeshError('ERR_NETWORK_KEY', what)
