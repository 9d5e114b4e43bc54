/**
 * `npm run interop`: tabmesh with js-libp2p, as processes and pages on this machine; nothing leaves it.
 *
 *   node scripts/interop.mjs                   everything; prints a matrix, and fails where a cell of it does
 *   node scripts/interop.mjs webrtc 'js relay' only the cases whose group and name contain all of these
 *   node scripts/interop.mjs --dist DIR        another build than dist/
 *
 * A cell is a case of e2e/interop: connect, ping, 1 MB echoed and compared by hash, 20 MB there and back where that says something.
 * Where js-libp2p can't be had, all of it is skipped, and the reason is told.
 */

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openLab, within } from '../e2e/interop/lab.mjs'
import { limits } from '../e2e/interop/limits.mjs'
import { relayed } from '../e2e/interop/relayed.mjs'
import { webRtc } from '../e2e/interop/web-rtc.mjs'
import { webSocket } from '../e2e/interop/web-socket.mjs'
import { ensureJsPeer } from '../e2e/peers/js/setup.mjs'
import { ensureChromium } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
/** One case; most take two seconds on an idle machine. */
const CASE_TIMEOUT = 120_000

/**
 * @typedef {import('../e2e/interop/trial.mjs').Row} Row
 * @typedef {import('../e2e/interop/trial.mjs').Case & { group: string }} Cell
 */

const { values: flags, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { dist: { type: 'string', default: `${root}dist` } },
})
const dist = resolve(flags.dist)

/** @type {Cell[]} */
const cells = Object.entries({ websocket: webSocket, relay: relayed, webrtc: webRtc, limits })
  .flatMap(([group, cases]) => cases.map((one) => ({ ...one, group })))
  .filter(({ group, name }) => wanted.every((word) => `${group} ${name}`.includes(word)))

const report = { passed: 0, failed: 0, skipped: /** @type {{ name: string, why: string }[]} */ ([]) }
/** @type {string[]} */
const failures = []
const began = performance.now()

const seconds = (/** @type {number} */ since) => `${((performance.now() - since) / 1000).toFixed(1)} s`
const messageOf = (/** @type {unknown} */ error) => (error instanceof Error ? error.message : String(error))

// Those of a peer's process and of the browser end them on 'exit'.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => process.exit(130))

if (cells.length === 0) fail(`no case contains ${wanted.join(' and ')}`)
else if (!existsSync(`${dist}/index.js`)) fail(`there is no build in ${dist}: npm run build`)
else {
  const missing = await ensureJsPeer().then(
    () => undefined,
    (error) => messageOf(error).split('\n')[0] ?? 'no reason given',
  )
  if (missing !== undefined) {
    console.log(`skipped: all ${cells.length} cases: ${missing}`)
    for (const { group, name } of cells) report.skipped.push({ name: `${group}: ${name}`, why: missing })
  } else await runAll().catch((error) => fail(messageOf(error)))
}

if (process.env.TABMESH_REPORT) await writeFile(process.env.TABMESH_REPORT, JSON.stringify(report))
console.log()
for (const failure of failures) console.log(`failed: ${failure}`)
const skips = report.skipped.length > 0 ? `${report.skipped.length} skipped, ` : ''
console.log(`interop with js-libp2p: ${skips}${report.passed} passed, ${report.failed} failed, ${seconds(began)}`)
// A peer that hangs must not keep the run alive.
process.exit(report.failed > 0 ? 1 : 0)

/** @param {string} why */
function fail(why) {
  console.error(why)
  report.failed++
  failures.push(why.split('\n')[0] ?? why)
}

async function runAll() {
  const lab = await openLab({ dist, chromiumPath: ensureChromium() })
  try {
    printHead()
    let group = ''
    for (const cell of cells) {
      if (cell.group !== group) console.log(`\n${cell.group}`)
      group = cell.group
      await runOne(lab, cell)
    }
  } finally {
    await lab.close()
  }
}

/** @param {import('../e2e/interop/lab.mjs').Lab} lab @param {Cell} cell */
async function runOne(lab, { group, name, run }) {
  const started = performance.now()
  const scene = lab.scene()
  /** @type {Row} */
  let row = {}
  /** @type {unknown} */
  let error
  let logs = ''
  try {
    row = await within(CASE_TIMEOUT, 'the case', run(scene))
  } catch (cause) {
    error = cause
    logs = await scene.logs().catch(() => '')
  }
  await scene.end().catch((cause) => {
    error ??= cause
  })
  printRow(name, error === undefined ? row : undefined, seconds(started))
  if (error === undefined) {
    report.passed++
    return
  }
  report.failed++
  failures.push(`${group}: ${name}: ${messageOf(error).split('\n')[0]}`)
  console.log(explain(error).replace(/^/gm, '    '))
  if (logs !== '') console.log(logs.replace(/^/gm, '    '))
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
