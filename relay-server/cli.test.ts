/** The command as it is shipped: bundled, and run as a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import packageJson from '../package.json' with { type: 'json' }
import { bundle, bundles } from '../scripts/bundle.mjs'
import { parseMultiaddr } from '../src/engine/codec/multiaddr.ts'
import { Node } from '../src/engine/net/node.ts'
import { identifyService } from '../src/engine/protocols/identify/service.ts'
import { nodeHost } from '../src/node/host.ts'
import { newIdentity } from '../src/node/identity.ts'
import { wsTransport } from '../src/node/ws-dialer.ts'

// Inside the repository, so that the bundle finds the packages it leaves outside.
const cache = fileURLToPath(new URL('../.cache/', import.meta.url))
let built: string
let folder: string

beforeAll(async () => {
  const cli = bundles.find(({ entry }) => entry === 'relay-server/cli.ts')
  if (cli === undefined) throw new Error('the relay is not among the bundles')
  await mkdir(cache, { recursive: true })
  built = await mkdtemp(`${cache}relay-test-`)
  await bundle(cli, { outDir: built })
  folder = await mkdtemp(join(tmpdir(), 'tabmesh-relay-'))
}, 60_000)

afterAll(async () => {
  await rm(built, { recursive: true })
  await rm(folder, { recursive: true })
})

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Runs the command; what it says is collected. */
const run = (...flags: string[]) => {
  const child = spawn(process.execPath, [join(built, 'relay/cli.js'), ...flags], { env: { ...process.env, XDG_STATE_HOME: folder } })
  children.push(child)
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => (said.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (said.stderr += text))
  const exit = once(child, 'close').then(([code]) => code as number | null)
  const firstLine = async (): Promise<string> => {
    while (!said.stdout.includes('\n')) {
      await Promise.race([once(child.stdout, 'data'), exit.then(() => Promise.reject(new Error(`it ended: ${said.stderr}`)))])
    }
    return said.stdout.split('\n')[0] as string
  }
  return { child, said, exit, firstLine }
}

/** A peer that connects and then goes silent, so that the relay waits for it in vain. */
const silentPeer = async (http: string) => {
  const { port } = new URL(http)
  const way = createServer((socket) => {
    const onward = connect(Number(port), '127.0.0.1')
    socket.pipe(onward).pipe(socket)
    for (const each of [socket, onward]) each.on('error', () => {})
    way.once('close', () => {
      socket.destroy()
      onward.destroy()
    })
    way.once('silence', () => {
      onward.unpipe(socket)
      onward.pause()
    })
  }).listen(0, '127.0.0.1')
  await once(way, 'listening')
  const { port: through } = way.address() as AddressInfo
  const node = new Node({ host: nodeHost(newIdentity()), services: [identifyService()], transports: [wsTransport()] })
  node.start()
  await new Promise<void>((done, fail) => {
    node.dial({ addresses: [parseMultiaddr(`/ip4/127.0.0.1/tcp/${through}/ws`)] }, (outcome) => (outcome.ok ? done() : fail(outcome.fault)))
  })
  const isOpen = async () => (await (await fetch(`${http}/health`)).json()).connections === 1
  while (!(await isOpen()));
  way.emit('silence')
  return {
    gone() {
      way.close()
      way.emit('close')
      node.stop(() => {})
    },
  }
}

const local = ['--listen', '/ip4/127.0.0.1/tcp/0/ws']
interface Ready {
  peerId: string
  addresses: string[]
  http: string
}
const ready = async (relay: ReturnType<typeof run>): Promise<Ready> => JSON.parse(await relay.firstLine())

