// The matrix as text: a table per column of it, a line per transport, security and muxer, our six rows side by side.

import { COLUMNS, cells, DIRECTIONS, LINES, lineName, pairName, ROWS } from './matrix.mjs'

/**
 * @typedef {import('./matrix.mjs').Kind} Kind
 * @typedef {import('./matrix.mjs').Cell} Cell
 * @typedef {import('./trial.mjs').Row} Row
 * @typedef {{ t: 'passed', row: Row } | { t: 'failed' } | { t: 'skipped' }} Verdict
 */

const TITLES = /** @type {Record<Kind, string>} */ ({
  go: 'go-libp2p',
  js: 'js-libp2p in Node',
  'js-page': 'js-libp2p in a page',
  node: 'our Node peer',
  page: 'our page',
})
const ROW_NAMES = /** @type {Record<Kind, string>} */ ({ page: 'page', bridge: 'bridge', node: 'node' })
const LABEL = Math.max(...LINES.map((line) => lineName(line).length)) + 2
const WIDTH = 20
/** Reasons get letters. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz'

/**
 * @param {Map<string, Verdict>} verdicts by the name of the pair; a pair without one was not asked for
 * @param {boolean} whole with the lines of which nothing was asked for, or can be
 * @returns {string}
 */
export const drawMatrix = (verdicts, whole) => {
  const all = cells()
  const ofColumn = (/** @type {Kind} */ column) => all.filter((cell) => cell.column === column)
  return COLUMNS.flatMap((column) => drawColumn(column, ofColumn(column), verdicts, whole)).join('\n')
}

/** @param {Kind} column @param {Cell[]} cells @param {Map<string, Verdict>} verdicts @param {boolean} whole @returns {string[]} */
const drawColumn = (column, cells, verdicts, whole) => {
  /** @type {string[]} */
  const reasons = []
  const letter = (/** @type {string} */ why) => {
    if (!reasons.includes(why)) reasons.push(why)
    return /** @type {string} */ (ALPHABET[reasons.indexOf(why)])
  }
  /** @type {string[]} */
  const lines = []
  for (const line of LINES) {
    // Row by row, dial before listen: as `cells` has them.
    const across = cells.filter((cell) => cell.line === line)
    if (!whole && !across.some((cell) => 'pair' in cell && verdicts.has(pairName(cell.pair)))) continue
    const texts = across.map((cell) => ('why' in cell ? letter(cell.why) : textOf(verdicts.get(pairName(cell.pair)))))
    lines.push(`  ${lineName(line).padEnd(LABEL)}${texts.map((text) => text.padEnd(WIDTH)).join('')}`.trimEnd())
  }
  if (lines.length === 0) return []
  const head = ROWS.flatMap((row) => DIRECTIONS.map((direction) => `${ROW_NAMES[row]} ${direction}s`.padEnd(WIDTH))).join('')
  const legend = reasons.map((why) => `  ${letter(why)}: ${why}`)
  return [`\n${TITLES[column].padEnd(LABEL + 2)}${head.trimEnd()}`, ...lines, ...legend]
}

/** @param {Verdict | undefined} verdict */
const textOf = (verdict) => {
  if (verdict === undefined) return '-'
  if (verdict.t !== 'passed') return verdict.t === 'failed' ? 'FAILED' : 'skipped'
  const { connect = 0, up = 0, down = 0 } = verdict.row
  return `ok ${connect.toFixed(0)} ms ${up.toFixed(0)}↑ ${down.toFixed(0)}↓`
}

/** What the tables' numbers are. */
export const LEGEND = `dial, MB/s there ↑ and back ↓; a letter says why the cell can't be; - was not asked for`
