/**
 * What every page under test has beside tabmesh: `e2e`, the few things that tests do over and over inside of a page.
 *
 * `installHelpers` is sent to the page as text: it sees nothing of this module.
 */

import type { ConnectionInfo, Peer, PeerOptions, PeerStream, TransportName } from 'tabmesh'

/** One event of a peer, as far as it can leave the page. */
export interface Heard {
  readonly type: string
  readonly transport?: TransportName
  readonly peer?: string
  readonly code?: string
  readonly message?: string
  /** Whether a direct connection to the same peer had answered a ping at that moment. */
  readonly proven?: boolean
}

export interface Fault {
  readonly name: string
  readonly code: string | undefined
  readonly message: string
  readonly cause: string | undefined
  readonly errors: readonly { code: string; message: string }[]
}

export interface Moved {
  readonly bytes: number
  readonly hash: string
}

export interface Helpers {
  /** Creates the page's peer, listens to all its events, answers `/echo/1`, and waits for the relay's slot if it names one. */
  start(options?: PeerOptions): Promise<string>
  /** Its events so far. */
  readonly heard: Heard[]
  /** The connections to a peer, by transport. */
  paths(peer: string): string[]
  /** Writes `bytes` of noise and ends the writable. */
  send(stream: PeerStream, bytes: number, seed: number): Promise<Moved>
  /** Reads to the end. */
  receive(stream: PeerStream): Promise<Moved>
  /** Opens an echo, sends a text and returns what comes back. */
  echo(peer: string, text: string, options?: { allowLimited?: boolean }): Promise<string>
  /** What `call` rejects with. */
  fault(call: Promise<unknown>): Promise<Fault>
}

declare global {
  var tabmesh: typeof import('tabmesh')
  var peer: Peer
  var e2e: Helpers
}

export const installHelpers = (): void => {
  const heard: Heard[] = []
  /** SHA-256 over the SHA-256 of every MiB: WebCrypto digests no streams, and 50 MB at once would prove nothing of memory. */
  const MiB = 1 << 20
  const hasher = () => {
    let block = new Uint8Array(MiB)
    let filled = 0
    let bytes = 0
    const digests: Promise<ArrayBuffer>[] = []
    const digest = (): void => {
      if (filled === 0) return
      digests.push(crypto.subtle.digest('SHA-256', block.subarray(0, filled)))
      block = new Uint8Array(MiB)
      filled = 0
    }
    return {
      add(chunk: Uint8Array): void {
        bytes += chunk.length
        for (let at = 0; at < chunk.length; ) {
          const part = chunk.subarray(at, at + MiB - filled)
          block.set(part, filled)
          filled += part.length
          at += part.length
          if (filled === MiB) digest()
        }
      },
      async moved(): Promise<Moved> {
        digest()
        const all = new Uint8Array(await new Blob(await Promise.all(digests)).arrayBuffer())
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', all))
        return { bytes, hash: Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('') }
      },
    }
  }

  const record = (type: string, detail: Record<string, unknown>): void => {
    const { transport, remotePeer, peer: whom, code, message } = detail as Record<string, string | undefined>
    const proven = peer.connections.some((each) => each.transport === 'webrtc' && each.remotePeer === remotePeer && each.rtt !== undefined)
    heard.push({
      type,
      ...(transport === undefined ? {} : { transport: transport as TransportName, proven }),
      ...(remotePeer === undefined && whom === undefined ? {} : { peer: remotePeer ?? whom ?? '' }),
      ...(code === undefined ? {} : { code, message: message ?? '' }),
    })
  }

  const types = [
    'peer:connect',
    'peer:disconnect',
    'peer:identify',
    'connection:open',
    'connection:close',
    'addresses:change',
    'relay:reserved',
    'relay:lost',
    'error',
  ] as const

  globalThis.e2e = {
    heard,

    async start(options = {}) {
      globalThis.tabmesh ??= await import(new URL('index.js', location.href).href)
      globalThis.peer = await tabmesh.createPeer(options)
      for (const type of types) peer.addEventListener(type, ({ detail }) => record(type, detail as unknown as Record<string, unknown>))
      await peer.handle('/echo/1', (stream) => stream.readable.pipeTo(stream.writable), { allowLimited: true })
      if ((options.relays ?? []).length > 0 && peer.addresses.length === 0)
        await new Promise((resolve) => peer.addEventListener('addresses:change', resolve, { once: true }))
      return peer.id
    },

    paths: (id) => peer.connections.filter((each: ConnectionInfo) => each.remotePeer === id).map((each) => each.transport),

    async send(stream, bytes, seed) {
      const hash = hasher()
      const writer = stream.writable.getWriter()
      const words = new Uint32Array(16_384)
      let state = seed | 1
      for (let sent = 0; sent < bytes; ) {
        for (let at = 0; at < words.length; at += 1) {
          state ^= state << 13
          state ^= state >>> 17
          state ^= state << 5
          words[at] = state
        }
        const chunk = new Uint8Array(words.buffer, 0, Math.min(words.byteLength, bytes - sent))
        hash.add(chunk)
        await writer.write(chunk)
        sent += chunk.length
      }
      await writer.close()
      return hash.moved()
    },

    async receive(stream) {
      const hash = hasher()
      for await (const chunk of stream.readable) hash.add(chunk)
      return hash.moved()
    },

    async echo(id, text, options = {}) {
      const stream = await peer.openStream(id, '/echo/1', options)
      const writer = stream.writable.getWriter()
      void writer.write(text).then(() => writer.close())
      const decoder = new TextDecoder()
      let heardBack = ''
      for await (const chunk of stream.readable) heardBack += decoder.decode(chunk, { stream: true })
      return heardBack
    },

    async fault(call) {
      try {
        await call
      } catch (thrown) {
        const {
          name,
          code,
          message,
          cause,
          errors = [],
        } = thrown as Error & { code?: string; errors?: { code: string; message: string }[] }
        return {
          name,
          code,
          message,
          cause: cause instanceof Error ? cause.message : undefined,
          errors: errors.map((each) => ({ code: each.code, message: each.message })),
        }
      }
      throw new Error('it was expected to reject')
    },
  }
}
