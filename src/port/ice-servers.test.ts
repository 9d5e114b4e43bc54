import { describe, expect, it } from 'vitest'
import { withStun } from './ice-servers.ts'

const turn = { urls: ['turn:turn.example', 'turns:turn.example?transport=tcp'], username: 'ann', credential: 'secret' }
const relays = ['stun:192.0.2.1:3478', 'stun:[2001:db8::1]:3478']

describe('ICE servers', () => {
  it('are the STUN of the relays where the application names none', () => {
    expect(withStun({}, relays)).toEqual({ iceServers: [{ urls: relays }] })
    const policy: RTCConfiguration = { iceTransportPolicy: 'all' }
    expect(withStun(policy, relays)).toEqual({ iceTransportPolicy: 'all', iceServers: [{ urls: relays }] })
  })

  it('are TURN servers that it names, whole, and the STUN of the relays', () => {
    const configuration = { iceServers: [turn], iceTransportPolicy: 'relay' as const }
    expect(withStun(configuration, relays)).toEqual({ iceServers: [turn, { urls: relays }], iceTransportPolicy: 'relay' })
    expect(configuration.iceServers).toEqual([turn])
  })

  it('are its own alone where they have STUN, or where it wants none', () => {
    for (const iceServers of [[{ urls: 'stun:stun.example' }], [turn, { urls: ['STUNS:stun.example'] }], []]) {
      const configuration = { iceServers }
      expect(withStun(configuration, relays)).toBe(configuration)
    }
  })

  it('are what was configured while no relay has told its STUN', () => {
    const configuration = { iceServers: [turn] }
    expect(withStun(configuration, [])).toBe(configuration)
    expect(withStun({}, [])).toEqual({})
  })
})
