/** That the floors can fail: a fixture for every rule, beside one that keeps it. `node scripts/floors.mjs` runs them on the repository. */

import { describe, expect, it } from 'vitest'
import { findFaults, isChecked } from './floors.mjs'

const faultsOf = (path: string, text: string): string[] => findFaults([{ path, text }]).map(({ line, what }) => `${line}: ${what}`)

describe('floors', () => {
  it.each([
    ['src/engine/codec/varint.ts', "import { remoteFault } from '../../errors.ts'"],
    ['src/engine/codec/keys.ts', "import { ed25519 } from '@noble/curves/ed25519.js'"],
    ['src/engine/wire/noise/handshake.ts', "import { concat } from '../../codec/bytes.ts'"],
    ['src/engine/protocols/ping/service.ts', "import type { Service } from '../../net/service.ts'"],
    ['src/engine/protocols/ping/service.ts', "import { type Service, type Net } from '../../net/service.ts'"],
    ['src/engine/protocols/ping/service.ts', "import { PING } from './messages.ts'"],
    ['src/engine/net/upgrade.ts', "import { yamux } from '../wire/yamux/muxer.ts'"],
    ['src/port/messages.ts', "import type { Target } from '../types.ts'"],
    ['src/node/web-socket.ts', "import { WebSocketChannel } from '../sockets/web-socket-channel.ts'"],
    ['src/peer.ts', "import { open } from './port/control.ts'"],
    ['src/node/index.ts', "import { Peer } from '../peer.ts'"],
    ['workers/engine.worker.ts', "import { webSocket } from '../src/transports/websocket.ts'"],
    ['src/node/tcp.ts', "import { connect } from 'node:net'"],
    ['relay-server/cli.ts', "import { createPeer } from '../src/node/index.ts'"],
    ['examples/chat/main.ts', "import { createPeer } from 'tabmesh'"],
  ])('%s may say %s', (path, text) => {
    expect(faultsOf(path, text)).toEqual([])
  })

  it.each([
    ['src/errors.ts', "import { LIMIT } from './engine/limits.ts'", 'arrows only point down'],
    ['src/engine/codec/varint.ts', "import { read } from '../wire/conversation.ts'", 'arrows only point down'],
    ['src/engine/codec/varint.ts', "import type { Host } from '../host.ts'", 'arrows only point down'],
    ['src/engine/protocols/ping/service.ts', "import { Node } from '../../net/node.ts'", 'arrows only point down'],
    ['src/engine/protocols/ping/service.ts', "import { identify } from '../identify/service.ts'", 'arrows only point down'],
    ['src/engine/protocols/ping/service.ts', "import type { I } from '../identify/messages.ts'", 'arrows only point down'],
    ['src/engine/protocols/ping/service.ts', "export * from '../identify/messages.ts'", 'arrows only point down'],
    ['src/engine/net/node.ts', "type P = import('../../port/data.ts').Pipe", 'arrows only point down'],
    ['src/engine/net/node.ts', "const store = import('../../store/peers.ts')", 'arrows only point down'],
    ['src/engine/net/node.ts', "import { prng } from '../testing/prng.ts'", 'arrows only point down'],
    ['src/engine/net/node.ts', "import type { Target } from '../../types.ts'", 'arrows only point down'],
    ['src/engine/net/node.ts', "import { openDB } from 'idb'", 'may not import the package idb'],
    ['src/engine/net/node.ts', "import { randomBytes } from 'node:crypto'", "it can't import node:crypto"],
    ['src/transports/websocket.ts', "import { peers } from '../store/peers.ts'", 'arrows only point down'],
    ['src/peer.ts', "import { ping } from './engine/protocols/ping/service.ts'", 'src/peer.ts never imports src/engine/protocols/ping'],
    ['src/node/index.ts', "import { webSocket } from '../transports/websocket.ts'", 'src/node never imports src/transports'],
    ['src/node/index.ts', "import { identity } from '../store/identity.ts'", 'src/node never imports src/store'],
    ['src/node/index.ts', "import { createPeer } from '../index.ts'", 'src/node never imports src'],
    ['relay-server/relay.ts', "import { createPeer } from '../src/index.ts'", 'relay-server never imports src'],
    ['src/node/start.ts', "import { plaintext } from '../engine/testing/plaintext.ts'", 'src/node never imports src/engine/testing'],
    [
      'workers/engine.worker.ts',
      "import { plaintext } from '../src/engine/testing/plaintext.ts'",
      'workers never imports src/engine/testing',
    ],
    ['examples/chat/main.ts', "import { createPeer } from '../../src/index.ts'", 'public exports only'],
    ['e2e/pages/inline.ts', "import { Channel } from '../../src/engine/wire/channel.ts'", 'public exports only'],
  ])('%s may not say %s', (path, text, why) => {
    const faults = faultsOf(path, text)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(why)
  })

  it('sees through none of the ways to tell the time, wait or throw dice', () => {
    const text = `
      const at = Date.now() + performance.now()
      const die = Math.random() + Math['random']()
      const wait = async () => { await die }
      for await (const one of wait) setTimeout(one, at)
      setInterval(wait); queueMicrotask(wait); console.log(at)
      let later: Promise<void>
    `
    expect(faultsOf('src/engine/net/clock.ts', text).map((fault) => fault.replace('the engine has no ', ''))).toEqual([
      '2: Date',
      '2: performance',
      '3: Math.random',
      '3: Math.random',
      '4: async',
      '4: await',
      '5: await',
      '5: setTimeout',
      '6: setInterval',
      '6: queueMicrotask',
      '6: console',
      '7: Promise',
    ])
    expect(faultsOf('src/port/clock.ts', text)).toEqual([])
  })

  it('lets comments and strings speak of them', () => {
    const text = ['// no Date', '/* nor await */', "const a = 'setTimeout' + `Promise`", 'const pattern = /console/'].join('\n')
    expect(faultsOf('src/engine/net/clock.ts', text)).toEqual([])
  })

  it('finds a ring of imports, but not one of types', () => {
    const ring = (kind: string) => [
      { path: 'src/engine/net/a.ts', text: "import { b } from './b.ts'" },
      { path: 'src/engine/net/b.ts', text: "import { c } from './c.ts'" },
      { path: 'src/engine/net/c.ts', text: `import ${kind} { a } from './a.ts'` },
    ]
    expect(findFaults(ring('')).map(({ what }) => what)).toEqual([
      'imports itself in a ring: src/engine/net/a.ts → src/engine/net/b.ts → src/engine/net/c.ts → src/engine/net/a.ts',
    ])
    expect(findFaults(ring('type'))).toEqual([])
  })

  it('reports what it can not read', () => {
    expect(faultsOf('src/engine/net/a.ts', 'const = 1')[0]).toContain('does not parse')
  })

  it('leaves tests, declarations and AssemblyScript alone', () => {
    const paths = [
      'src/peer.ts',
      'src/peer.test.ts',
      'src/virtual.d.ts',
      'workers/aead/module.generated.ts',
      'workers/aead/assembly/index.ts',
      'src/engine/tsconfig.json',
    ]
    expect(paths.filter(isChecked)).toEqual(['src/peer.ts'])
  })
})
