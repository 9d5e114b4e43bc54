// The raw columns' worker: bare WebSockets, and bare data channels that the page has transferred.

import { exchange, roundTrips, serve } from './raw-channel.js'

const BLOCK = 64 * 1024
const HIGH = 1024 * 1024

const open = async (url) => {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = () => reject(new Error(`no WebSocket at ${url}`))
  })
  return socket
}

const message = (socket) => new Promise((resolve) => (socket.onmessage = resolve))

const calls = {
  /** A connection and 32 bytes there and back. */
  async connectEcho(url) {
    const began = performance.now()
    const socket = await open(`${url}/echo`)
    socket.send(new Uint8Array(32))
    await message(socket)
    const ms = performance.now() - began
    socket.close()
    return ms
  },
  async echoes(url, count) {
    const socket = await open(`${url}/echo`)
    const times = []
    for (let i = 0; i < count; i++) {
      const began = performance.now()
      socket.send(new Uint8Array(32))
      await message(socket)
      times.push(performance.now() - began)
    }
    socket.close()
    return times
  },
  async upload(url, bytes) {
    const socket = await open(`${url}/sink?bytes=${bytes}`)
    const block = new Uint8Array(BLOCK)
    const began = performance.now()
    const answer = message(socket)
    for (let left = bytes; left > 0; left -= BLOCK) {
      // There is no event for it.
      while (socket.bufferedAmount >= HIGH) await new Promise((resolve) => setTimeout(resolve, 1))
      socket.send(left < BLOCK ? block.subarray(0, left) : block)
    }
    await answer
    const ms = performance.now() - began
    socket.close()
    return ms
  },
  async download(url, bytes) {
    const socket = await open(`${url}/source?bytes=${bytes}`)
    const began = performance.now()
    const all = new Promise((resolve) => {
      let left = bytes
      socket.onmessage = ({ data }) => {
        left -= data.byteLength
        if (left <= 0) resolve()
      }
    })
    socket.send(new Uint8Array(1))
    await all
    const ms = performance.now() - began
    socket.close()
    return ms
  },
  serve,
  exchange,
  roundTrips,
}

globalThis.onmessage = async ({ data: { id, name, args } }) => {
  try {
    postMessage({ id, value: await calls[name](...args) })
  } catch (error) {
    postMessage({ id, error: String(error) })
  }
}
