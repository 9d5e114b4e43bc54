import { describe, expect, it } from 'vitest'
import type { Node } from '../engine/net/node.ts'
import type { NetEvent } from '../engine/net/service.ts'
import { identifyService } from '../engine/protocols/identify/service.ts'
import { pingService } from '../engine/protocols/ping/service.ts'
import { echo } from '../engine/testing/echo.ts'
import type { WorldNode } from '../engine/testing/world.ts'
import { TabmeshError } from '../errors.ts'
import { closeAfterwards, engineOptions, Lab, openPorts, toServe } from '../testing/lab.ts'
import { ControlClient } from './control.ts'
import { type Engine, serveEngine } from './engine-port.ts'
import type { CommandName, Commands, EngineEvent } from './messages.ts'

/** An engine in a world of virtual time, which passes while we wait. */
const make = (start: (engine: () => Engine, node: Node) => Promise<Engine> = async (engine) => engine()) => {
  const lab = new Lab()
  const { world } = lab
  const ping = pingService()
  const made = world.node(() => ({ services: [identifyService(), ping] }))
  const { node } = made
  let report: (event: NetEvent) => void = () => {}
  toServe(made, (event) => report(event))
  const other: WorldNode = world.node(() => ({ services: [identifyService(), pingService(), echo()] }))
  const ports = openPorts()
  let closed = 0
  serveEngine(ports.engine, (_options, _rtc, onEvent) => {
    report = onEvent
    return start(() => ({ node, ping: ping.ping, warnings: [], close: () => void (closed += 1) }), node)
  })
  const client = new ControlClient(ports.page.control)
  const heard: EngineEvent[] = []
  ports.page.events.onmessage = ({ data }: MessageEvent<EngineEvent>) => heard.push(data)
  const settle = <T>(promise: Promise<T>): Promise<T> => lab.wait(promise)
  const run = <N extends CommandName>(name: N, args: Commands[N]['args'], signal?: AbortSignal): Promise<Commands[N]['result']> =>
    settle(client.run(name, args, signal))
  const codeOf = <N extends CommandName>(name: N, args: Commands[N]['args']): Promise<string> => lab.codeOf(client.run(name, args))
  return { world, node, other, client, heard, settle, run, codeOf, closed: () => closed }
}

