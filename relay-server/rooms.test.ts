/** Rooms as an application in Node has them, around a relay in this process. */

import { afterEach, describe, expect, it } from 'vitest'
import { createPeer, type NodePeerOptions, type Peer, type Room, type RoomFile, type RoomMessage, TabmeshError } from '../src/node/index.ts'
import { type RelaySettings, relayConfig } from './config.ts'
import { type Relay, startRelay } from './relay.ts'

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

const relayHere = async (settings: RelaySettings = {}): Promise<Relay> => {
  const relay = await startRelay(relayConfig({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] }, settings))
  running.push(relay)
  return relay
}

const url = ({ addresses }: Relay): string => `ws://127.0.0.1:${/tcp\/(\d+)/.exec(addresses[0] as string)?.[1]}`

/** Reachable through the relay alone. */
const peerAt = async (relay: Relay, options: NodePeerOptions = {}): Promise<Peer> => {
  const peer = await createPeer({
    relays: [url(relay)],
    listen: ['/p2p-circuit'],
    transports: { webRTC: false, tcp: false, quic: false },
    ...options,
  })
  running.push(peer)
  return peer
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
    return 'ok'
  } catch (error) {
    return error instanceof TabmeshError ? error.code : String(error)
  }
}

/** What a room tells, in words. */
const listen = (room: Room<unknown>): { messages: RoomMessage[]; happened: string[] } => {
  const messages: RoomMessage[] = []
  const happened: string[] = []
  room.addEventListener('message', ({ detail }) => messages.push(detail))
  room.addEventListener('join', ({ detail }) => happened.push(`join ${JSON.stringify(detail.presence)}`))
  room.addEventListener('leave', ({ detail }) => happened.push(`leave ${detail.reason}`))
  room.addEventListener('presence', ({ detail }) => happened.push(`presence ${JSON.stringify(detail.presence)}`))
  return { messages, happened }
}

