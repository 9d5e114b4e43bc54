import { describe, expect, it } from 'vitest'
import { DIRECT_MAX_CHALLENGES, DIRECT_MAX_PENDING_PER_IP } from '../../engine/limits.ts'
import { attempt, type Reached } from '../../engine/protocols/webrtc-direct/attempt.ts'
import { directPrologue, secureDirect } from '../../engine/protocols/webrtc-direct/handshake.ts'
import { directTarget } from '../../engine/protocols/webrtc-direct/sdp.ts'
import { prng } from '../../engine/testing/prng.ts'
import { controlFrame, dataFrame, Outbox, RESET } from '../../engine/wire/webrtc/framing.ts'
import { dial, makePeer, ping, promised, roundTrip, type TestPeer, udp, until } from './fixture.ts'
import { nodeRtc } from './rtc.ts'
import { makeCheck, transactionOfAnswer, usernameOfCheck } from './stun.ts'

const LOCAL = '/ip4/127.0.0.1/udp/0/webrtc-direct'
const portOf = (peer: TestPeer): number => Number(/udp\/(\d+)/.exec(peer.address.text)?.[1])

/** As far as DTLS, where a dialler that means no harm begins Noise. */
const reach = (from: TestPeer, to: TestPeer): Promise<Reached> =>
  new Promise((onConnected, onFailed) => {
    attempt(nodeRtc(), from.host, directTarget(to.address), 2, { onReached: () => {}, onConnected, onFailed })
  })

const stillServes = async (bob: TestPeer): Promise<void> => {
  const carol = await makePeer()
  expect(await ping(carol, await dial(carol, bob.address))).toBeGreaterThan(0)
  await carol.stop()
}

describe('a listener is not impressed by', () => {
  it('garbage, and STUN that is cut or of other protocols', async () => {
    const [bob, socket] = [await makePeer({ listen: LOCAL }), await udp()]
    let answers = 0
    socket.on('message', () => {
      answers += 1
    })
    const random = prng(9)
    const whole = makeCheck(random.bytes(12), `libp2p+webrtc+v2/${'p'.repeat(22)}:abcd`, 'p'.repeat(22))
    const names = ['libp2p+webrtc+v3/', 'libp2p+webrtc+v1', ''].map((prefix) => `${prefix}${'x'.repeat(24)}:abcd`)
    const odd = ['libp2p+webrtc+v1/\r\na=candidate:1:abcd', `libp2p+webrtc+v2/short:abcd`, `libp2p+webrtc+v1/${'y'.repeat(257)}:abcd`]
    const datagrams = [
      ...Array.from({ length: 500 }, (_, i) => random.bytes(i)),
      ...Array.from(whole, (_, at) => whole.subarray(0, at)),
      ...[...names, ...odd].map((name) => makeCheck(random.bytes(12), name, 'p'.repeat(22))),
    ]
    for (const datagram of datagrams) socket.send(datagram, portOf(bob), '127.0.0.1')
    await stillServes(bob)
    expect(answers).toBe(0)
    // The whole one would have been answered.
    socket.send(whole, portOf(bob), '127.0.0.1')
    await until(() => answers === 1)
    socket.close()
    await bob.stop()
  })

  it('a flood of checks by names that are new each time, from one who does not answer', async () => {
    const [bob, socket] = [await makePeer({ listen: LOCAL }), await udp()]
    let answers = 0
    socket.on('message', () => {
      answers += 1
    })
    const began = performance.now()
    const random = prng(4)
    for (let i = 0; i < 20_000; i++) {
      const name = `libp2p+webrtc+v1/${i.toString().padStart(24, '0')}`
      socket.send(makeCheck(random.bytes(12), `${name}:${name}`, name), portOf(bob), '127.0.0.1')
      if (i % 100 === 0) await new Promise((next) => setImmediate(next))
    }
    await until(() => answers > 0)
    const seconds = Math.ceil((performance.now() - began) / 1_000) + 1
    expect(answers).toBeLessThanOrEqual(DIRECT_MAX_CHALLENGES * seconds)
    expect(bob.listener?.connections).toBe(0)
    socket.close()
    await new Promise((next) => setTimeout(next, 1_100))
    await stillServes(bob)
    await bob.stop()
  })

  it('one who answers for a hundred connections and makes none', async () => {
    const bob = await makePeer({ listen: LOCAL, deadline: 1_000 })
    const sockets = await Promise.all(Array.from({ length: 100 }, udp))
    for (const [i, socket] of sockets.entries()) {
      const name = `libp2p+webrtc+v1/${i.toString().padStart(24, '0')}`
      // An answer has the transaction of what it answers; nobody looks at the rest.
      socket.on('message', (asked) => {
        if (usernameOfCheck(asked) === undefined) return
        const answer = Buffer.from(asked)
        answer.writeUInt16BE(0x0101, 0)
        expect(transactionOfAnswer(answer)).toBeDefined()
        socket.send(answer, portOf(bob), '127.0.0.1')
      })
      socket.send(makeCheck(prng(i).bytes(12), `${name}:${name}`, name), portOf(bob), '127.0.0.1')
    }
    await until(() => bob.listener?.connections === DIRECT_MAX_PENDING_PER_IP)
    // Each has its time, and then its place is free.
    await until(() => bob.listener?.connections === 0)
    for (const socket of sockets) socket.close()
    await stillServes(bob)
    await bob.stop()
  })

  it('a dialler that stays silent on the handshake channel', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL, deadline: 500 })]
    const { peer, handshake } = await reach(alice, bob)
    handshake.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    await until(() => bob.listener?.connections === 0)
    peer.close()
    await stillServes(bob)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('RESET before the handshake', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    const { peer, handshake } = await reach(alice, bob)
    handshake.write(controlFrame(RESET))
    await until(() => bob.listener?.connections === 0)
    peer.close()
    await stillServes(bob)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('a hundred channels of two thousand bytes each, one by one, and the end before anybody has read them', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    for (let round = 0; round < 5; round++) {
      const { peer } = await reach(alice, bob)
      for (let i = 0; i < 100; i++) {
        const channel = peer.openChannel()
        for (let byte = 0; byte < 2_000; byte++) channel.write(Uint8Array.of(1))
      }
      peer.close()
      await until(() => bob.listener?.connections === 0)
    }
    await stillServes(bob)
    await Promise.all([alice.stop(), bob.stop()])
  })
})