describe('commands', () => {
  it('before the start, and after the stop, are refused', async () => {
    const { run, codeOf, closed } = make()
    const all: [CommandName, never][] = [
      ['dial', '/memory/1' as never],
      ['hangUp', 'x' as never],
      ['openStream', { target: '/memory/1', protocols: ['/x'], options: {} } as never],
      ['handle', { protocol: '/x' } as never],
      ['ping', '/memory/1' as never],
      ['metrics', undefined as never],
      ['peers', undefined as never],
      ['peer', 'x' as never],
      ['tagPeer', { id: 'x', tag: 'y', value: 1 } as never],
      ['deletePeer', 'x' as never],
    ]
    for (const [name, args] of all) expect(await codeOf(name, args)).toBe('ERR_STOPPED')
    expect(await codeOf('stop', undefined)).toBe('ok')
    await run('start', engineOptions)
    expect(await codeOf('metrics', undefined)).toBe('ok')
    expect(await codeOf('stop', undefined)).toBe('ok')
    expect(closed()).toBe(1)
    for (const [name, args] of all) expect(await codeOf(name, args)).toBe('ERR_STOPPED')
  })

  it.each<[unknown, string]>([
    ['nonsense', 'ERR_INVALID_PEER_ID'],
    ['/nonsense', 'ERR_INVALID_MULTIADDR'],
    [[], 'ERR_INVALID_ARGUMENT'],
    [42, 'ERR_INVALID_ARGUMENT'],
    [undefined, 'ERR_INVALID_ARGUMENT'],
    [{ length: 1 }, 'ERR_INVALID_ARGUMENT'],
    [['/memory/1', 7], 'ERR_INVALID_ARGUMENT'],
    [['/memory/1', ''], 'ERR_INVALID_MULTIADDR'],
  ])('of the target %j end with %s', async (target, code) => {
    const { run, codeOf } = make()
    await run('start', engineOptions)
    for (const name of ['dial', 'ping'] as const) expect(await codeOf(name, target as string)).toBe(code)
    expect(await codeOf('openStream', { target: target as string, protocols: ['/x'], options: {} })).toBe(code)
  })

  it('dial, ping, tag, list and hang up', async () => {
    const { run, other, heard, world } = make()
    await run('start', engineOptions)
    const info = await run('dial', other.address.text)
    expect(info).toMatchObject({ remotePeer: other.node.self, transport: 'memory', direction: 'outbound' })
    expect(await run('ping', other.node.self)).toBe(2)
    world.run(1_000)
    await run('tagPeer', { id: other.node.self, tag: 'room', value: 5 })
    expect(await run('peer', other.node.self)).toMatchObject({ id: other.node.self, tags: { room: 5 }, addresses: [other.address.text] })
    expect((await run('peers', undefined)).map(({ id }) => id)).toEqual([other.node.self])
    expect(await run('deletePeer', other.node.self)).toBe(true)
    expect(await run('peer', other.node.self)).toBeUndefined()
    await run('hangUp', other.node.self)
    world.run(10_000)
    await run('metrics', undefined)
    expect(heard.map(({ t }) => t)).toEqual(
      expect.arrayContaining(['connection:open', 'peer:connect', 'peer:identify', 'connection:close', 'peer:disconnect']),
    )
  })

  it('open a stream whose port is the page’s', async () => {
    const { run, other, world, settle } = make()
    await run('start', engineOptions)
    const { info, port } = await run('openStream', { target: other.address.text, protocols: ['/echo/1'], options: {} })
    closeAfterwards(port)
    expect(info).toMatchObject({ protocol: '/echo/1', direction: 'outbound', remotePeer: other.node.self })
    const echoed = new Promise<unknown>((resolve) => {
      port.onmessage = ({ data }: MessageEvent<unknown>) => Array.isArray(data) && resolve(data[0])
    })
    port.postMessage([Uint8Array.of(1, 2, 3)])
    expect(await settle(echoed)).toEqual(Uint8Array.of(1, 2, 3))
    world.run(100)
  })

  it('given up while a stream is opened leave none open', async () => {
    const { run, client, other, node, world, settle } = make()
    await run('start', engineOptions)
    const controller = new AbortController()
    const failed = client
      .run('openStream', { target: other.address.text, protocols: ['/echo/1'], options: {} }, controller.signal)
      .catch((why) => why)
    await new Promise((resolve) => setImmediate(resolve))
    world.run(2)
    controller.abort('why')
    expect(await settle(failed)).toBe('why')
    await run('metrics', undefined)
    world.run(20_000)
    expect(node.connections().flatMap((each) => [...each.streams])).toEqual([])
  })

  it('handle a protocol once, and no more after unhandle', async () => {
    const { run, codeOf, node, other, heard, world } = make()
    await run('start', engineOptions)
    await run('handle', { protocol: '/mine/1' })
    expect(await codeOf('handle', { protocol: '/mine/1' })).toBe('ERR_PROTOCOL_TAKEN')
    await run('dial', other.address.text)
    world.run(1_000)
    const [back] = other.node.connections(node.self)
    back?.openStream(['/mine/1'])
    world.run(1_000)
    await run('metrics', undefined)
    const incoming = heard.find((event) => event.t === 'stream')
    expect(incoming?.t === 'stream' && incoming.info).toMatchObject({ protocol: '/mine/1', direction: 'inbound' })
    if (incoming?.t === 'stream') closeAfterwards(incoming.port)
    await run('unhandle', '/mine/1')
    await run('unhandle', '/mine/1')
    // The other side is told so.
    world.run(1_000)
    let code: string | undefined
    back?.openStream(['/other/1', '/mine/1'], (fault) => (code = fault?.code))
    world.run(1_000)
    expect(code).toBe('ERR_NO_PROTOCOL')
    expect(await codeOf('handle', { protocol: '/mine/1' })).toBe('ok')
  })

  it('that wait when the engine stops end with a code', async () => {
    const { run, client, other, settle } = make()
    await run('start', engineOptions)
    const waiting = (['dial', 'ping'] as const).map((name) =>
      client.run(name, other.address.text).then(
        () => 'ok',
        (error: unknown) => (error as TabmeshError).code,
      ),
    )
    const stopped = client.run('stop', undefined)
    expect(await settle(Promise.all(waiting))).toEqual(['ERR_STOPPED', 'ERR_STOPPED'])
    await settle(stopped)
  })
})

