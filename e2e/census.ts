/**
 * What is alive in a page and in the worker that it starts next, after a collection, as the browser's own heap says.
 *
 * Of a heap's bytes those of compiled code are told apart: they are most of a small heap (2.3 of 3.3 MB), and grow for thousands of rounds,
 * whenever V8 finds one more function hot. What a program leaks is in the others.
 */

import { type CDPSession, expect, type Page } from 'playwright/test'

type Where = 'page' | 'worker'
type Ask = (method: string, params: Record<string, unknown>) => Promise<Record<string, unknown>>

/** Bytes in use. */
export interface Heap {
  /** Objects, strings, closures and buffers. */
  readonly objects: number
  /** What the engine makes of the script to run it. */
  readonly code: number
}

export interface Inspector {
  collect(where: Where): Promise<void>
  heap(where: Where): Promise<Heap>
  /** How many objects of a class there are. */
  alive(where: Where, className: string): Promise<number>
  /** The value of an expression, as JSON. */
  evaluate<T>(where: Where, expression: string): Promise<T>
}

/** Attaches to a page before it starts its peer. */
export const inspect = async (page: Page): Promise<Inspector> => {
  const session = await page.context().newCDPSession(page)
  const chunks: string[] = []
  session.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => chunks.push(chunk))
  const ask = { page: session.send.bind(session) as Ask, worker: await workerOf(session, (chunk) => chunks.push(chunk)) }
  /** What V8 and Blink hold of each other goes in turns. */
  const collect = async (where: Where): Promise<void> => {
    for (let i = 0; i < 3; i += 1) await ask[where]('HeapProfiler.collectGarbage', {})
  }
  return {
    collect,
    async heap(where) {
      await collect(where)
      chunks.length = 0
      // The pieces come before the answer.
      await ask[where]('HeapProfiler.takeHeapSnapshot', {})
      return bytesOf(JSON.parse(chunks.splice(0).join('')))
    },
    async alive(where, className) {
      const objectGroup = 'census'
      const { result } = await ask[where]('Runtime.evaluate', { expression: `${className}.prototype`, objectGroup })
      const prototypeObjectId = (result as { objectId: string }).objectId
      const { objects } = await ask[where]('Runtime.queryObjects', { prototypeObjectId, objectGroup })
      const { objectId } = objects as { objectId: string }
      const counted = await ask[where]('Runtime.callFunctionOn', { objectId, functionDeclaration: 'function () { return this.length }' })
      await ask[where]('Runtime.releaseObjectGroup', { objectGroup })
      return (counted.result as { value: number }).value
    },
    async evaluate<T>(where: Where, expression: string) {
      const { result } = await ask[where]('Runtime.evaluate', { expression, returnByValue: true })
      return (result as { value: T }).value
    },
  }
}

/** V8's heap snapshot: a table of nodes, row after row. */
interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly [readonly string[]] } }
  readonly nodes: readonly number[]
  readonly strings: readonly string[]
}

const bytesOf = ({ snapshot: { meta }, nodes, strings }: Snapshot): Heap => {
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => meta.node_fields.indexOf(field)) as [number, number, number]
  let objects = 0
  let code = 0
  for (let at = 0; at < nodes.length; at += meta.node_fields.length) {
    const kind = meta.node_types[0][nodes[at + type] as number]
    const what = strings[nodes[at + name] as number] as string
    const bytes = nodes[at + size] as number
    // V8's own tables go with the code; the text of the script is outside of its heap, and so is what Blink has.
    if (kind === 'code' || kind === 'object shape') code += bytes
    else if (kind !== 'native' || what === 'system / JSArrayBufferData') objects += bytes
    else if (what.startsWith('system / ') && what !== 'system / ExternalStringData') code += bytes
  }
  return { objects, code }
}

export interface Census {
  readonly page: Heap
  readonly worker: Heap
  readonly open: Readonly<Record<string, number>>
}

/** Heaps, and the sockets, connections, channels and ports of both sides; those alone, too, which is quicker. */
export const takeCensus = async (page: Page): Promise<{ (): Promise<Census>; open(): Promise<Census['open']> }> => {
  const { collect, heap, alive } = await inspect(page)
  const open = async (): Promise<Census['open']> => {
    await collect('page')
    await collect('worker')
    return {
      connections: await alive('page', 'RTCPeerConnection'),
      pageChannels: await alive('page', 'RTCDataChannel'),
      pagePorts: await alive('page', 'MessagePort'),
      channels: await alive('worker', 'RTCDataChannel'),
      ports: await alive('worker', 'MessagePort'),
      sockets: await alive('worker', 'WebSocket'),
    }
  }
  const census = async (): Promise<Census> => ({ page: await heap('page'), worker: await heap('worker'), open: await open() })
  return Object.assign(census, { open })
}

/** The heaps are within a tenth of what they were, were there no more code than then; in words. */
export const expectSameHeaps = (before: Omit<Census, 'open'>, after: Omit<Census, 'open'>): string => {
  for (const side of ['page', 'worker'] as const) {
    const { code, objects } = before[side]
    expect((code + after[side].objects) / (code + objects), `the ${side}'s heap`).toBeLessThan(1.1)
  }
  const told = (side: Where): string => `${(before[side].objects / 1e3).toFixed(0)} → ${(after[side].objects / 1e3).toFixed(0)} kB`
  return `objects of the page ${told('page')}, of the worker ${told('worker')}`
}

/** Playwright has no session of its own with a worker. */
const workerOf = async (session: CDPSession, onChunk: (chunk: string) => void): Promise<Ask> => {
  let target: string | undefined
  let last = 0
  const waiting = new Map<number, { resolve(result: Record<string, unknown>): void; reject(error: Error): void }>()
  session.on('Target.attachedToTarget', ({ sessionId }) => {
    target = sessionId
  })
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result, error, method, params } = JSON.parse(message)
    if (method === 'HeapProfiler.addHeapSnapshotChunk') return onChunk(params.chunk)
    if (error === undefined) waiting.get(id)?.resolve(result)
    else waiting.get(id)?.reject(new Error(error.message))
    waiting.delete(id)
  })
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false })
  return async (method, params) => {
    if (target === undefined) throw new Error('the page has no worker')
    last += 1
    const id = last
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => waiting.set(id, { resolve, reject }))
    await session.send('Target.sendMessageToTarget', { sessionId: target, message: JSON.stringify({ id, method, params }) })
    return answer
  }
}
