/**
 * `npm run e2e:nat`: two pages or Node peers behind two NATs, and our relay in between, in network namespaces of this machine.
 *
 *   node scripts/e2e-nat.mjs              everything; prints a row for each, and fails where one does
 *   node scripts/e2e-nat.mjs symmetric    only those whose name contains the word
 *   node scripts/e2e-nat.mjs mapping      only the Node peer that has a real router map its ports
 *
 * Where no namespaces can be made (not Linux, not root, a tool missing) all of it is skipped, and the reason is told.
 */

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { cases } from '../e2e/nat/cases.mjs'
import { dcutrCases } from '../e2e/nat/dcutr.mjs'
import { missing, openLab } from '../e2e/nat/lab.mjs'
import { runAll as mapPorts } from '../e2e/nat/port-mapping.mjs'
import { ensureGoPeer } from '../e2e/peers/go/setup.mjs'
import { ensureChromium } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const words = process.argv.slice(2)
const CASE_TIMEOUT = 120_000

const report = { passed: 0, failed: 0, skipped: /** @type {{ name: string, why: string }[]} */ ([]) }
const wanted = [...cases, ...dcutrCases].filter(({ name }) => words.every((word) => name.includes(word)))

/** @param {import('../e2e/nat/cases.mjs').Case} one @param {string} browser */
const runCase = async (one, browser) => {
  const lab = await openLab()
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over within ${CASE_TIMEOUT} ms`)), CASE_TIMEOUT)
  })
  try {
    return await Promise.race([one.run(lab, browser), late])
  } finally {
    clearTimeout(timer)
    await lab.down()
  }
}

const why = existsSync(`${root}dist/index.js`) ? await missing() : 'there is no dist/: npm run build first'
if (why !== undefined) {
  console.log(`skipped: all ${wanted.length} cases: ${why}`)
  for (const { name } of wanted) report.skipped.push({ name, why })
} else {
  const browser = ensureChromium()
  const isGo = (/** @type {{ name: string }} */ { name }) => /\bgo\b/.test(name)
  const noGo = await (wanted.some(isGo) ? ensureGoPeer().then(() => undefined, String) : undefined)
  for (const one of wanted) {
    if (noGo !== undefined && isGo(one)) {
      console.log(`skipped ${one.name.padEnd(52)} ${noGo}`)
      report.skipped.push({ name: one.name, why: noGo })
      continue
    }
    try {
      console.log(`ok      ${one.name.padEnd(52)} ${await runCase(one, browser)}`)
      report.passed += 1
    } catch (error) {
      console.log(`FAILED  ${one.name.padEnd(52)} ${error instanceof Error ? error.message : error}`)
      report.failed += 1
    }
  }
}
if (why === undefined && 'port mapping'.includes(words.join(' '))) {
  const { passed, failed, skipped } = await mapPorts()
  report.passed += passed
  report.failed += failed
  report.skipped.push(...skipped)
}
if (process.env.TABMESH_REPORT) await writeFile(process.env.TABMESH_REPORT, JSON.stringify(report))
console.log(`behind NATs: ${report.skipped.length} skipped, ${report.passed} passed, ${report.failed} failed`)
process.exit(report.failed > 0 ? 1 : 0)
