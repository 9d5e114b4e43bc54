/** NAT-PMP against a gateway on loopback. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { Port } from './mapper.ts'
import { natPmp } from './nat-pmp.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** Answers a request with the datagrams that `answer` makes of it. */
const gateway = async (answer: (request: Buffer, count: number) => readonly Uint8Array[]) => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  closing.push(() => socket.close())
  const requests: string[] = []
  socket.on('message', (request, { port, address }) => {
    requests.push(request.toString('hex'))
    for (const each of answer(request, requests.length)) socket.send(each, port, address)
  })
  return { requests, mapper: natPmp(async () => ({ host: '127.0.0.1', port: socket.address().port })) }
}

/** RFC 6886 §3.2, §3.3: 203.0.113.7, which gives each port 1,000 more than was asked for, for an hour. */
const answered = (request: Buffer): Buffer => {
  const opcode = request.readUInt8(1)
  const answer = Buffer.alloc(opcode === 0 ? 12 : 16)
  answer.writeUInt8(opcode + 128, 1)
  answer.writeUInt32BE(99, 4)
  if (opcode === 0) answer.set([203, 0, 113, 7], 8)
  else {
    const lifetime = request.readUInt32BE(8)
    answer.writeUInt16BE(request.readUInt16BE(4), 8)
    answer.writeUInt16BE(lifetime === 0 ? 0 : request.readUInt16BE(6) + 1_000, 10)
    answer.writeUInt32BE(Math.min(lifetime, 3_600), 12)
  }
  return answer
}
const refused = (request: Buffer, result: number): Buffer => {
  const answer = answered(request)
  answer.writeUInt16BE(result, 2)
  return answer
}

const tcp: Port = { protocol: 'tcp', host: '127.0.0.1', port: 4_001, external: 4_001 }
const udp: Port = { protocol: 'udp', host: '127.0.0.1', port: 4_002, external: 4_002 }
const patient = () => AbortSignal.timeout(10_000)

describe('NAT-PMP', () => {
  it('asks for the address, then for each port that faces the gateway', async () => {
    const { mapper, requests } = await gateway((request) => [answered(request)])
    const elsewhere: Port = { ...tcp, host: '10.9.9.9' }
    expect(await mapper.map([tcp, elsewhere, udp], patient())).toEqual({
      externalIp: '203.0.113.7',
      mapped: [
        { ...tcp, external: 5_001, lease: 3_600 },
        { ...udp, external: 5_002, lease: 3_600 },
      ],
      faults: [],
    })
    expect(requests).toEqual(['0000', '000200000fa10fa100001c20', '000100000fa20fa200001c20'])
  })

  it('removes a mapping by a lifetime of zero', async () => {
    const { mapper, requests } = await gateway((request) => [answered(request)])
    await mapper.unmap([{ ...udp, external: 5_002, lease: 3_600 }], patient())
    expect(requests).toEqual(['000100000fa2000000000000'])
  })

  it('sends a lost request again', async () => {
    const { mapper, requests } = await gateway((request, count) => (count === 2 ? [] : [answered(request)]))
    expect((await mapper.map([tcp], patient())).mapped).toHaveLength(1)
    expect(requests).toEqual(['0000', '000200000fa10fa100001c20', '000200000fa10fa100001c20'])
  })

  it('is deaf to what is no answer to its request', async () => {
    const { mapper } = await gateway((request) => {
      const other = answered(request)
      if (other.length === 16) other.writeUInt16BE(7, 8)
      else other.writeUInt8(129, 1)
      return [Buffer.alloc(0), Buffer.alloc(1_400, 255), Buffer.of(0, 128, 0), answered(request).subarray(0, 8), other, answered(request)]
    })
    expect((await mapper.map([tcp], patient())).mapped).toMatchObject([{ port: 4_001, external: 5_001 }])
  })

  it('keeps what could be mapped', async () => {
    const { mapper } = await gateway((request) => [request.readUInt8(1) === 2 ? refused(request, 4) : answered(request)])
    const { mapped, faults } = await mapper.map([tcp, udp], patient())
    expect(mapped).toMatchObject([{ protocol: 'udp' }])
    expect(String(faults)).toContain('out of resources')
  })

  it('says why it is refused', async () => {
    const { mapper } = await gateway((request) => [refused(request, 2)])
    await expect(mapper.map([tcp], patient())).rejects.toThrow('not authorized')
    const pcp = await gateway(() => [Uint8Array.of(2, 128, 0, 1)])
    await expect(pcp.mapper.map([tcp], patient())).rejects.toThrow('PCP')
  })

  it('gives up a gateway that is silent, after four requests', async () => {
    const { mapper, requests } = await gateway(() => [])
    const began = performance.now()
    await expect(mapper.map([tcp, udp], patient())).rejects.toThrow('does not answer')
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(requests).toEqual(['0000', '0000', '0000', '0000'])
  })

  it('stops where nobody is, where it is told to, and where there is no gateway', async () => {
    const gone = createSocket('udp4').bind(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address()
    await new Promise<void>((closed) => gone.close(closed))
    await expect(natPmp(async () => ({ host: '127.0.0.1', port })).map([tcp], patient())).rejects.toThrow()
    const { mapper } = await gateway(() => [])
    const began = performance.now()
    await expect(mapper.map([tcp], AbortSignal.timeout(50))).rejects.toThrow()
    await expect(mapper.map([tcp], AbortSignal.abort(new Error('told to')))).rejects.toThrow('told to')
    expect(performance.now() - began).toBeLessThan(1_000)
    await expect(natPmp(async () => undefined).map([tcp], patient())).rejects.toThrow('no default gateway')
  })
})
