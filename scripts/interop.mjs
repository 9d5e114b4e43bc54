/**
 * `npm run interop`: tabmesh with go-libp2p, js-libp2p and itself, as processes and pages on this machine; nothing leaves it.
 *
 *   node scripts/interop.mjs                   everything; prints the matrix, and fails where a cell of it does
 *   node scripts/interop.mjs tcp 'js node'     only what has all of these in its group and name
 *   node scripts/interop.mjs --list            names all of it, and runs nothing
 *   node scripts/interop.mjs --dist DIR        another build than dist/
 *   node scripts/interop.mjs --rust            builds rust-libp2p too, which takes some minutes; once it is built it always takes part
 *
 * First the matrix (e2e/interop/matrix.mjs): {our page, our page in bridge mode, our Node peer} dialling and dialled by {go, js, ours}, over
 * every transport, security and muxer. A cell connects, pings, has 1 MB echoed and compares its hash, and measures 20 MB each way. Then the
 * scenarios: other relays than ours, limits, and what else takes more than two. One after the other, so that times mean something.
 * Where Go or js-libp2p can't be had, what needs it is skipped, and the reason is told.
 */

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { autonat } from '../e2e/interop/autonat.mjs'
import { LISTEN, openCast } from '../e2e/interop/cast.mjs'
import { runCell } from '../e2e/interop/cell.mjs'
import { dcutr } from '../e2e/interop/dcutr.mjs'
import { kad } from '../e2e/interop/kad.mjs'
import { openLab } from '../e2e/interop/lab.mjs'
import { limits } from '../e2e/interop/limits.mjs'
import { cells, LINES, pairName } from '../e2e/interop/matrix.mjs'
import { pubsub } from '../e2e/interop/pubsub.mjs'
import { refusals } from '../e2e/interop/refusals.mjs'
import { relayed } from '../e2e/interop/relayed.mjs'
import { rendezvous } from '../e2e/interop/rendezvous.mjs'
import { services } from '../e2e/interop/services.mjs'
import { drawMatrix, LEGEND } from '../e2e/interop/table.mjs'
import { within } from '../e2e/interop/waiting.mjs'
import { webRtc } from '../e2e/interop/web-rtc.mjs'
import { ensureGoPeer } from '../e2e/peers/go/setup.mjs'
import { ensureJsPeer } from '../e2e/peers/js/setup.mjs'
import { ensureRustPeer } from '../e2e/peers/rust/setup.mjs'
import { ensureChromium } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
/** One cell or scenario; most take a second or two on an idle machine. */
const CASE_TIMEOUT = 120_000

/**
 * @typedef {import('../e2e/interop/lab.mjs').Lab} Lab
 * @typedef {import('../e2e/interop/side.mjs').Side} Side
 * @typedef {import('../e2e/interop/matrix.mjs').Pair} Pair
 * @typedef {import('../e2e/interop/table.mjs').Verdict} Verdict
 * @typedef {import('../e2e/interop/trial.mjs').Row} Row
 * @typedef {import('../e2e/interop/trial.mjs').Case & { group: string }} Scenario
 */

const { values: flags, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    dist: { type: 'string', default: `${root}dist` },
    list: { type: 'boolean', default: false },
    rust: { type: 'boolean', default: false },
  },
})
const dist = resolve(flags.dist)
const isWanted = (/** @type {string} */ name) => wanted.every((word) => name.includes(word))

/** @type {Map<string, Pair>} */
const pairs = new Map(
  cells()
    .flatMap((cell) => ('pair' in cell ? [cell.pair] : []))
    .sort((one, other) => LINES.indexOf(one.line) - LINES.indexOf(other.line))
    .map((pair) => /** @type {const} */ ([pairName(pair), pair]))
    .filter(([name]) => isWanted(`matrix ${name}`)),
)
/** @type {Scenario[]} */
const scenarios = Object.entries({ services, relay: relayed, dcutr, webrtc: webRtc, limits, refusals, autonat, rendezvous, pubsub, kad })
  .flatMap(([group, cases]) => cases.map((one) => ({ ...one, group })))
  .filter(({ group, name }) => isWanted(`${group} ${name}`))

