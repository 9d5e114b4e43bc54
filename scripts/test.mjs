/**
 * `npm test`: everything, or the parts that are named (`npm test -- unit e2e`). Goes on after a failure; the last line is the true total
 * of all runners, `N passed, N failed`; what was skipped, and why, stands above it.
 *
 * A part without tests of its own (types, lint …) counts as one. A runner that fails without saying what failed counts as one failure.
 * `interop` and whoever else writes TABMESH_REPORT says `{ "passed": 1, "failed": 0, "skipped": [{ "name": "…", "why": "…" }] }`.
 */

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { playwrightCounts, reportCounts, vitestCounts } from './counts.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Nothing here takes that long: a runner that does hangs, and is ended with all that it started. */
const LIMIT = 20 * 60_000

/** @typedef {import('./counts.mjs').Counts} Counts */
/** @typedef {{ name: string, script: string, args?: string[], counts?: (report: any) => Counts, needs?: string }} Part */

/** @param {string} file */
const modules = (file) => `node_modules/${file}`
/** In the order of what they cost; `needs` is a part that has to have gone well before. */
const parts = /** @type {Part[]} */ ([
  { name: 'types', script: 'scripts/types.mjs' },
  {
    name: 'lint',
    script: modules('@biomejs/biome/bin/biome'),
    args: ['ci', '--error-on-warnings', ...(process.stdout.isTTY ? [] : ['--colors=off']), '.'],
  },
  { name: 'floors', script: 'scripts/floors.mjs' },
  { name: 'unit', script: modules('vitest/vitest.mjs'), args: ['run', '--reporter=default', '--reporter=json'], counts: vitestCounts },
  { name: 'build', script: 'scripts/build.mjs' },
  { name: 'package', script: 'scripts/check-package.mjs', needs: 'build' },
  { name: 'e2e', script: 'scripts/e2e.mjs', counts: playwrightCounts, needs: 'build' },
  { name: 'interop', script: 'scripts/interop.mjs', counts: reportCounts, needs: 'build' },
  { name: 'e2e:nat', script: 'scripts/e2e-nat.mjs', counts: reportCounts, needs: 'build' },
  { name: 'trace:dial', script: 'scripts/trace-dial.mjs' },
])

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()

/**
 * Ends a child and all it started: each leads a process group of its own.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
const end = (child, signal) => {
  if (child.pid === undefined) return
  try {
    if (process.platform === 'win32') child.kill(signal)
    else process.kill(-child.pid, signal)
  } catch {
    // Gone already.
  }
}

/** @param {import('node:child_process').ChildProcess} child */
const endGently = (child) => {
  end(child, 'SIGTERM')
  setTimeout(() => end(child, 'SIGKILL'), 5_000).unref()
}

/**
 * @param {Part} part
 * @param {string} report where it is to write its report
 * @returns {Promise<number | string>} its exit code, or what ended it
 */
const run = ({ name, script, args = [], counts }, report) =>
  new Promise((done) => {
    const child = spawn(process.execPath, [script, ...args, ...(counts === vitestCounts ? [`--outputFile.json=${report}`] : [])], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: process.platform !== 'win32',
      env: { ...process.env, TABMESH_REPORT: report },
    })
    running.add(child)
    let late = false
    const limit = setTimeout(() => {
      late = true
      console.error(`${name} has not ended after ${LIMIT / 60_000} minutes`)
      endGently(child)
    }, LIMIT)
    child.on('error', (error) => done(error.message))
    child.on('exit', (code, signal) => {
      clearTimeout(limit)
      running.delete(child)
      // What it may have left behind.
      end(child, 'SIGKILL')
      done(late ? 'time limit' : (code ?? signal ?? 1))
    })
  })

let stopping = false
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    if (stopping) return
    stopping = true
    for (const child of running) endGently(child)
  })
}
process.on('exit', () => {
  for (const child of running) end(child, 'SIGKILL')
})

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !parts.some((part) => part.name === name))
if (unknown.length > 0) {
  console.error(`There is no part ${unknown.join(', ')}; the parts are ${parts.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const needed = new Set(parts.filter(({ name }) => wanted.includes(name)).flatMap(({ name, needs }) => [name, needs ?? name]))
const chosen = wanted.length === 0 ? parts : parts.filter(({ name }) => needed.has(name))

/** @type {Map<string, Counts>} */
const results = new Map()
const reports = await mkdtemp(join(tmpdir(), 'tabmesh-test-'))
try {
  for (const part of chosen) {
    if (stopping) break
    console.log(`\n── ${part.name} ${'─'.repeat(Math.max(0, 76 - part.name.length))}`)
    const counts = await outcome(part, join(reports, `${part.name.replace(':', '-')}.json`))
    results.set(part.name, counts)
    for (const problem of counts.problems) console.error(problem)
  }
} finally {
  await rm(reports, { recursive: true, force: true })
}

/**
 * Runs a part and counts.
 *
 * @param {Part} part
 * @param {string} report
 * @returns {Promise<Counts>}
 */
async function outcome(part, report) {
  const { name, script, counts, needs } = part
  const failed = (/** @type {string} */ why) => ({ passed: 0, failed: 1, skipped: [], problems: [`${name}: ${why}`] })
  if (needs !== undefined && (results.get(needs)?.failed ?? 0) > 0) return failed(`not run, because ${needs} failed`)
  if (!existsSync(root + script)) return { passed: 0, failed: 0, skipped: [{ name, why: `there is no ${script} yet` }], problems: [] }
  const code = await run(part, report)
  if (counts === undefined) return code === 0 ? { passed: 1, failed: 0, skipped: [], problems: [] } : failed(`exit ${code}`)
  /** @type {Counts} */
  let counted
  try {
    counted = counts(JSON.parse(readFileSync(report, 'utf8')))
  } catch (error) {
    return failed(`exit ${code} and no report (${error instanceof Error ? error.message : error})`)
  }
  const { passed, skipped, problems } = counted
  if (code !== 0 && counted.failed === 0)
    return { passed, failed: 1, skipped, problems: [...problems, `${name}: exit ${code}, though no test failed`] }
  if (passed + counted.failed + skipped.length === 0) return failed('there was nothing to run')
  return counted
}

console.log(`\n${'─'.repeat(80)}`)
const total = { passed: 0, failed: 0, skipped: 0 }
for (const [name, { passed, failed, skipped }] of results) {
  total.passed += passed
  total.failed += failed
  total.skipped += skipped.length
  console.log(
    `${name.padEnd(12)} ${failed > 0 ? 'FAILED' : 'ok    '} ${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
  )
}
for (const [name, { skipped }] of results)
  for (const one of skipped) console.log(`skipped: ${name === one.name ? '' : `${name} › `}${one.name}: ${one.why}`)
if (stopping) console.log('Interrupted: the rest was not run.')
if (total.skipped > 0) console.log(`${total.skipped} skipped`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = stopping ? 130 : total.failed > 0 ? 1 : 0
