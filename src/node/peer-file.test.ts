import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createPeer, type Peer, type TabmeshError } from './index.ts'
import { peersInFile } from './peer-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabmesh-peers-'))
})
afterEach(() => rm(folder, { recursive: true }))

const file = () => join(folder, 'peers')
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

describe('the file of peers', () => {
  it('holds what was written, less what was taken off, in a file of its owner alone with nothing left beside it', async () => {
    const shelf = peersInFile(folder)
    expect(await shelf.load()).toEqual([])
    await shelf.write(
      new Map([
        ['a', bytes(1, 2)],
        ['b', bytes()],
        ['c', bytes(255)],
      ]),
    )
    await shelf.write(
      new Map([
        ['c', undefined],
        ['a', bytes(3)],
      ]),
    )
    expect(await peersInFile(folder).load()).toEqual([
      ['a', bytes(3)],
      ['b', bytes()],
    ])
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['peers'])
  })

  it('makes the folders that are missing', async () => {
    const deep = join(folder, 'a', 'b')
    await peersInFile(deep).write(new Map([['a', bytes(1)]]))
    expect(await peersInFile(deep).load()).toEqual([['a', bytes(1)]])
  })

  it.each([
    ['is empty', '', []],
    ['has a line that is none', 'tabmesh peers 1\na AQ\n$$$\nb Ag\n', ['a', '$$$', 'b']],
    ['has lost its title', 'x\na AQ\n', ['x', 'a']],
    ['is cut in a line', 'tabmesh peers 1\na AQ\nb', ['a', 'b']],
    ['is binary', '\0\xff\n\n\0', ['\0\xff', '\0']],
  ])('that %s gives line by line what there is', async (_what, text, keys) => {
    await writeFile(file(), text, 'latin1')
    expect((await peersInFile(folder).load()).map(([key]) => key)).toEqual(keys)
  })

  it('of a newer version, too long or not readable is refused', async () => {
    await writeFile(file(), 'tabmesh peers 2\n{}')
    await expect(peersInFile(folder).load()).rejects.toMatchObject({ code: 'ERR_STORE', message: expect.stringContaining('newer version') })
    await writeFile(file(), new Uint8Array(100_000_000))
    await expect(peersInFile(folder).load()).rejects.toMatchObject({ code: 'ERR_STORE', message: expect.stringContaining('100000000') })
    await rm(file())
    await mkdir(file())
    await expect(peersInFile(folder).load()).rejects.toMatchObject({ code: 'ERR_STORE', cause: { code: 'EISDIR' } })
    await expect(peersInFile(folder).write(new Map([['a', bytes(1)]]))).rejects.toMatchObject({ code: 'ERR_STORE' })
    expect(await readdir(folder)).toEqual(['peers'])
  })
})

describe('a persistent peer in Node', () => {
  const running: Peer[] = []
  const start = async (options: Parameters<typeof createPeer>[0]): Promise<{ peer: Peer; errors: TabmeshError[] }> => {
    const peer = await createPeer({ ...options, transports: { webRTC: false, webRTCDirect: false, quic: false } })
    running.push(peer)
    const errors: TabmeshError[] = []
    peer.addEventListener('error', ({ detail }) => errors.push(detail as TabmeshError))
    return { peer, errors }
  }
  const connected = (peer: Peer): Promise<string> =>
    new Promise((resolve) => peer.addEventListener('peer:connect', ({ detail }) => resolve(detail.peer), { once: true }))
  const identified = (peer: Peer): Promise<string> =>
    new Promise((resolve) => peer.addEventListener('peer:identify', ({ detail }) => resolve(detail.peer), { once: true }))
  afterEach(async () => {
    await Promise.all(running.splice(0).map((each) => each.stop()))
  })

  it('knows at its second start whom it met at the first, and dials those it keeps alive', async () => {
    const { peer: server } = await start({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    const { peer: other } = await start({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    const { peer: first } = await start({ identity: 'persistent', name: folder })
    for (const each of [server, other]) {
      const known = identified(first)
      await first.dial(each.addresses as string[])
      await known
    }
    await first.peerStore.tag(server.id, 'keep-alive')
    const before = await first.peerStore.get(server.id)
    expect(before?.certified.length).toBeGreaterThan(0)
    await first.stop()

    const back = connected(server)
    const { peer: second, errors } = await start({ identity: 'persistent', name: folder })
    expect(second.id).toBe(first.id)
    expect(await second.peerStore.get(server.id)).toMatchObject({ ...before, seenAt: expect.any(Number) })
    expect(await back).toBe(first.id)
    expect([second.peers, errors]).toEqual([[server.id], []])
    expect((await second.peerStore.get(other.id))?.addresses).toEqual(other.addresses)
  })

  it('goes on where its peers are damaged or of a newer version, and says so', async () => {
    const { peer: server } = await start({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    const { peer: first } = await start({ identity: 'persistent', name: folder })
    const known = identified(first)
    await first.dial(server.addresses as string[])
    await known
    await first.stop()
    const text = await readFile(file(), 'latin1')
    expect(text.split('\n').length).toBe(3)
    await writeFile(file(), `${text}12D3KooWdamaged ${Buffer.from('nonsense').toString('base64url')}\n12D3KooWnewer CAc\n`)

    const { peer: second, errors } = await start({ identity: 'persistent', name: folder })
    while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(errors.map(({ code, message }) => [code, message.split(':')[0]])).toEqual([
      ['ERR_STORE', 'of the stored peers 1 damaged and forgotten, 1 of a newer version and left alone'],
    ])
    expect((await second.peerStore.all()).map(({ id }) => id)).toEqual([server.id])
    expect(await second.ping(server.id)).toBeGreaterThan(0)
    await second.stop()
    const left = await readFile(file(), 'latin1')
    expect([left.includes('damaged'), left.includes('newer CAc')]).toEqual([false, true])

    await writeFile(file(), 'tabmesh peers 2\n')
    const { peer: third, errors: told } = await start({ identity: 'persistent', name: folder })
    while (told.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(told).toMatchObject([{ code: 'ERR_STORE' }])
    expect(await third.dial(server.addresses as string[])).toMatchObject({ remotePeer: server.id })
    await third.stop()
    expect(await readFile(file(), 'latin1')).toBe('tabmesh peers 2\n')
  })

  it('that is ephemeral keeps nothing', async () => {
    const { peer } = await start({ identity: 'ephemeral', name: folder })
    await peer.peerStore.tag(peer.id, 'room')
    await peer.stop()
    expect(await readdir(folder)).toEqual([])
  })
})