describe('a room', () => {
  it('is three lines: peers that share a relay and a name hear each other', async () => {
    const relay = await relayHere()
    const [a, b] = [await peerAt(relay), await peerAt(relay)]
    const kitchen = await a.join('kitchen')
    const { messages, happened } = listen(kitchen)
    expect([kitchen.name, kitchen.peers.size]).toEqual(['kitchen', 0])
    const other = await b.join<{ name: string }>('kitchen', { presence: { name: 'Bea' } })
    // Who is there has been met when it resolves.
    expect([...other.peers.keys()]).toEqual([a.id])
    void other.send('hello')
    await until(() => messages.length > 0)
    expect(messages[0]).toMatchObject({ from: b.id, private: false, data: new Uint8Array(Buffer.from('hello')) })
    expect([messages[0]?.text(), happened]).toEqual(['hello', ['join {"name":"Bea"}']])
    // Also where they were connected before.
    const cellar = await a.join('cellar')
    const below = listen(cellar)
    await b.join('cellar', { presence: 1 })
    await until(() => below.happened.length > 0)
    expect([below.happened, cellar.peers.get(b.id)?.presence]).toEqual([['join 1'], 1])
    expect(kitchen.peers.get(b.id)).toMatchObject({ direct: false, transport: 'relay', presence: { name: 'Bea' } })
  })

  it('carries bytes, private words and presence, and lets everybody go', async () => {
    const relay = await relayHere()
    const [a, b, c] = [await peerAt(relay), await peerAt(relay), await peerAt(relay)]
    const rooms = [await a.join('r'), await b.join('r'), await c.join('r')] as [Room, Room, Room]
    const heard = rooms.map(listen)
    await until(() => rooms.every(({ peers }) => peers.size === 2))
    const large = new Uint8Array(1024 * 1024).map((_, i) => i * 7)
    await rooms[0].send(large)
    await rooms[0].sendTo(b.id, 'psst')
    await until(() => heard[1]?.messages.length === 2 && heard[2]?.messages.length === 1)
    // Each kind has an order of its own.
    expect(heard[1]?.messages.map((message) => message.private).sort()).toEqual([false, true])
    expect(Buffer.compare(heard[2]?.messages[0]?.data as Uint8Array, large)).toBe(0)
    rooms[1].presence = { x: 1 }
    await until(() => heard[0]?.happened.includes('presence {"x":1}') === true)
    expect(rooms[1].presence).toEqual({ x: 1 })
    await rooms[1].leave()
    await until(() => rooms[0].peers.size === 1 && rooms[2].peers.size === 1)
    expect(heard[0]?.happened.at(-1)).toBe('leave left')
    expect(await codeOf(rooms[1].send('after'))).toBe('ERR_STOPPED')
    expect(await codeOf(rooms[0].sendTo(b.id, 'gone'))).toBe('ERR_NOT_IN_ROOM')
    // A peer that stops has left.
    await c.stop()
    await until(() => rooms[0].peers.size === 0)
    expect(heard[0]?.happened.at(-1)).toBe('leave left')
    await using again = await b.join('r')
    expect(again.peers.has(a.id)).toBe(true)
  })

  it('with a password is not the one without, nor one with another', async () => {
    const relay = await relayHere()
    const [a, b, c, d] = [await peerAt(relay), await peerAt(relay), await peerAt(relay), await peerAt(relay)]
    const [ours, theirs, wrong, open] = await Promise.all([
      a.join('cellar', { password: 'caf\u00e9' }),
      // The same letters, typed on another machine.
      b.join('cellar', { password: 'cafe\u0301' }),
      c.join('cellar', { password: 'Caf\u00e9' }),
      d.join('cellar'),
    ])
    const heard = [theirs, wrong, open].map(listen)
    await until(() => ours.peers.size === 1 && theirs.peers.size === 1)
    await ours.send('secret')
    await until(() => heard[0]?.messages.length === 1)
    expect([ours, theirs, wrong, open].map(({ peers }) => [...peers.keys()])).toEqual([[b.id], [a.id], [], []])
    expect(heard.map(({ messages }) => messages.length)).toEqual([1, 0, 0])
  })

  it('a thousand messages each way come in order and once', async () => {
    const relay = await relayHere()
    const [a, b] = [await peerAt(relay), await peerAt(relay)]
    const rooms = [await a.join('r'), await b.join('r')] as [Room, Room]
    const heard = rooms.map(listen)
    for (let n = 0; n < 1_000; n++) for (const room of rooms) void room.send(`${n}`)
    await until(() => heard.every(({ messages }) => messages.length >= 1_000))
    const expected = Array.from({ length: 1_000 }, (_, n) => `${n}`)
    for (const { messages } of heard) expect(messages.map((message) => message.text())).toEqual(expected)
  })

  it('is refused where it can not be, at once', async () => {
    const relay = await relayHere()
    const peer = await peerAt(relay)
    const room = await peer.join('here')
    expect(await codeOf(peer.join('here'))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(peer.join(''))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(peer.join('x'.repeat(300)))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(peer.join('there', { password: '' }))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(peer.join('there', { presence: 'x'.repeat(5_000) }))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(peer.pubsub.subscribe('tabmesh-room/here'))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(room.send(new Uint8Array(1024 * 1024 + 1)))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(room.send(5 as never))).toBe('ERR_INVALID_ARGUMENT')
    const mute = await peerAt(relay, { pubsub: false })
    expect(await codeOf(mute.join('here'))).toBe('ERR_UNSUPPORTED')
    const unsigned = await peerAt(relay, { pubsub: { signing: 'StrictNoSign' } })
    expect(await codeOf(unsigned.join('here'))).toBe('ERR_UNSUPPORTED')
    // What is given up can be had again.
    const giving = new AbortController()
    const given = peer.join('later', { signal: giving.signal, password: 'x' })
    giving.abort(new Error('enough'))
    expect(await codeOf(given)).toBe('Error: enough')
    expect((await peer.join('later', { password: 'x' })).peers.size).toBe(0)
    await peer.stop()
    expect(await codeOf(room.send('late'))).toBe('ERR_STOPPED')
  })

  it('carries files: accepted, rejected, given up', async () => {
    const relay = await relayHere()
    const [a, b] = [await peerAt(relay), await peerAt(relay)]
    const rooms = [await a.join('r', { password: 'p' }), await b.join('r', { password: 'p' })] as [Room, Room]
    const bytes = new Uint8Array(7 * 1024 * 1024 + 3).map((_, i) => i * 31)
    const offered = (): Promise<RoomFile> =>
      new Promise((resolve) => rooms[1].addEventListener('file', ({ detail }) => resolve(detail), { once: true }))
    const progress: number[] = []
    const first = offered()
    const sending = rooms[0].sendFile(b.id, new File([bytes], 'notes.txt', { type: 'text/plain' }), {
      onProgress: ({ sent, size }) => progress.push(sent / size),
    })
    const file = await first
    expect({ ...file }).toMatchObject({ from: a.id, name: 'notes.txt', type: 'text/plain', size: bytes.length })
    const got = new Uint8Array(await new Response(file.accept()).arrayBuffer())
    await sending
    expect([Buffer.compare(got, bytes), progress.at(-1), progress.length > 5]).toEqual([0, 1, true])
    expect(() => file.reject()).toThrow('before')

    const second = offered()
    const unwanted = codeOf(rooms[0].sendFile(b.id, new Blob([bytes])))
    ;(await second).reject()
    expect(await unwanted).toBe('ERR_FILE_REFUSED')

    const third = offered()
    const dropped = codeOf(rooms[0].sendFile(b.id, new Blob([bytes])))
    await (await third).accept().cancel('enough')
    expect(await dropped).toBe('ERR_FILE_REFUSED')

    const fourth = offered()
    const giving = new AbortController()
    const given = codeOf(rooms[0].sendFile(b.id, new Blob([bytes]), { signal: giving.signal }))
    const half = (await fourth).accept().getReader()
    await half.read()
    giving.abort(new Error('no more'))
    expect(await given).toBe('Error: no more')
    expect(
      await codeOf(
        (async () => {
          while (!(await half.read()).done);
        })(),
      ),
    ).toBe('ERR_STREAM_RESET')
    // What is told of a file when it is over disturbs nothing that comes behind it.
    const { messages } = listen(rooms[0])
    for (let n = 0; n < 20; n++) {
      const offer = offered()
      const small = rooms[0].sendFile(b.id, new Blob(['tiny']))
      await new Response((await offer).accept()).text()
      await Promise.all([small, rooms[1].send(`${n}`)])
    }
    await until(() => messages.length === 20)
    expect(await codeOf(rooms[0].sendFile(a.id, new Blob([bytes])))).toBe('ERR_NOT_IN_ROOM')
    expect(await codeOf(rooms[0].sendFile(b.id, 'text' as never))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('goes on over circuits that the relay cuts after a few bytes', async () => {
    const relay = await relayHere({ circuitBytes: 1_000_000 })
    const [a, b] = [await peerAt(relay), await peerAt(relay)]
    const rooms = [await a.join('r'), await b.join('r')] as [Room, Room]
    const { messages, happened } = listen(rooms[1])
    const bytes = new Uint8Array(5_000_000).map((_, i) => i * 13)
    const got = new Promise<Uint8Array>((resolve) =>
      rooms[1].addEventListener('file', async ({ detail }) => resolve(new Uint8Array(await new Response(detail.accept()).arrayBuffer()))),
    )
    const sending = rooms[0].sendFile(b.id, new Blob([bytes]))
    let sent = 0
    const talking = setInterval(() => void rooms[0].send(`${sent++}`), 5)
    await sending
    clearInterval(talking)
    expect(Buffer.compare(await got, bytes)).toBe(0)
    await until(() => messages.length === sent)
    expect(messages.map((message) => message.text())).toEqual(Array.from({ length: sent }, (_, n) => `${n}`))
    expect(happened.filter((each) => each.startsWith('leave'))).toEqual([])
  })

  it('tells the application nothing of the topic that it stands on', async () => {
    const relay = await relayHere()
    const [a, b] = [await peerAt(relay), await peerAt(relay)]
    const told: unknown[] = []
    for (const type of ['message', 'subscription:change'] as const) a.pubsub.addEventListener(type, ({ detail }) => told.push(detail))
    const room = await a.join('r')
    const { messages } = listen(room)
    void (await b.join('r')).send('x')
    await until(() => messages.length === 1)
    expect([told, a.pubsub.topics, (await a.pubsub.inspect()).dropped]).toEqual([[], [], 0])
  })
})
