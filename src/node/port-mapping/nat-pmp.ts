/**
 * NAT-PMP (RFC 6886): datagrams of 2 to 16 bytes to port 5351 of the default gateway.
 *
 *   external address   ─▶ 00 00                               ◀─ 00 80 result:2 epoch:4 address:4
 *   map UDP / TCP      ─▶ 00 01|02 0000 ours:2 theirs:2 s:4   ◀─ 00 81|82 result:2 epoch:4 ours:2 theirs:2 s:4
 *
 * Our own, because the libraries that have it don't send a lost request again, which RFC 6886 §3.1 asks for, and wait for ever instead.
 *
 * Bounds: one request at a time, sent PMP_TRIES times at most; the socket takes datagrams of the gateway alone.
 */

import { createSocket, type Socket } from 'node:dgram'
import { formatIp4 } from '../../engine/codec/ip.ts'
import { PMP_FIRST_WAIT, PMP_TRIES, PORT_MAPPING_LEASE } from '../../engine/limits.ts'
import { defaultGateway } from './default-gateway.ts'
import type { MappedPort, Mapper, Mappings, Port } from './mapper.ts'

export interface PmpGateway {
  readonly host: string
  readonly port?: number
}

/** RFC 6886 §1.1 */
const PMP_PORT = 5351
const EXTERNAL_ADDRESS = 0
const MAP = { udp: 1, tcp: 2 } as const
/** RFC 6886 §3.5 */
const results = ['success', 'unsupported version', 'not authorized', 'network failure', 'out of resources', 'unsupported opcode']

/** `find` tells the gateway, which is the default route's. */
export const natPmp = (find: (signal: AbortSignal) => Promise<PmpGateway | undefined> = findDefault): Mapper => {
  const withGateway = async <T>(signal: AbortSignal, use: (socket: Socket, local: string) => Promise<T>): Promise<T> => {
    const gateway = await find(signal)
    if (gateway === undefined) throw new Error('there is no default gateway')
    const socket = createSocket('udp4')
    try {
      await connect(socket, gateway, signal)
      return await use(socket, socket.address().address)
    } finally {
      socket.close()
    }
  }
  return {
    name: 'NAT-PMP',
    map: (ports, signal) =>
      withGateway(signal, async (socket, local): Promise<Mappings> => {
        const answer = await request(socket, Uint8Array.of(0, EXTERNAL_ADDRESS), 12, signal)
        const externalIp = formatIp4(answer.subarray(8, 12))
        const mapped: MappedPort[] = []
        const faults: unknown[] = []
        for (const port of ports) {
          // The gateway maps to where the request comes from, and to nowhere else.
          if (port.host !== local) continue
          try {
            mapped.push(await mapOne(socket, port, PORT_MAPPING_LEASE, signal))
          } catch (error) {
            faults.push(error)
          }
        }
        if (mapped.length === 0 && faults.length > 0) throw faults[0]
        return { externalIp, mapped, faults }
      }),
    unmap: (mapped, signal) =>
      withGateway(signal, async (socket, local) => {
        // RFC 6886 §3.4: a lifetime of zero, and no port asked for.
        for (const port of mapped) if (port.host === local) await mapOne(socket, { ...port, external: 0 }, 0, signal)
      }),
  }
}

const findDefault = async (signal: AbortSignal): Promise<PmpGateway | undefined> => {
  const host = await defaultGateway(signal)
  return host === undefined ? undefined : { host }
}

const connect = (socket: Socket, { host, port = PMP_PORT }: PmpGateway, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted()
    socket.once('error', reject)
    socket.connect(port, host, () => {
      socket.off('error', reject)
      // A refusal that comes later fails the request it belongs to; between two of them it means nothing.
      socket.on('error', () => {})
      resolve()
    })
  })

const mapOne = async (socket: Socket, port: Port, lease: number, signal: AbortSignal): Promise<MappedPort> => {
  const datagram = Buffer.alloc(12)
  datagram.writeUInt8(MAP[port.protocol], 1)
  datagram.writeUInt16BE(port.port, 4)
  datagram.writeUInt16BE(port.external, 6)
  datagram.writeUInt32BE(lease, 8)
  const answer = await request(socket, datagram, 16, signal)
  return { ...port, external: answer.readUInt16BE(10), lease: answer.readUInt32BE(12) }
}

/** The answer to one request, of at least `length` bytes. Rejects when there is none, or it is a refusal. */
const request = (socket: Socket, datagram: Uint8Array, length: number, signal: AbortSignal): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    let tries = 0
    let timer: NodeJS.Timeout | undefined
    const settle = (settled: () => void): void => {
      clearTimeout(timer)
      socket.off('message', hear)
      socket.off('error', refused)
      signal.removeEventListener('abort', aborted)
      settled()
    }
    const aborted = (): void => settle(() => reject(signal.reason))
    const refused = (error: Error): void => settle(() => reject(error))
    const hear = (answer: Buffer): void => {
      // RFC 6887 §9: a gateway of PCP alone answers in its own version, that this one is unsupported.
      if (answer.length >= 4 && answer[0] === 2) return settle(() => reject(new Error('the gateway speaks PCP alone')))
      if (answer.length < 4 || answer[0] !== 0 || answer[1] !== (datagram[1] as number) + 128) return
      const result = answer.readUInt16BE(2)
      if (result !== 0) return settle(() => reject(new Error(`the gateway refused: ${results[result] ?? `result ${result}`}`)))
      if (answer.length < length) return
      // A late answer to the port before.
      if (length === 16 && (answer[8] !== datagram[4] || answer[9] !== datagram[5])) return
      settle(() => resolve(answer))
    }
    const send = (): void => {
      if (tries === PMP_TRIES) return settle(() => reject(new Error('the gateway does not answer')))
      socket.send(datagram)
      timer = setTimeout(send, PMP_FIRST_WAIT * 2 ** tries)
      tries += 1
    }
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', aborted)
    socket.on('message', hear)
    socket.on('error', refused)
    send()
  })
