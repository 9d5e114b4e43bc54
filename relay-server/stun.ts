/**
 * The relay's STUN: answers binding requests over UDP, so that pages learn how the world sees them from nobody but the relay.
 *
 * Bounds: no state; STUN_MAX_PER_SECOND answers, beyond which requests are dropped: ICE asks again.
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { parseIp4, parseIp6 } from '../src/engine/codec/ip.ts'
import { STUN_MAX_PER_SECOND } from '../src/engine/limits.ts'
import { answerBinding } from '../src/engine/protocols/stun/messages.ts'
import { TabmeshError } from '../src/errors.ts'

export interface StunServer {
  readonly port: number
  /** Requests answered since the start. */
  readonly answered: number
  close(): Promise<void>
}

/** Answers on `host`, an IP address, and UDP port `port`, 0 for any. Throws ERR_LISTEN. */
export const startStun = async (host: string, port: number): Promise<StunServer> => {
  const socket = createSocket(host.includes(':') ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' })
  let answered = 0
  let second = 0
  let inSecond = 0
  socket.on('message', (datagram, from) => {
    const now = Math.floor(performance.now() / 1000)
    if (now !== second) {
      second = now
      inSecond = 0
    }
    if (inSecond >= STUN_MAX_PER_SECOND) return
    const answer = answerTo(datagram, from)
    if (answer === undefined) return
    inSecond += 1
    answered += 1
    // A source that can't be answered, a forged one for example, is no concern of ours.
    socket.send(answer, from.port, from.address, () => {})
  })
  await bind(socket, host, port)
  return {
    port: socket.address().port,
    get answered() {
      return answered
    },
    close: () => new Promise((done) => socket.close(() => done())),
  }
}

const answerTo = (datagram: Uint8Array, { address, port, family }: RemoteInfo): Uint8Array | undefined => {
  // A zone (`%eth0`) is this machine's own affair.
  const bytes = family === 'IPv4' ? parseIp4(address) : parseIp6(address.replace(/%.*/, ''))
  return bytes === undefined ? undefined : answerBinding(datagram, { address: bytes, port })
}

const bind = (socket: Socket, host: string, port: number): Promise<void> =>
  new Promise((done, fail) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const what = error.code === 'EADDRINUSE' ? `UDP port ${port} is in use` : (error.code ?? error.message)
      fail(new TabmeshError('ERR_LISTEN', `can't answer STUN on ${host}: ${what}`, { cause: error }))
    })
    socket.bind(port, host, () => {
      socket.removeAllListeners('error')
      // Of single datagrams; the socket goes on.
      socket.on('error', () => {})
      done()
    })
  })
