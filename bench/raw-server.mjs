// What the raw columns talk to: a bare WebSocket server as a process of its own, on the library that both Node peers use.
//
//   /echo             every message back
//   /sink?bytes=N     one byte back once N bytes have come
//   /source?bytes=N   N bytes, after the first message
//   /signal/ROOM      each message to the others in the room: the signalling of raw WebRTC
//
// Its first line on stdout is { url }. Ends with its stdin.

import { WebSocketServer } from 'ws'

const BLOCK = 64 * 1024
/** Messages handed to the socket and not yet out: 1 MiB. */
const IN_FLIGHT = 16

/** @type {Map<string, Set<import('ws').WebSocket>>} */
const rooms = new Map()

/** @param {import('ws').WebSocket} socket */
const echo = (socket) => socket.on('message', (data) => socket.send(data))

/** @param {import('ws').WebSocket} socket @param {number} bytes */
const sink = (socket, bytes) => {
  let left = bytes
  socket.on('message', (/** @type {Buffer} */ data) => {
    left -= data.length
    if (left <= 0) socket.send(Buffer.alloc(1))
  })
}

/** @param {import('ws').WebSocket} socket @param {number} bytes */
const source = (socket, bytes) => {
  const block = Buffer.alloc(BLOCK)
  let left = bytes
  const one = () => {
    if (left <= 0) return
    const size = Math.min(BLOCK, left)
    left -= size
    socket.send(size === BLOCK ? block : block.subarray(0, size), one)
  }
  socket.once('message', () => {
    for (let i = 0; i < IN_FLIGHT; i++) one()
  })
}

/** @param {import('ws').WebSocket} socket @param {string} name */
const join = (socket, name) => {
  const room = rooms.get(name) ?? new Set()
  rooms.set(name, room.add(socket))
  socket.on('message', (data, isBinary) => {
    for (const other of room) if (other !== socket) other.send(data, { binary: isBinary })
  })
  socket.on('close', () => room.delete(socket))
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
server.on('connection', (socket, request) => {
  socket.on('error', () => {})
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const bytes = Number(searchParams.get('bytes'))
  if (pathname === '/echo') echo(socket)
  else if (pathname === '/sink') sink(socket, bytes)
  else if (pathname === '/source') source(socket, bytes)
  else join(socket, pathname)
})
server.on('listening', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(JSON.stringify({ url: `ws://127.0.0.1:${port}` }))
})
process.stdin.on('end', () => process.exit()).resume()
