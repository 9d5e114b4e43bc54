import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeTxtQuery } from '../engine/codec/dns.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { dnsOverHttps } from './dns-over-https.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

const resolver = async (answer: RequestListener): Promise<string> => {
  const server = createServer(answer)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/dns-query`
}

const lookUp = (url: string, name: string) => new Promise<Outcome<readonly string[]>>((done) => dnsOverHttps(url)(name, done))

/** The question again, and one TXT record that points to its name. */
const answering = (text: string): Buffer => {
  const question = Buffer.from(encodeTxtQuery('_dnsaddr.a.example'))
  question.writeUInt16BE(0x8180, 2)
  question.writeUInt16BE(1, 6)
  const data = Buffer.from([text.length, ...Buffer.from(text)])
  const record = Buffer.from('c00c00100001000000000000', 'hex')
  record.writeUInt16BE(data.length, 10)
  return Buffer.concat([question, record, data])
}

describe('DNS over HTTPS', () => {
  it('asks by GET, in base64url, and reads the records', async () => {
    let asked: URL | undefined
    const url = await resolver((request, response) => {
      asked = new URL(request.url as string, 'http://resolver')
      response.end(answering('dnsaddr=/ip4/1.2.3.4/tcp/1'))
    })
    expect(await lookUp(url, '_dnsaddr.a.example')).toEqual({ ok: true, value: ['dnsaddr=/ip4/1.2.3.4/tcp/1'] })
    expect(Buffer.from(asked?.searchParams.get('dns') as string, 'base64url')).toEqual(Buffer.from(encodeTxtQuery('_dnsaddr.a.example')))
  })

  it('fails with a code where the resolver fails, talks nonsense, is not there or never stops', async () => {
    const broken = await resolver((_request, response) => response.writeHead(500).end())
    const nonsense = await resolver((_request, response) => response.end('<html>'))
    const endless = await resolver((_request, response) => {
      const more = (): void => {
        while (response.write(Buffer.alloc(16_384)));
        response.once('drain', more)
      }
      more()
    })
    for (const url of [broken, nonsense, endless, 'http://127.0.0.1:1/dns-query']) {
      expect(await lookUp(url, 'a.example')).toMatchObject({ ok: false, fault: { code: expect.stringMatching(/^ERR_(DNS|DECODE)$/) } })
    }
  })

  it('refuses what is no URL', () => {
    for (const url of ['', 'resolver', 'ftp://a.example/'])
      expect(() => dnsOverHttps(url)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })
})