it('a stream that is flooded and not read is reset; the others go on', async () => {
  const unread: { closed: string | undefined } = { closed: undefined }
  const hold = {
    name: 'hold',
    protocols: { '/hold/1': {} },
    onStream: (stream: import('../../engine/net/stream.ts').Stream) =>
      stream.attach({
        onData: () => {},
        onEnd: () => {},
        onClose: (fault) => {
          unread.closed = fault?.code ?? 'in order'
        },
      }),
  }
  const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL, services: [hold] })]
  const reached = await reach(alice, bob)
  const prologue = directPrologue(reached.fingerprint, directTarget(bob.address).fingerprint)
  const link = await promised<import('../../engine/net/service.ts').Link>((done) =>
    secureDirect(alice.node, reached.peer, reached.handshake, { role: 'dialer', prologue, remoteAddr: bob.address }, done),
  )
  const connection = await promised<import('../../engine/net/connection.ts').Connection>((done) =>
    alice.node.adopt(link, bob.node.self, done),
  )
  // A channel of our own beside those of the connection, which knows no credit.
  const flood = reached.peer.openChannel()
  const frames = (bytes: Uint8Array): Uint8Array => {
    const outbox = new Outbox()
    outbox.put(bytes)
    return dataFrame(outbox, bytes.length)
  }
  let over = false
  const pump = (): void => {
    while (!over && flood.credit > 0) flood.write(frames(new Uint8Array(16_000)))
  }
  flood.attach({
    onData: () => {},
    onDrain: pump,
    onEnd: () => {},
    onClose: () => {
      over = true
    },
  })
  flood.write(frames(Buffer.from('\x13/multistream/1.0.0\n\x08/hold/1\n', 'latin1')))
  pump()
  await until(() => unread.closed !== undefined, 20_000)
  expect(unread.closed).toBe('ERR_STREAM_OVERFLOW')
  const bytes = prng(5).bytes(100_000)
  expect(Buffer.compare(await roundTrip(connection, bytes), bytes)).toBe(0)
  await Promise.all([alice.stop(), bob.stop()])
}, 30_000)
