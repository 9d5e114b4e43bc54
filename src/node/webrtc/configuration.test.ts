import { describe, expect, it } from 'vitest'
import { readConfiguration } from './configuration.ts'

const read = (urls: string | string[], rest: { username?: string; credential?: string } = {}) =>
  readConfiguration({ iceServers: [{ urls, ...rest }] }).iceServers

describe('ICE servers', () => {
  it('are none unless some are named', () => expect(readConfiguration({})).toEqual({ iceServers: [], iceTransportPolicy: 'all' }))

  it('of STUN have a port, or the usual one', () => {
    expect(read(['stun:stun.example', 'stun:[2001:db8::1]:9'])).toEqual([
      { hostname: 'stun.example', port: 3478 },
      { hostname: '2001:db8::1', port: 9 },
    ])
  })

  it('of TURN have a user and a password', () => {
    expect(read('turn:turn.example:5000?transport=udp', { username: 'a', credential: 'b' })).toEqual([
      { hostname: 'turn.example', port: 5000, username: 'a', password: 'b', relayType: 'TurnUdp' },
    ])
    expect(() => read('turn:turn.example')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })

  it('that the library does not speak to are left out', () => {
    expect(read(['stuns:a.example', 'turns:a.example', 'turn:a.example?transport=tcp'], { username: 'a', credential: 'b' })).toEqual([])
  })

  it('are not taken from what is no URL of one', () => {
    for (const url of ['', 'stun', 'stun:', 'http://a.example', 'stun:a:b:c'])
      expect(() => read(url)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })
})
