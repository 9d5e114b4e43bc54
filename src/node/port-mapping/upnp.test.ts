/** UPnP against a gateway on loopback: a description and SOAP over HTTP. The search for it is in e2e/nat/port-mapping.mjs. */

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { Port } from './mapper.ts'
import { upnp } from './upnp.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:1'
/** The least of a description that a router gives (UPnP IGD:1): the service lies two devices deep. */
const description = (control: string): string => `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList><service><serviceType>${SERVICE}</serviceType><SCPDURL>/scpd.xml</SCPDURL><controlURL>${control}</controlURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>`

const envelope = (body: string): string =>
  `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>${body}</s:Body></s:Envelope>`
const done = (action: string, content = ''): string =>
  envelope(`<u:${action}Response xmlns:u="${SERVICE}">${content}</u:${action}Response>`)
const fault = (code: number): string =>
  envelope(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode><errorDescription>No</errorDescription></UPnPError></detail></s:Fault>`)

type Arguments = Readonly<Record<string, string>>

/** A gateway whose AddPortMapping fails with the code that `refuse` tells. */
const gateway = async ({
  refuse = () => undefined,
  control = '/control',
  answer,
}: {
  refuse?: (args: Arguments) => number | undefined
  control?: string
  answer?: (request: IncomingMessage, response: ServerResponse) => void
} = {}) => {
  const actions: [string, Arguments][] = []
  const server = createServer(async (request, response) => {
    if (answer !== undefined) return answer(request, response)
    if (request.method === 'GET') return response.setHeader('content-type', 'text/xml').end(description(control))
    const body = await text(request)
    const action = /#(\w+)"$/.exec(String(request.headers.soapaction))?.[1] ?? ''
    const args = Object.fromEntries([...body.matchAll(/<(New\w+)>([^<]*)</g)].map(([, name, value]) => [name, value])) as Arguments
    actions.push([action, args])
    const code = action === 'AddPortMapping' ? refuse(args) : undefined
    response.statusCode = code === undefined ? 200 : 500
    const content = action === 'GetExternalIPAddress' ? '<NewExternalIPAddress>203.0.113.7</NewExternalIPAddress>' : ''
    response.setHeader('content-type', 'text/xml').end(code === undefined ? done(action, content) : fault(code))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { actions, server, mapper: upnp({ location: `http://127.0.0.1:${port}/root.xml`, local: '192.168.1.10' }) }
}

const tcp: Port = { protocol: 'tcp', host: '192.168.1.10', port: 4_001, external: 4_001 }
const udp: Port = { protocol: 'udp', host: '192.168.1.10', port: 4_002, external: 4_002 }
const patient = () => AbortSignal.timeout(10_000)

describe('UPnP', () => {
  it('asks for the address, then for each port that faces the gateway', async () => {
    const { mapper, actions } = await gateway()
    expect(await mapper.map([tcp, { ...tcp, host: '10.9.9.9' }, udp], patient())).toEqual({
      externalIp: '203.0.113.7',
      mapped: [
        { ...tcp, lease: 7_200 },
        { ...udp, lease: 7_200 },
      ],
      faults: [],
    })
    const asked = {
      NewRemoteHost: '',
      NewInternalClient: '192.168.1.10',
      NewEnabled: '1',
      NewPortMappingDescription: 'tabmesh',
      NewLeaseDuration: '7200',
    }
    expect(actions).toEqual([
      ['GetExternalIPAddress', {}],
      ['AddPortMapping', { ...asked, NewProtocol: 'TCP', NewExternalPort: '4001', NewInternalPort: '4001' }],
      ['AddPortMapping', { ...asked, NewProtocol: 'UDP', NewExternalPort: '4002', NewInternalPort: '4002' }],
    ])
  })

  it('removes a mapping by its outer port and protocol', async () => {
    const { mapper, actions } = await gateway()
    await mapper.unmap([{ ...udp, external: 5_002, lease: 7_200 }], patient())
    expect(actions.at(-1)).toEqual(['DeletePortMapping', { NewRemoteHost: '', NewExternalPort: '5002', NewProtocol: 'UDP' }])
  })

  it('takes another port where its own is taken', async () => {
    const { mapper } = await gateway({ refuse: ({ NewExternalPort }) => (NewExternalPort === '4001' ? 718 : undefined) })
    const { mapped } = await mapper.map([tcp], patient())
    expect(mapped[0]?.external).not.toBe(4_001)
    expect(mapped[0]?.external).toBeGreaterThan(1_023)
  })

  it('maps for ever where the gateway knows nothing else', async () => {
    const { mapper } = await gateway({ refuse: ({ NewLeaseDuration }) => (NewLeaseDuration === '0' ? undefined : 725) })
    expect((await mapper.map([tcp], patient())).mapped).toEqual([{ ...tcp, lease: 0 }])
  })

  it('keeps what could be mapped, and says why it is refused where nothing could, after at most four tries', async () => {
    const some = await gateway({ refuse: ({ NewProtocol }) => (NewProtocol === 'TCP' ? 718 : undefined) })
    expect(await some.mapper.map([tcp, udp], patient())).toMatchObject({ mapped: [{ protocol: 'udp' }], faults: ['718 No'] })
    expect(some.actions).toHaveLength(1 + 4 + 1)
    const none = await gateway({ refuse: () => 606 })
    await expect(none.mapper.map([tcp, udp], patient())).rejects.toThrow('the gateway refused: 606 No')
  })

  it('does not go where the gateway sends it', async () => {
    const { mapper, actions } = await gateway({ control: 'http://192.0.2.1/control' })
    await expect(mapper.map([tcp], patient())).rejects.toThrow('another host')
    expect(actions).toEqual([])
  })

  it('rejects what is no description', async () => {
    for (const body of ['', 'no XML', '<root/>', '<a><b></a>', description('').replace('WANIPConnection', 'Other')]) {
      const { mapper } = await gateway({ answer: (_, response) => response.end(body) })
      await expect(mapper.map([tcp], patient()), body).rejects.toThrow()
    }
  })

  it('is stopped in time where the gateway never answers, with its sockets', async () => {
    const { mapper, server } = await gateway({ answer: () => {} })
    const began = performance.now()
    await expect(mapper.map([tcp], AbortSignal.timeout(500))).rejects.toThrow()
    expect(performance.now() - began).toBeLessThan(1_500)
    await expect.poll(() => new Promise((count) => server.getConnections((_, open) => count(open)))).toBe(0)
  })

  it('takes no harm from an answer without an end', async () => {
    const junk = Buffer.alloc(1024 ** 2, 'x')
    const { mapper } = await gateway({
      answer: (_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(junk));
        }
        response.on('drain', more)
        more()
      },
    })
    const before = process.memoryUsage().heapUsed
    await expect(mapper.map([tcp], patient())).rejects.toThrow()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50e6)
  })
})
