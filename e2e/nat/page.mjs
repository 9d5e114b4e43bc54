// What runs in the pages of the lab. `pageHelpers` is sent to them as text: it sees nothing of this module.

/**
 * @typedef {{
 *   start: (options: import('tabmesh').PeerOptions) => Promise<string>,
 *   meet: (target: string) => Promise<{ ms: number, transport: string }>,
 *   echo: (target: string, bytes: number) => Promise<{ ms: number, equal: boolean }>,
 *   pathTo: (peer: string) => string[],
 *   ticker: (target: string) => Promise<string>,
 *   ticks: (id: string) => { sent: number, back: number, lastMs: number, inOrder: boolean, error?: string },
 *   events: { type: string, at: number, code?: string }[],
 *   peer: import('tabmesh').Peer,
 * }} NatPageHelpers
 */

export const pageHelpers = () => {
  const ECHO = '/nat/echo/1'
  /** @type {NatPageHelpers['events']} */
  const events = []
  /** @type {Map<string, ReturnType<NatPageHelpers['ticks']>>} */
  const tickers = new Map()
  /** @type {NatPageHelpers} */
  const nat = {
    events,
    peer: /** @type {any} */ (undefined),

    async start(options) {
      const { createPeer } = await import(/* @vite-ignore */ `${location.origin}/index.js`)
      nat.peer = await createPeer({ identity: 'ephemeral', ...options })
      for (const type of /** @type {const} */ (['connection:open', 'connection:close', 'relay:reserved', 'relay:lost', 'error'])) {
        nat.peer.addEventListener(type, ({ detail }) => {
          const { transport, code } = /** @type {any} */ (detail)
          events.push({ type: transport === undefined ? type : `${type} ${transport}`, at: performance.now(), code })
        })
      }
      await nat.peer.handle(ECHO, (/** @type {any} */ stream) => stream.readable.pipeTo(stream.writable).catch(() => {}))
      if (options.relays?.length) {
        const reserved = () => nat.peer.addresses.some((address) => address.includes('/p2p-circuit'))
        for (let waited = 0; !reserved() && waited < 10_000; waited += 20) await new Promise((next) => setTimeout(next, 20))
        if (!reserved()) throw new Error('no reservation within 10 s')
      }
      return nat.peer.id
    },

    /** From nothing to a first echo, over whatever carries it. */
    async meet(target) {
      const began = performance.now()
      const { transport } = await nat.peer.dial(target)
      const { equal } = await nat.echo(target, 16)
      if (!equal) throw new Error('another echo came back')
      return { ms: performance.now() - began, transport }
    },

    /** Sends noise and compares what comes back. */
    async echo(target, bytes) {
      const began = performance.now()
      const stream = await nat.peer.openStream(target, ECHO)
      const sent = new Uint8Array(bytes)
      for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(sent.subarray(at, Math.min(bytes, at + 65_536)))
      const back = new Response(stream.readable).arrayBuffer()
      const writer = stream.writable.getWriter()
      for (let at = 0; at < bytes; at += 65_536) await writer.write(sent.slice(at, at + 65_536))
      await writer.close()
      const got = new Uint8Array(await back)
      return { ms: performance.now() - began, equal: got.length === bytes && got.every((byte, at) => byte === sent[at]) }
    },

    pathTo: (id) => nat.peer.connections.filter(({ remotePeer }) => remotePeer === id).map(({ transport }) => transport),

    /** Counts aloud on one stream, ten numbers a second, and listens to what comes back. */
    async ticker(target) {
      const stream = await nat.peer.openStream(target, ECHO)
      /** @type {ReturnType<NatPageHelpers['ticks']>} */
      const state = { sent: 0, back: 0, lastMs: performance.now(), inOrder: true }
      const id = String(tickers.size)
      tickers.set(id, state)
      const writer = stream.writable.getWriter()
      const timer = setInterval(() => {
        const number = new Uint8Array(4)
        new DataView(number.buffer).setUint32(0, state.sent)
        state.sent += 1
        writer.write(number).catch(() => clearInterval(timer))
      }, 100)
      const listen = async () => {
        let rest = new Uint8Array(0)
        for await (const chunk of /** @type {any} */ (stream.readable)) {
          const bytes = new Uint8Array(rest.length + chunk.length)
          bytes.set(rest)
          bytes.set(chunk, rest.length)
          let at = 0
          for (; at + 4 <= bytes.length; at += 4) {
            if (new DataView(bytes.buffer).getUint32(at) !== state.back) state.inOrder = false
            state.back += 1
            state.lastMs = performance.now()
          }
          rest = bytes.slice(at)
        }
        state.error = 'the stream ended'
      }
      listen().catch((error) => {
        state.error = String(error)
        clearInterval(timer)
      })
      return id
    },

    ticks: (id) => {
      const state = tickers.get(id)
      if (state === undefined) throw new Error(`there is no ticker ${id}`)
      return state
    },
  }
  Object.assign(globalThis, { nat })
}
