import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaultData, parseSettings, relayConfig } from './config.ts'

const texts = (addresses: readonly { text: string }[]) => addresses.map(({ text }) => text)

describe('the configuration of a relay', () => {
  it('listens on port 9090 when told nothing', () => {
    const config = relayConfig()
    expect(texts(config.listen)).toEqual(['/ip4/0.0.0.0/tcp/9090/ws'])
    expect(config).toMatchObject({
      announce: [],
      data: undefined,
      maxReservations: 1_024,
      circuitDuration: 0,
      circuitBytes: 0,
      trustProxy: false,
    })
  })

  it('lets flags win over the file, and the file over what is built in', () => {
    const file = parseSettings(
      '{ "listen": ["/ip4/127.0.0.1/tcp/1/ws"], "maxCircuits": 7, "maxReservations": 8, "trustProxy": true }',
      'relay.json',
    )
    const config = relayConfig(file, { listen: undefined, maxCircuits: '9' })
    expect(config).toMatchObject({ maxCircuits: 9, maxReservations: 8, trustProxy: true, maxConnections: 4_096 })
    expect(texts(config.listen)).toEqual(['/ip4/127.0.0.1/tcp/1/ws'])
  })

  it('replaces a list, and does not add to it', () => {
    const config = relayConfig({ announce: ['/dns4/a.example/tcp/443/wss'] }, { announce: ['/dns4/b.example/tcp/443/wss'] })
    expect(texts(config.announce)).toEqual(['/dns4/b.example/tcp/443/wss'])
  })

  it.each([
    ['maxCircuits', 'x'],
    ['maxCircuits', ''],
    ['maxCircuits', -1],
    ['maxCircuits', 1.5],
    ['maxCircuits', '1e3'],
    ['maxCircuits', 1e9],
    ['maxCircuits', null],
    ['maxConnections', 0],
    ['reservationDuration', 1],
    ['circuitDuration', 86_401],
    ['circuitBytes', true],
    ['listen', '/ip4/127.0.0.1/tcp/1/ws'],
    ['listen', []],
    ['listen', [1]],
    ['listen', ['http://localhost:9090']],
    ['announce', ['/ip4/300.1.1.1/tcp/1/ws']],
    ['data', ''],
    ['data', 7],
    ['trustProxy', 'yes'],
    ['maxCircuit', 1],
    ['toString', 1],
  ])('names the setting %s where it is %j', (field, value) =>
    expect(() => relayConfig({ [field]: value })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringContaining(`\`${field}\``) }),
    ),
  )

  it.each(['', '{', '[]', 'null', '1'])('names the file where it holds %j', (text) =>
    expect(() => parseSettings(text, 'relay.json')).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringContaining('relay.json') }),
    ),
  )
})

describe('the data folder', () => {
  it("is systemd's, else the user's for state", () => {
    expect(defaultData({ STATE_DIRECTORY: '/var/lib/relay', XDG_STATE_HOME: '/x' })).toBe('/var/lib/relay')
    expect(defaultData({ XDG_STATE_HOME: '/x' })).toBe('/x/tabmesh-relay')
    expect(defaultData({})).toMatch(/\.local\/state\/tabmesh-relay$/)
  })

  it('is made absolute', () => expect(relayConfig({ data: 'here' }).data).toBe(resolve('here')))
})
