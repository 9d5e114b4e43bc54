/**
 * A socket of `ws` as a channel: what it can do and a browser's can't. It says when what was sent has left, can be
 * paused, tells why it failed, and can be dropped at once.
 *
 * Bounds: those of the channel (web-socket-channel.ts); `ws` refuses a message over WS_MAX_MESSAGE by its header, before
 * it is buffered, and drops a remote that pings without reading the answers.
 */

import type { ClientOptions, WebSocket } from 'ws'
import { WS_CLOSE_TIMEOUT, WS_MAX_MESSAGE } from '../engine/limits.ts'
import { remoteFault, TabmeshError } from '../errors.ts'
import type { MessageSocket } from '../sockets/web-socket-channel.ts'
import { WebSocketChannel } from '../sockets/web-socket-channel.ts'

/** For both ends. Compressing what is encrypted costs time and memory and gains nothing. */
export const socketOptions = {
  perMessageDeflate: false,
  maxPayload: WS_MAX_MESSAGE,
  closeTimeout: WS_CLOSE_TIMEOUT,
  skipUTF8Validation: true,
} as const satisfies ClientOptions & { closeTimeout: number }

/** Makes a channel of an open socket, in the task in which it opened. */
export const carryWs = (socket: WebSocket): WebSocketChannel => {
  let waiting: (() => boolean) | undefined
  // One function for all sends: a closure for each would be garbage for each.
  const sent = (): void => {
    const check = waiting
    waiting = undefined
    // Answering true it has woken the writer, who may be waiting again by now.
    if (check?.() === false) waiting = check
  }
  const adapter: MessageSocket = {
    get queued() {
      return socket.bufferedAmount
    },
    send: (bytes) => socket.send(bytes, sent),
    watch(check) {
      waiting = check
    },
    close: (code, reason) => socket.close(code, reason),
    drop(code, reason) {
      // The close frame reaches the system's buffer at once where that has room, and goes out before the FIN.
      socket.close(code, reason)
      socket.terminate()
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  }
  const channel = new WebSocketChannel(adapter)
  socket.on('message', (data: Buffer, isBinary) => {
    // A view without Buffer's own `slice`, which shares where the engine expects a copy.
    if (isBinary) channel.receive(new Uint8Array(data.buffer, data.byteOffset, data.length))
    else channel.refuseText()
  })
  socket.on('error', (error) => channel.fail(faultOf(error)))
  socket.on('close', (code, reason) => channel.closed(code, reason.toString()))
  return channel
}

/** `ws` names what the remote did wrong by codes of its own; all else is the system's. */
const faultOf = (error: Error & { code?: string }): TabmeshError => {
  const code = error.code ?? ''
  if (/^WS_ERR_(UNSUPPORTED_MESSAGE_LENGTH|TOO_MANY_BUFFERED_PARTS|UNSUPPORTED_DATA_PAYLOAD_LENGTH)$/.test(code)) {
    return remoteFault('ERR_FRAME_TOO_LARGE', 'a WebSocket message of more than 1 MiB', error)
  }
  if (code.startsWith('WS_ERR_')) return remoteFault('ERR_PROTOCOL', `the remote breaks the WebSocket protocol (${error.message})`, error)
  return new TabmeshError('ERR_CONNECTION_CLOSED', `the WebSocket broke (${code || error.message})`, { cause: error })
}