describe('tabmesh-relay', () => {
  it('says where it is in one line of JSON, and drains on SIGTERM', async () => {
    const relay = run('--json', ...local)
    const { peerId, addresses, http, ...rest } = await ready(relay)
    expect(rest).toEqual({})
    expect(addresses).toEqual([`/ip4/127.0.0.1/tcp/${new URL(http).port}/ws/p2p/${peerId}`])
    expect(await (await fetch(`${http}/health`)).json()).toMatchObject({ status: 'ok', peerId, connections: 0 })
    const socket = new WebSocket(http.replace('http', 'ws'))
    await once(socket, 'open')
    const closed = once(socket, 'close')
    relay.child.kill('SIGTERM')
    expect(await relay.exit).toBe(0)
    expect((await closed)[0]).toBe(1001)
    expect(relay.said.stdout.trimEnd().split('\n')).toHaveLength(1)
    const logged = relay.said.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(logged.map(({ event }) => event)).toEqual(['stopping', 'stopped'])
  })

  it('tells people its addresses and what to paste', async () => {
    const relay = run(...local)
    await relay.firstLine()
    relay.child.kill('SIGINT')
    expect(await relay.exit).toBe(0)
    expect(relay.said.stdout).toMatch(/^tabmesh relay 12D3KooW\w+\n/)
    expect(relay.said.stdout).toMatch(/\n {2}\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws\/p2p\/12D3KooW\w+\n/)
    expect(relay.said.stdout).toMatch(/\n {2}const peer = await createPeer\(\{ relays: \['http:\/\/localhost:\d+'\] \}\)\n/)
  })

  it('names the addresses of this machine where it listens on all, and is the same peer after a restart', async () => {
    const flags = ['--json', '--data', join(folder, 'same'), '--listen', '/ip4/0.0.0.0/tcp/0/ws']
    const first = run(...flags)
    const { peerId, addresses } = await ready(first)
    expect(addresses).toContainEqual(expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]/))
    expect(addresses.join()).not.toContain('0.0.0.0')
    first.child.kill('SIGTERM')
    await first.exit
    expect(await readdir(join(folder, 'same'))).toEqual(['identity.key'])
    const second = run(...flags)
    expect((await ready(second)).peerId).toBe(peerId)
  })

  it('reads a file, which flags override', async () => {
    const file = join(folder, 'relay.json')
    await writeFile(
      file,
      JSON.stringify({ listen: ['/ip4/127.0.0.1/tcp/0/ws'], announce: ['/dns4/a.example/tcp/443/wss'], data: 'beside' }),
    )
    const relay = run('--json', '--config', file, '--announce', '/dns4/b.example/tcp/443/wss')
    const { addresses, peerId } = await ready(relay)
    expect(addresses).toEqual([`/dns4/b.example/tcp/443/wss/p2p/${peerId}`])
    expect(await readdir(join(folder, 'beside'))).toEqual(['identity.key'])
  })

  it('exits at once at a second signal', async () => {
    const relay = run('--json', ...local)
    const { http } = await ready(relay)
    const peer = await silentPeer(http)
    relay.child.kill('SIGTERM')
    while (!relay.said.stderr.includes('stopping')) await once(relay.child.stderr, 'data')
    relay.child.kill('SIGTERM')
    expect(await relay.exit).toBe(1)
    peer.gone()
  })

  it('does not wait for ever for a peer that does not answer', async () => {
    const relay = run('--json', ...local)
    const { http } = await ready(relay)
    const peer = await silentPeer(http)
    const asked = performance.now()
    relay.child.kill('SIGTERM')
    expect(await relay.exit).toBe(0)
    expect(performance.now() - asked).toBeLessThan(10_000)
    peer.gone()
  })

  it('says in one line that the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const relay = run('--listen', `/ip4/127.0.0.1/tcp/${port}/ws`)
    expect(await relay.exit).toBe(1)
    expect(relay.said.stdout).toBe('')
    expect(relay.said.stderr).toMatch(new RegExp(`^tabmesh-relay: .*port ${port} is in use.*\\n$`))
    other.close()
  })

  it.each([
    ['an unknown flag', ['--lisen', 'x'], /'--lisen'/],
    ['a word that is no flag', ['start'], /'start'/],
    ['a bad number', ['--max-circuits', 'many'], /`maxCircuits`.*"many"/],
    ['a bad address', ['--listen', 'localhost:9090'], /`listen`.*localhost:9090/],
    ['an address it can not listen on', ['--listen', '/dns4/relay.example/tcp/443/wss'], /can't listen on \/dns4\/relay\.example/],
    ['a file that is not there', ['--config', '/nowhere/relay.json'], /\/nowhere\/relay\.json/],
    ['a folder that is a file', ['--data', fileURLToPath(import.meta.url)], /cli\.test\.ts/],
  ])('says in one line what is wrong with %s', async (_what, flags, says) => {
    const relay = run(...flags)
    expect(await relay.exit).toBe(1)
    expect(relay.said.stdout).toBe('')
    expect(relay.said.stderr).toMatch(/^tabmesh-relay: [^\n]+\n$/)
    expect(relay.said.stderr).toMatch(says)
  })

  it('tells its version and its flags', async () => {
    const [version, help] = [run('--version'), run('--help')]
    expect([await version.exit, await help.exit]).toEqual([0, 0])
    expect(version.said.stdout).toBe(`${packageJson.version}\n`)
    for (const flag of ['--listen', '--announce', '--config', '--data', '--json', '--max-reservations', '--circuit-bytes']) {
      expect(help.said.stdout).toContain(flag)
    }
  })
})