/** @type {Map<string, Verdict>} */
const verdicts = new Map()
const report = { passed: 0, failed: 0, skipped: /** @type {{ name: string, why: string }[]} */ ([]) }
/** @type {string[]} */
const failures = []
const began = performance.now()

const seconds = (/** @type {number} */ since) => `${((performance.now() - since) / 1000).toFixed(1)} s`
const messageOf = (/** @type {unknown} */ error) => (error instanceof Error ? error.message : String(error))

// Each process of a peer listens for our exit.
process.setMaxListeners(100)
// Those of a peer's process and of the browser end them on 'exit'.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => process.exit(130))

if (flags.list) {
  for (const name of [...pairs.keys(), ...scenarios.map(({ group, name }) => `${group}: ${name}`)]) console.log(name)
  process.exit(0)
}
if (pairs.size + scenarios.length === 0) fail(`nothing contains ${wanted.join(' and ')}`)
else if (!existsSync(`${dist}/index.js`)) fail(`there is no build in ${dist}: npm run build`)
else await runAll().catch((error) => fail(messageOf(error)))

if (process.env.TABMESH_REPORT) await writeFile(process.env.TABMESH_REPORT, JSON.stringify(report))
console.log()
for (const why of new Set(report.skipped.map((one) => one.why)))
  console.log(`skipped: ${report.skipped.filter((one) => one.why === why).length} of interop: ${why}`)
for (const failure of failures) console.log(`failed: ${failure}`)
const skips = report.skipped.length > 0 ? `${report.skipped.length} skipped, ` : ''
console.log(`interop: ${skips}${report.passed} passed, ${report.failed} failed, ${seconds(began)}`)
// A peer that hangs must not keep the run alive.
process.exit(report.failed > 0 ? 1 : 0)

/** @param {string} why */
function fail(why) {
  console.error(why)
  report.failed++
  failures.push(why.split('\n')[0] ?? why)
}

async function runAll() {
  const missing = await findMissing()
  const lab = await openLab({ dist, chromiumPath: ensureChromium(), js: missing.js === undefined })
  try {
    printHead()
    if (pairs.size > 0) await runMatrix(lab, missing)
    let group = ''
    for (const scenario of scenarios) {
      if (scenario.group !== group) console.log(`\n${scenario.group}`)
      group = scenario.group
      const why = whySkipped(scenario.name, missing)
      if (why === undefined) await runScenario(lab, scenario)
      else report.skipped.push({ name: `${scenario.group}: ${scenario.name}`, why })
    }
  } finally {
    await lab.close()
  }
  if (pairs.size > 0) console.log(`${drawMatrix(verdicts, wanted.length === 0)}\n\n${LEGEND}`)
}

/** @typedef {Record<'js' | 'go' | 'rust', string | undefined>} Missing why js-libp2p, go-libp2p and rust-libp2p can't be had; undefined where they can */

/** What a case needs is in its name. @param {string} name @param {Missing} missing */
function whySkipped(name, missing) {
  for (const each of /** @type {const} */ (['go', 'js', 'rust']))
    if (new RegExp(`\\b${each}\\b`).test(name) && missing[each]) return missing[each]
  return undefined
}

/** @returns {Promise<Missing>} */
async function findMissing() {
  const reason = (/** @type {Promise<unknown>} */ work) =>
    work.then(
      () => undefined,
      (error) => messageOf(error).split('\n')[0] ?? 'no reason given',
    )
  return {
    js: await reason(ensureJsPeer()),
    go: await reason(ensureGoPeer()),
    rust: await reason(ensureRustPeer({ mayBuild: flags.rust })),
  }
}

