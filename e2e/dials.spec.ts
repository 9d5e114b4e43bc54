/**
 * Two hundred times two fresh pages, one after the other: each is reachable, is dialled over WebRTC through the relay, and answers.
 * Nothing is tried twice. The run prints how long each step took.
 */

import { expect } from 'playwright/test'
import { test } from './harness.ts'

const DIALS = 200
/** Each of them, on a busy machine too: what hangs is not slow. */
const DEADLINE = 10_000

// Four hundred pages are no trace to keep.
test.use({ trace: 'off' })

const distribution = (times: readonly number[]): string => {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(0)
  return `${at(0)} / ${at(0.5)} / ${at(0.95)} / ${at(0.99)} / ${at(1)} ms`
}

test(`${DIALS} WebRTC dials between fresh pages: none hangs, none fails`, async ({ openPage, site, relay }) => {
  test.setTimeout(600_000)
  const pages = await Promise.all([0, 1].map(() => openPage()))
  const [a, b] = pages
  if (a === undefined || b === undefined) throw new Error('no pages')
  const failures: string[] = []
  const took: Record<'reachable' | 'dial' | 'echo', number[]> = { reachable: [], dial: [], echo: [] }
  for (let round = 0; round < DIALS; round += 1) {
    // Nothing of the last one is left: the document goes, with its worker, its connections and its key.
    await Promise.all(pages.map((page) => page.goto(`${site.url}/`)))
    try {
      const reachable = await b.evaluate(
        async (relays) => {
          const from = performance.now()
          await e2e.start({ relays, identity: 'ephemeral' })
          return { id: peer.id, ms: performance.now() - from }
        },
        [relay.http],
      )
      const times = await a.evaluate(
        async ([to, deadline]) => {
          await e2e.start({ identity: 'ephemeral' })
          const from = performance.now()
          const { remotePeer, transport } = await peer.dial(to, { signal: AbortSignal.timeout(deadline) })
          const dialled = performance.now()
          if ((await e2e.echo(remotePeer, 'hello')) !== 'hello') throw new Error('the echo is not what was said')
          return { transport, dial: dialled - from, echo: performance.now() - dialled }
        },
        [`${relay.addresses[0]}/p2p-circuit/webrtc/p2p/${reachable.id}`, DEADLINE] as const,
      )
      took.reachable.push(reachable.ms)
      took.dial.push(times.dial)
      took.echo.push(times.echo)
      if (times.transport !== 'webrtc') failures.push(`round ${round}: the dial came to a ${times.transport} connection`)
    } catch (error) {
      failures.push(`round ${round}: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  console.log(`  ${DIALS} dials, ${failures.length} failed; least / median / 95 % / 99 % / most`)
  for (const [step, times] of Object.entries(took)) console.log(`  ${step.padEnd(9)} ${distribution(times)}`)
  expect(failures).toEqual([])
})
