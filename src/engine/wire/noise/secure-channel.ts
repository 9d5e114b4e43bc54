/**
 * The Noise transport: a channel whose bytes are sealed on another one.
 * https://github.com/libp2p/specs/blob/master/noise/README.md#wire-format
 *
 *   length (2 bytes, big-endian) ‖ ciphertext ‖ tag (16)         at most 65,535 bytes behind the length
 *
 * One `writev` becomes one write below, one chunk from below becomes one chunk above: every byte is copied once into the AEAD
 * and once out of it, and once more where a message lies across two chunks.
 *
 * The end of a stream is not authenticated: Noise has no closing message, and the muxer above says when it is done.
 *
 * Bounds. Sending: nothing is queued here. Receiving: one incomplete message (64 KiB at most), and what is decrypted but
 * not read, which counts against the sender's credit below until it is released. The channel below must give credit for
 * at least one message (65,537 bytes), else a message could never arrive whole; all of ours give 256 KiB or more.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Aead } from '../../crypto/aead.ts'
import { TAG } from '../../crypto/aead.ts'
import { NOISE_MAX_PLAINTEXT } from '../../limits.ts'
import type { Channel, Sink } from '../channel.ts'
import { Inlet } from '../channel.ts'
import type { CipherState } from './handshake-state.ts'

/** noise/README.md, wire format: the length in front of a message. */
const PREFIX = 2
/** What each message adds to its plaintext. */
const OVERHEAD = PREFIX + TAG

export interface SecureChannel extends Channel {
  /** Writes all of `chunks` at once. They are read before this returns and remain the caller's. */
  writev(chunks: readonly Uint8Array[]): void
}

/** The two keys of a Noise session. */
export interface SessionKeys {
  readonly send: CipherState
  readonly receive: CipherState
}

/** Takes `channel` over: it is attached to, and closed with the secure one. */
export const secure = (channel: Channel, keys: SessionKeys, aead: Aead): SecureChannel => new NoiseChannel(channel, keys, aead)

class NoiseChannel implements SecureChannel {
  readonly #below: Channel
  readonly #send: CipherState
  readonly #receive: CipherState
  readonly #aead: Aead
  readonly #inlet = new Inlet()
  #ended = false
  #closed = false

  /** The message that has begun but not ended, its length in front; undefined between messages. */
  #partial: Uint8Array | undefined
  #partialSize = 0

  constructor(channel: Channel, { send, receive }: SessionKeys, aead: Aead) {
    this.#below = channel
    this.#send = send
    this.#receive = receive
    this.#aead = aead
    const sink: Sink = {
      onData: (bytes) => this.#onData(bytes),
      onDrain: () => this.#inlet.drain(),
      onEnd: () => this.#onEnd(),
      onClose: (fault) => this.#onClose(fault),
    }
    channel.attach(sink)
  }

  /** What is left below when the overhead is taken off; never below one while the channel below would take a byte. */
  get credit(): number {
    const credit = this.#below.credit
    if (credit <= 0) return credit
    return Math.max(1, credit - OVERHEAD * Math.ceil(credit / (NOISE_MAX_PLAINTEXT + OVERHEAD)))
  }

  write(bytes: Uint8Array): void {
    this.writev([bytes])
  }

  writev(chunks: readonly Uint8Array[]): void {
    if (this.#ended || this.#closed) return
    let size = 0
    for (const chunk of chunks) size += chunk.length
    if (size === 0) return
    const messages = Math.ceil(size / NOISE_MAX_PLAINTEXT)
    if (!this.#send.allows(messages)) return this.abort(new TabmeshError('ERR_ENCRYPTION_FAILED', 'the nonces of this session are used up'))
    const sealed = new Uint8Array(size + messages * OVERHEAD)
    if (messages === 1) this.#seal(chunks, size, sealed, 0)
    else this.#sealMany(chunks, size, sealed)
    this.#below.write(sealed)
  }

  /** One message: `size` bytes, all of `chunks`. */
  #seal(chunks: readonly Uint8Array[], size: number, out: Uint8Array, at: number): void {
    const length = size + TAG
    out[at] = length >>> 8
    out[at + 1] = length
    this.#aead.seal(this.#send.key, this.#send.nextNonce(), chunks, out, at + PREFIX)
  }

  /** Full messages and a last one of what remains: chunks are cut where a message is full. */
  #sealMany(chunks: readonly Uint8Array[], size: number, out: Uint8Array): void {
    let at = 0
    let index = 0
    let offset = 0
    for (let left = size; left > 0; ) {
      const room = Math.min(left, NOISE_MAX_PLAINTEXT)
      const parts: Uint8Array[] = []
      for (let missing = room; missing > 0; ) {
        const chunk = chunks[index] as Uint8Array
        const part = chunk.subarray(offset, offset + missing)
        parts.push(part)
        missing -= part.length
        offset += part.length
        if (offset === chunk.length) {
          index++
          offset = 0
        }
      }
      this.#seal(parts, room, out, at)
      at += room + OVERHEAD
      left -= room
    }
  }