/** @param {Lab} lab @param {Missing} missing */
async function runMatrix(lab, missing) {
  const stage = lab.scene()
  const noQuic = await lab.unsupported(LISTEN['quic-v1'])
  const cast = await openCast(stage, { folder: lab.folder, quic: noQuic === undefined })
  let line = ''
  for (const [name, pair] of pairs) {
    const [over, who] = /** @type {[string, string]} */ (name.split(': '))
    if (over !== line) console.log(`\n${over}`)
    line = over
    const why = whySkipped(who, missing) ?? (pair.line.transport === 'quic-v1' ? noQuic : undefined)
    if (why !== undefined) {
      verdicts.set(name, { t: 'skipped' })
      report.skipped.push({ name: `matrix: ${name}`, why })
      continue
    }
    /** @type {Side[]} */
    let sides = []
    const row = await attempt(who, () => runCell(cast, pair, (met) => (sides = met)), {
      where: `matrix: ${over}`,
      logs: () => stage.logs(sides),
    })
    verdicts.set(name, row === undefined ? { t: 'failed' } : { t: 'passed', row })
    if (row === undefined) await cast.replace(pair)
  }
  await stage.end().catch((error) => fail(`matrix: the end: ${messageOf(error)}`))
}

/** @param {Lab} lab @param {Scenario} scenario */
async function runScenario(lab, { group, name, run }) {
  const scene = lab.scene()
  await attempt(name, () => run(scene), { where: group, logs: () => scene.logs(), end: () => scene.end() })
}

/**
 * Runs one, prints its line and counts it. Returns what it measured, undefined where it failed.
 *
 * @param {string} name
 * @param {() => Promise<Row>} run
 * @param {{ where: string, logs: () => Promise<string>, end?: () => Promise<void> }} around `end` may fail it too
 * @returns {Promise<Row | undefined>}
 */
async function attempt(name, run, { where, logs, end = async () => {} }) {
  const started = performance.now()
  /** @type {Row | undefined} */
  let row
  /** @type {unknown} */
  let error
  let said = ''
  try {
    row = await within(CASE_TIMEOUT, 'the case', run())
  } catch (cause) {
    error = cause
    said = await logs().catch(() => '')
  }
  await end().catch((cause) => {
    error ??= cause
  })
  if (error !== undefined) row = undefined
  printRow(name, row, seconds(started))
  if (row !== undefined) {
    report.passed++
    return row
  }
  report.failed++
  failures.push(`${where}: ${name}: ${messageOf(error).split('\n')[0]}`)
  console.log(explain(error).replace(/^/gm, '    '))
  if (said !== '') console.log(said.replace(/^/gm, '    '))
  return undefined
}

/** @param {unknown} error @returns {string} */
function explain(error) {
  if (!(error instanceof Error)) return String(error)
  const { code, errors = [] } = /** @type {Error & { code?: string, errors?: unknown[] }} */ (error)
  const own = `${code === undefined ? '' : `${code} `}${error.stack ?? error.message}`
  const causes = [...errors, ...(error.cause === undefined ? [] : [error.cause])].map((one) => explain(one).replace(/^/gm, '  '))
  return [own, ...causes].join('\n')
}

function printHead() {
  console.log(`${'case'.padEnd(56)}       connect    ping  1 MB echo   20 MB ↑   20 MB ↓     all`)
}

/** @param {string} name @param {Row | undefined} row undefined where it failed @param {string} all */
function printRow(name, row, all) {
  const { connect, ping, echo, up, down, note } = row ?? {}
  const cell = (/** @type {number | undefined} */ value, /** @type {string} */ unit, /** @type {number} */ width, digits = 0) =>
    (value === undefined ? '' : `${value.toFixed(digits)} ${unit}`).padStart(width)
  const columns = [
    cell(connect, 'ms', 9),
    cell(ping, 'ms', 8, 1),
    cell(echo, 'ms', 11),
    cell(up, 'MB/s', 10),
    cell(down, 'MB/s', 10),
    all.padStart(8),
  ]
  console.log(`  ${name.padEnd(54)} ${row === undefined ? 'FAILED' : 'ok    '}${columns.join('')}${note ? `   ${note}` : ''}`)
}
