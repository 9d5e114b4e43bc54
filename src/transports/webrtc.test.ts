/** The page's end of the RTC port, with a peer connection that does nothing. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import { hostRtc } from './webrtc.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
  vi.unstubAllGlobals()
})

/** The configuration that `create` makes a peer connection with. */
const configured = async (configuration: RTCConfiguration, iceServers: readonly string[]): Promise<RTCConfiguration> => {
  const { port1, port2 } = new MessageChannel()
  const made = new Promise<RTCConfiguration>((resolve) => {
    class Still {
      readonly sctp = null
      constructor(given: RTCConfiguration) {
        resolve(given)
      }
      close(): void {}
    }
    vi.stubGlobal('RTCPeerConnection', Still)
  })
  const end = hostRtc(port1, { configuration, bridge: false })
  closing.push(end, () => port2.close())
  port2.postMessage({ t: 'create', id: 1, iceServers })
  return made
}

describe('a peer connection of the page', () => {
  it('has the TURN servers of the application and the STUN of its relays', async () => {
    const turn = { urls: 'turn:turn.example?transport=tcp', username: 'ann', credential: 'secret' }
    expect(await configured({ iceServers: [turn], iceTransportPolicy: 'relay' }, ['stun:192.0.2.1:3478'])).toEqual({
      iceServers: [turn, { urls: ['stun:192.0.2.1:3478'] }],
      iceTransportPolicy: 'relay',
    })
  })

  it('asks nobody where the application wants nobody asked', async () => {
    expect(await configured({ iceServers: [] }, ['stun:192.0.2.1:3478'])).toEqual({ iceServers: [] })
    expect(await configured({}, [])).toEqual({})
  })
})