  end(): void {
    if (this.#ended || this.#closed) return
    this.#ended = true
    this.#below.end()
  }

  abort(fault: TabmeshError): void {
    if (this.#closed) return
    this.#below.abort(fault)
    this.#onClose(fault)
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

  /** Decrypts every message that `bytes` complete into one buffer, and keeps what is left over. */
  #onData(bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return
    const from = this.#partial === undefined ? 0 : this.#complete(this.#partial, bytes)
    if (from < 0) return
    const whole = this.#partial

    // First the lengths: how many messages there are and how much they hold.
    let messages = 0
    let size = 0
    let end = from
    while (end + PREFIX <= bytes.length) {
      const length = ((bytes[end] as number) << 8) | (bytes[end + 1] as number)
      if (length < TAG) return this.#refuse(`a message of ${length} bytes, less than its tag`)
      if (end + PREFIX + length > bytes.length) break
      messages++
      size += length - TAG
      end += PREFIX + length
    }
    if (whole !== undefined) {
      messages++
      size += whole.length - OVERHEAD
    }

    if (messages === 0) return this.#keep(bytes, end)

    const plaintext = new Uint8Array(size)
    let to = 0
    if (whole !== undefined) {
      if (!this.#open(whole, 0, whole.length, plaintext, to)) return
      to += whole.length - OVERHEAD
    }
    for (let at = from; at < end; ) {
      const next = at + PREFIX + (((bytes[at] as number) << 8) | (bytes[at + 1] as number))
      if (!this.#open(bytes, at, next, plaintext, to)) return
      to += next - at - OVERHEAD
      at = next
    }
    this.#keep(bytes, end)
    // Last, because both may lead back here.
    this.#inlet.push(plaintext)
    this.#below.release(messages * OVERHEAD)
  }

  /** The message at `at`, its length included, up to `next`; aborts and answers false where it does not authenticate. */
  #open(bytes: Uint8Array, at: number, next: number, out: Uint8Array, to: number): boolean {
    if (!this.#receive.allows(1)) {
      this.#refuse('more messages than a session may have')
      return false
    }
    const opened = this.#aead.open(this.#receive.key, this.#receive.nextNonce(), bytes.subarray(at + PREFIX, next), out, to)
    if (!opened) this.#refuse('a message does not authenticate')
    return opened
  }

  /** Keeps what begins at `from`, in a buffer as long as its message will be once that is known. */
  #keep(bytes: Uint8Array, from: number): void {
    this.#partialSize = bytes.length - from
    if (this.#partialSize === 0) {
      this.#partial = undefined
      return
    }
    const length = this.#partialSize < PREFIX ? 0 : ((bytes[from] as number) << 8) | (bytes[from + 1] as number)
    this.#partial = new Uint8Array(PREFIX + length)
    this.#partial.set(bytes.subarray(from))
  }

  /** Goes on with the partial message and returns how many of `bytes` it took; below zero when that is all of them, or too bad. */
  #complete(partial: Uint8Array, bytes: Uint8Array): number {
    let from = 0
    if (partial.length === PREFIX) {
      // Only the first byte of the length was there.
      const length = ((partial[0] as number) << 8) | (bytes[0] as number)
      if (length < TAG) {
        this.#refuse(`a message of ${length} bytes, less than its tag`)
        return -1
      }
      this.#partial = new Uint8Array(PREFIX + length)
      this.#partial[0] = length >>> 8
      this.#partial[1] = length
      this.#partialSize = PREFIX
      partial = this.#partial
      from = 1
    }
    const part = bytes.subarray(from, from + partial.length - this.#partialSize)
    partial.set(part, this.#partialSize)
    this.#partialSize += part.length
    return this.#partialSize < partial.length ? -1 : from + part.length
  }

  #refuse(what: string): void {
    this.abort(remoteFault('ERR_ENCRYPTION_FAILED', `noise: ${what}`))
  }

  #onEnd(): void {
    if (this.#partial !== undefined) this.abort(remoteFault('ERR_STREAM_CLOSED', 'noise: the remote ended in the middle of a message'))
    else this.#inlet.end()
  }

  #onClose(fault: TabmeshError | undefined): void {
    this.#closed = true
    this.#partial = undefined
    this.#inlet.close(fault)
  }
}
