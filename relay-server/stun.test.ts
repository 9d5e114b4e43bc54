import { createSocket } from 'node:dgram'
import { afterEach, describe, expect, it } from 'vitest'
import { type StunServer, startStun } from './stun.ts'

const servers: StunServer[] = []
const start = async (host: string, port = 0): Promise<StunServer> => {
  const server = await startStun(host, port)
  servers.push(server)
  return server
}
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

/** Sends `datagrams` from one socket and resolves with the first answer, and with where it was sent from. */
const ask = async (family: 'udp4' | 'udp6', port: number, ...datagrams: Uint8Array[]) => {
  const socket = createSocket(family)
  const answer = new Promise<Buffer>((done) => socket.once('message', done))
  await new Promise<void>((done) => socket.bind(0, family === 'udp4' ? '127.0.0.1' : '::1', done))
  for (const datagram of datagrams) socket.send(datagram, port, family === 'udp4' ? '127.0.0.1' : '::1')
  const result = { answer: await answer, port: socket.address().port }
  await new Promise<void>((done) => socket.close(() => done()))
  return result
}
const request = Buffer.from('000100002112a442000102030405060708090a0b', 'hex')

describe('the STUN server', () => {
  it('tells a socket its own port and address', async () => {
    const server = await start('127.0.0.1')
    const { answer, port } = await ask('udp4', server.port, request)
    expect(answer.subarray(0, 2).toString('hex')).toBe('0101')
    expect(answer.readUInt16BE(26) ^ 0x2112).toBe(port)
    expect(answer.readUInt32BE(28)).toBe(0x7f000001 ^ 0x2112a442)
  })

  it('does so over IPv6', async () => {
    const server = await start('::1')
    const { answer, port } = await ask('udp6', server.port, request)
    expect(answer.readUInt16BE(26) ^ 0x2112).toBe(port)
    expect([...answer.subarray(28, 44)].map((byte, at) => byte ^ request.readUInt8(4 + at))).toEqual([...Array<number>(15).fill(0), 1])
  })

  it('goes on after what is no request', async () => {
    const server = await start('127.0.0.1')
    await ask('udp4', server.port, Buffer.from('hello'), Buffer.alloc(0), Buffer.alloc(1_400), request)
    expect(server.answered).toBe(1)
  })

  it('says which port it could not have', async () => {
    const { port } = await start('127.0.0.1')
    await expect(startStun('127.0.0.1', port)).rejects.toMatchObject({ code: 'ERR_LISTEN', message: expect.stringContaining(`${port}`) })
  })
})
