import { describe, expect, it } from 'vitest'
import { DIRECT_QUIET } from '../../engine/limits.ts'
import { udp, until } from './fixture.ts'
import { Front } from './front.ts'
import type { Dialler, Route } from './route.ts'
import { makeCheck, usernameOfCheck } from './stun.ts'

const NAME = `libp2p+webrtc+v1/${'n'.repeat(24)}`

/** A dialler that answers what it is asked, and all else that reaches it. */
const makeDialler = async (port: number) => {
  const socket = await udp()
  const heard: string[] = []
  socket.on('message', (datagram) => {
    if (usernameOfCheck(datagram) === undefined) {
      heard.push(datagram.toString())
      return
    }
    const answer = Buffer.from(datagram)
    answer.writeUInt16BE(0x0101, 0)
    socket.send(answer, port, '127.0.0.1')
  })
  const say = (what: string | Buffer): void => socket.send(what, port, '127.0.0.1')
  return { socket, heard, say, check: () => say(makeCheck(new Uint8Array(12), `${NAME}:${NAME}`, NAME)) }
}

/** A front whose peer connections are sockets that write down what they hear. */
const scene = async () => {
  const diallers: Dialler[] = []
  const routes: Route[] = []
  const front = await Front.bind('127.0.0.1', 0, 4, (dialler) => {
    diallers.push(dialler)
    routes.push(front.open(dialler))
  })
  const peer = await udp()
  const heard: string[] = []
  peer.on('message', (datagram) => heard.push(usernameOfCheck(datagram) === undefined ? datagram.toString() : 'check'))
  const say = (what: string | Buffer): void => peer.send(what, front.innerPort, '127.0.0.1')
  return { front, diallers, routes, peer, heard, say, introduce: () => say(makeCheck(new Uint8Array(12), `${NAME}:${NAME}`, NAME)) }
}

describe('the port of a WebRTC-direct listener', () => {
  it('asks a stranger first, then passes on what it and its peer connection say', async () => {
    const { front, diallers, routes, peer, heard, say, introduce } = await scene()
    const dialler = await makeDialler(front.port)
    dialler.say('not STUN')
    dialler.check()
    await until(() => diallers.length === 1)
    expect(diallers[0]).toMatchObject({
      host: '127.0.0.1',
      port: dialler.socket.address().port,
      ufrag: NAME,
      credentials: { ufrag: NAME, pwd: NAME },
    })
    introduce()
    await until(() => dialler.heard.length + heard.length === 0)
    // DTLS waits until the peer connection is ready for it, behind the check that began it all.
    dialler.say(Buffer.from([22, 1]))
    say('one')
    await until(() => dialler.heard.includes('one'))
    routes[0]?.reached()
    await until(() => heard.length >= 2)
    expect(heard.slice(-2)).toEqual(['check', '\u0016\u0001'])
    routes[0]?.mute()
    dialler.say('unheard')
    say('two')
    await until(() => dialler.heard.includes('two'))
    expect(heard).not.toContain('unheard')
    routes[0]?.end()
    await front.close()
    for (const socket of [peer, dialler.socket]) socket.close()
  })

  it('keeps to one address for one name, until that is silent', async () => {
    const { front, diallers, routes, peer, say, introduce } = await scene()
    const [first, second] = [await makeDialler(front.port), await makeDialler(front.port)]
    first.check()
    await until(() => diallers.length === 1)
    introduce()
    say('to the first')
    await until(() => first.heard.includes('to the first'))
    second.check()
    await new Promise((next) => setTimeout(next, DIRECT_QUIET + 100))
    expect(second.heard).toEqual([])
    second.check()
    await until(() => {
      say('to the second')
      return second.heard.includes('to the second')
    })
    expect(diallers).toHaveLength(1)
    expect(front.routes).toBe(1)
    routes[0]?.end()
    await front.close()
    for (const socket of [peer, first.socket, second.socket]) socket.close()
  })

  it('passes on the goodbye of a peer connection that is closed, and is free then', async () => {
    const { front, diallers, routes, peer, say, introduce } = await scene()
    const dialler = await makeDialler(front.port)
    dialler.check()
    await until(() => diallers.length === 1)
    introduce()
    say('hello')
    await until(() => dialler.heard.includes('hello'))
    routes[0]?.end()
    const closed = front.close()
    say(Buffer.from([21, 0]))
    await closed
    await until(() => dialler.heard.includes('\u0015\u0000'))
    for (const socket of [peer, dialler.socket]) socket.close()
  })
})