describe('a start', () => {
  it('that fails says why', async () => {
    const { codeOf } = make(() => Promise.reject(new TabmeshError('ERR_STORE', 'no store')))
    expect(await codeOf('start', engineOptions)).toBe('ERR_STORE')
    expect(await codeOf('metrics', undefined)).toBe('ERR_STOPPED')
  })

  it('that would hold no reservation, or as many as nobody knows, is refused before anything is held', async () => {
    for (const reservations of [0, -1, Number.NaN]) {
      let begun = false
      const { codeOf } = make(async (engine) => {
        begun = true
        return engine()
      })
      expect(await codeOf('start', { ...engineOptions, reservations })).toBe('ERR_INVALID_ARGUMENT')
      expect(begun).toBe(false)
    }
  })

  it('with a bootstrap address that is none fails, and leaves no engine running', async () => {
    const { codeOf, closed, world } = make()
    expect(await codeOf('start', { ...engineOptions, bootstrap: ['/nonsense'] })).toBe('ERR_INVALID_MULTIADDR')
    world.run(5_000)
    expect(closed()).toBe(1)
    expect(await codeOf('metrics', undefined)).toBe('ERR_STOPPED')
  })

  it('waits for what its host begins with', async () => {
    let ready = (): void => {}
    const { client, settle, run } = make(async (engine) => ({ ...engine(), started: () => new Promise((resolve) => (ready = resolve)) }))
    let isStarted = false
    const starting = client.run('start', engineOptions).then(() => (isStarted = true))
    // Answers come in the order in which they are given.
    await run('tagPeer', { id: 'nobody', tag: 'x', value: 1 }).catch(() => {})
    expect(isStarted).toBe(false)
    ready()
    await settle(starting)
    expect(isStarted).toBe(true)
  })

  it('that was given up leaves no engine running', async () => {
    let ready: () => void = () => {}
    const { client, closed, codeOf, settle } = make(
      (engine) =>
        new Promise((resolve) => {
          ready = () => resolve(engine())
        }),
    )
    const controller = new AbortController()
    const failed = client.run('start', engineOptions, controller.signal).catch((why) => why)
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort('why')
    expect(await settle(failed)).toBe('why')
    expect(await codeOf('metrics', undefined)).toBe('ERR_STOPPED')
    ready()
    expect(await codeOf('metrics', undefined)).toBe('ERR_STOPPED')
    expect(closed()).toBe(1)
  })

  it('dials the bootstrap addresses, and tells of those that fail', async () => {
    const { run, other, node, heard, world } = make()
    await run('start', { ...engineOptions, bootstrap: [other.address.text, '/memory/77'] })
    world.run(2_000)
    await run('metrics', undefined)
    expect(node.connections().map(({ remotePeer }) => remotePeer)).toEqual([other.node.self])
    const errors = heard.flatMap((event) => (event.t === 'error' ? [event.error.code] : []))
    expect(errors).toEqual(['ERR_DIAL_FAILED'])
  })
})
