/**
 * What is alive in a page and in the worker that it starts next, after a collection, as the browser's own heap says.
 */

import { type CDPSession, expect, type Page } from 'playwright/test'

type Where = 'page' | 'worker'
type Ask = (method: string, params: Record<string, unknown>) => Promise<Record<string, unknown>>

export interface Inspector {
  /** Bytes of JavaScript in use. */
  heap(where: Where): Promise<number>
  /** How many objects of a class there are. */
  alive(where: Where, className: string): Promise<number>
  /** The value of an expression, as JSON. */
  evaluate<T>(where: Where, expression: string): Promise<T>
}

/** Attaches to a page before it starts its peer. */
export const inspect = async (page: Page): Promise<Inspector> => {
  const session = await page.context().newCDPSession(page)
  const ask = { page: session.send.bind(session) as Ask, worker: await workerOf(session) }
  return {
    async heap(where) {
      for (let i = 0; i < 3; i += 1) await ask[where]('HeapProfiler.collectGarbage', {})
      return (await ask[where]('Runtime.getHeapUsage', {})).usedSize as number
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

export interface Census {
  readonly page: number
  readonly worker: number
  readonly open: Readonly<Record<string, number>>
}

/** Heaps, and the sockets, connections, channels and ports of both sides. */
export const takeCensus = async (page: Page): Promise<() => Promise<Census>> => {
  const { heap, alive } = await inspect(page)
  return async () => ({
    page: await heap('page'),
    worker: await heap('worker'),
    open: {
      connections: await alive('page', 'RTCPeerConnection'),
      pageChannels: await alive('page', 'RTCDataChannel'),
      pagePorts: await alive('page', 'MessagePort'),
      channels: await alive('worker', 'RTCDataChannel'),
      ports: await alive('worker', 'MessagePort'),
      sockets: await alive('worker', 'WebSocket'),
    },
  })
}

/** The heaps are within a tenth of what they were, in words. */
export const expectSameHeaps = (before: Omit<Census, 'open'>, after: Omit<Census, 'open'>): string => {
  for (const side of ['page', 'worker'] as const) expect(after[side] / before[side], `the ${side}'s heap`).toBeLessThan(1.1)
  const told = (side: Where): string => `${(before[side] / 1e6).toFixed(2)} → ${(after[side] / 1e6).toFixed(2)} MB`
  return `heap of the page ${told('page')}, of the worker ${told('worker')}`
}

/** Playwright has no session of its own with a worker. */
const workerOf = async (session: CDPSession): Promise<Ask> => {
  let target: string | undefined
  let last = 0
  const waiting = new Map<number, (result: Record<string, unknown>) => void>()
  session.on('Target.attachedToTarget', ({ sessionId }) => {
    target = sessionId
  })
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message)
    waiting.get(id)?.(result)
    waiting.delete(id)
  })
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false })
  return async (method, params) => {
    if (target === undefined) throw new Error('the page has no worker')
    last += 1
    const id = last
    const answer = new Promise<Record<string, unknown>>((resolve) => waiting.set(id, resolve))
    await session.send('Target.sendMessageToTarget', { sessionId: target, message: JSON.stringify({ id, method, params }) })
    return answer
  }
}
