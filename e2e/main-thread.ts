/**
 * What the main thread of a page did, task by task, as the browser's own tracing has it: how long each took by the clock, and how long the
 * thread ran in it, which on a busy machine is less.
 */

import { type Browser, expect, type Page } from 'playwright/test'

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  /** Microseconds. */
  readonly dur?: number
  readonly tdur?: number
  readonly args?: { readonly name?: string }
}

export interface Tasks {
  readonly count: number
  /** Milliseconds of the longest one: of the thread, and by the clock. */
  readonly longest: number
  readonly longestByClock: number
}

const BEGIN = 'main-thread:begin'
const END = 'main-thread:end'

/** The tasks of a page's main thread while `work` runs. */
export const watchTasks = async (browser: Browser, page: Page, work: () => Promise<void>): Promise<Tasks> => {
  await browser.startTracing(page, { categories: ['disabled-by-default-devtools.timeline', 'toplevel', 'blink.user_timing'] })
  let trace: Buffer
  try {
    await page.evaluate((name) => void performance.mark(name), BEGIN)
    await work()
    await page.evaluate((name) => void performance.mark(name), END)
  } finally {
    trace = await browser.stopTracing()
  }
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] }
  const [begin, end] = [BEGIN, END].map((mark) => traceEvents.find(({ name }) => name === mark))
  if (begin === undefined || end === undefined) throw new Error('the marks are not in the trace')
  const tasks = traceEvents.filter(
    ({ name, pid, tid, ts }) =>
      (name === 'RunTask' || name === 'ThreadControllerImpl::RunTask') &&
      pid === begin.pid &&
      tid === begin.tid &&
      ts >= begin.ts &&
      ts <= end.ts,
  )
  expect(tasks.length, 'tasks in the trace').toBeGreaterThan(0)
  const longest = (of: (task: TraceEvent) => number | undefined): number => Math.max(...tasks.map((task) => (of(task) ?? 0) / 1_000))
  return { count: tasks.length, longest: longest(({ tdur, dur }) => tdur ?? dur), longestByClock: longest(({ dur }) => dur) }
}

/** Milliseconds of the longest task that any page's own thread ran, in a trace of 'toplevel' and '__metadata'. */
export const longestTask = (trace: Buffer): number => {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] }
  const main = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  )
  let longest = 0
  let tasks = 0
  for (const { ph, pid, tid, tdur } of traceEvents) {
    if (ph !== 'X' || tdur === undefined || !main.has(`${pid} ${tid}`)) continue
    tasks += 1
    longest = Math.max(longest, tdur / 1000)
  }
  expect(tasks, 'tasks in the trace').toBeGreaterThan(1_000)
  return longest
}
