// What the browser can do without libp2p: WebSockets in a worker, and a pair of RTCPeerConnections whose data channels are used on the main
// thread or, transferred, in a worker. Signalling goes over a WebSocket to the raw server, one hop, as it does through a relay.

import { exchange, roundTrips, serve } from './raw-channel.js'

const worker = new Worker(new URL('./raw-worker.js', import.meta.url), { type: 'module' })
const pending = new Map()
let count = 0
worker.onmessage = ({ data: { id, value, error } }) => {
  const { resolve, reject } = pending.get(id)
  pending.delete(id)
  if (error === undefined) resolve(value)
  else reject(new Error(error))
}

/** A call of raw-worker.js. */
export const inWorker = (name, args, transfer = []) =>
  new Promise((resolve, reject) => {
    pending.set(++count, { resolve, reject })
    worker.postMessage({ id: count, name, args }, transfer)
  })

let signal
let connection

const say = (message) => signal.send(JSON.stringify(message))

/** Joins the room where the other page is; the answering page is ready for any number of offers then. */
export const join = async (url, room) => {
  signal = new WebSocket(`${url}/signal/${room}`)
  signal.onmessage = async ({ data }) => {
    const message = JSON.parse(data)
    if (message.offer !== undefined) {
      makeConnection()
      await connection.setRemoteDescription({ type: 'offer', sdp: message.offer })
      const answer = await connection.createAnswer()
      say({ answer: answer.sdp })
      await connection.setLocalDescription(answer)
    } else if (message.answer !== undefined) {
      await connection.setRemoteDescription({ type: 'answer', sdp: message.answer })
    } else {
      // One of the connection before, or one that this browser can't use.
      await connection.addIceCandidate(message.candidate).catch(() => {})
    }
  }
  await new Promise((resolve) => (signal.onopen = resolve))
}

const makeConnection = () => {
  connection?.close()
  connection = new RTCPeerConnection()
  connection.onicecandidate = ({ candidate }) => {
    if (candidate !== null && candidate.candidate !== '') say({ candidate })
  }
  connection.ondatachannel = ({ channel }) => {
    const { label } = channel
    if (label.startsWith('worker:')) inWorker('serve', [channel, label.slice(7)], [channel])
    else serve(channel, label)
  }
}

/** From nothing to the first 32 bytes back. */
export const connectEcho = async () => {
  const began = performance.now()
  makeConnection()
  const channel = connection.createDataChannel('echo')
  const offer = await connection.createOffer()
  say({ offer: offer.sdp })
  await connection.setLocalDescription(offer)
  await roundTrips(channel, 1)
  const ms = performance.now() - began
  channel.close()
  return ms
}

const use = async (where, label, call, name, args) => {
  const channel = connection.createDataChannel(where === 'worker' ? `worker:${label}` : label)
  // A channel can be transferred only in the task that made it.
  const done = where === 'worker' ? inWorker(name, [channel, ...args], [channel]) : call(channel, ...args)
  const value = await done
  if (where !== 'worker') channel.close()
  return value
}

/** `where`: 'page' or 'worker', on both sides. */
export const upload = (where, bytes) => use(where, String(bytes), exchange, 'exchange', [bytes, 1])
export const echo = (where, bytes) => use(where, 'echo', exchange, 'exchange', [bytes, bytes])
export const echoes = (where, times) => use(where, 'echo', roundTrips, 'roundTrips', [times])
