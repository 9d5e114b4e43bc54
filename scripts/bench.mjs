/**
 * `npm run bench`: tabmesh, js-libp2p and the bare channel side by side, in one run, in a headless Chromium.
 *
 *   node scripts/bench.mjs                 some three minutes
 *   node scripts/bench.mjs --quick         one round of little: whether it runs, not what it says
 *   node scripts/bench.mjs --json FILE     every sample as well
 *   node scripts/bench.mjs --dist DIR      another build than dist/
 *   node scripts/bench.mjs --only websocket | webrtc | pubsub | size
 *
 * Figures are medians over rounds in which the columns take turns. They hold against each other and not against another run: a machine
 * has other things to do. So nothing is asserted here. The measurements are in bench/run.mjs, and what runs in the pages in bench/pages.
 */

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openLab } from '../bench/lab.mjs'
import { Report } from '../bench/report.mjs'
import { openPairs, pubsubRound, webRtcRound, webSocketRound } from '../bench/run.mjs'
import { weighJs, weighOurs } from '../bench/weigh.mjs'
import { ensureJsPeer } from '../e2e/peers/js/setup.mjs'
import { ensureChromium } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const MB = 1_000_000
/** No round is begun after this: the run ends within five minutes. */
const LAST_ROUND_AT = 210_000

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    dist: { type: 'string', default: `${root}dist` },
    only: { type: 'string' },
    rounds: { type: 'string' },
  },
})
const dist = resolve(flags.dist)
const rounds = flags.rounds === undefined ? (flags.quick ? 1 : 7) : Number(flags.rounds)
const amounts = flags.quick
  ? { dials: 2, pings: 5, webSocketBytes: 4 * MB, webRtcBytes: 4 * MB, echoBytes: 2 * MB, messages: 1_000 }
  : { dials: 5, pings: 20, webSocketBytes: 32 * MB, webRtcBytes: 32 * MB, echoBytes: 10 * MB, messages: 10_000 }
const wants = (/** @type {string} */ part) => flags.only === undefined || flags.only === part

if (!existsSync(`${dist}/index.js`)) {
  console.error(`There is no build in ${dist}: npm run build`)
  process.exit(1)
}

const began = performance.now()
const report = new Report()
const missing = await ensureJsPeer().then(
  () => undefined,
  (error) => (error instanceof Error ? error.message : String(error)),
)
if (missing !== undefined) report.notes.push(`No js-libp2p column: ${missing}`)

if (wants('size')) await weigh()
if (wants('websocket') || wants('webrtc') || wants('pubsub')) await measure()

console.log(`\n${report.text()}\n`)
if (flags.json !== undefined)
  await writeFile(flags.json, JSON.stringify({ rows: report.rows, notes: [...report.notes, ...report.failures] }, undefined, 2))
process.exit()

async function weigh() {
  console.error('weighing the bundles')
  const group = 'bytes of a page: transports, Noise, yamux, identify, ping, gossipsub, DHT'
  const [ours, js] = await Promise.all([weighOurs(dist), missing === undefined ? weighJs() : undefined])
  for (const form of /** @type {const} */ (['min', 'gzip', 'brotli'])) {
    report.add(group, `${form} (ours with its worker, AEAD module and SDK)`, 'kB', 'ours', ours.all[form] / 1000)
    if (js !== undefined) report.add(group, `${form} (ours with its worker, AEAD module and SDK)`, 'kB', 'js', js[form] / 1000)
    report.add(group, `  of it: the engine in the worker, ${form}`, 'kB', 'ours', ours.worker[form] / 1000)
  }
}

async function measure() {
  console.error('building pages, starting peers')
  const lab = await openLab({ dist, chromiumPath: ensureChromium(), js: missing === undefined, pubsub: wants('pubsub') })
  let round = 0
  const say = (/** @type {number} */ each) =>
    console.error(`round ${each + 1} of ${rounds}, ${((performance.now() - began) / 1000).toFixed(0)} s`)
  try {
    // First of all, before there are pages that stay: it takes all cores that there are.
    for (; wants('pubsub') && round < rounds; round++) {
      say(round)
      await pubsubRound(lab, report, amounts, round)
    }
    if (wants('websocket') || wants('webrtc')) round = 0
    const pairs = wants('webrtc') ? await openPairs(lab) : undefined
    for (; round < rounds && performance.now() - began < LAST_ROUND_AT; round++) {
      say(round)
      if (wants('websocket')) await webSocketRound(lab, report, amounts, round)
      if (pairs !== undefined) await webRtcRound(lab, report, amounts, round, pairs)
    }
  } catch (error) {
    // What was measured until then still counts.
    report.notes.push(`Cut short in round ${round + 1}: ${error instanceof Error ? error.message : error}`)
    process.exitCode = 1
  } finally {
    await lab.close()
  }
  const chip = cpus()
  report.notes.push(
    `Chromium ${lab.version}, Node ${process.version}, ${chip.length} × ${chip[0]?.model.trim() ?? 'unknown'}; medians of ${round} rounds, ` +
      `${((performance.now() - began) / 1000).toFixed(0)} s in all. ×: how many times better tabmesh is; below 1 is worse.`,
    `Stalls: the longest gap between timers of the main thread, of both pages for WebRTC; median of the rounds.`,
  )
}
