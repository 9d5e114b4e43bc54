// The samples of a run, and how they are told: medians side by side, a ratio for each pair, and who is ahead.

/**
 * @typedef {import('./lab.mjs').Column} Column
 * @typedef {'ms' | 'MB/s' | '/s' | 'kB' | 'stall'} Unit
 * @typedef {{ group: string, name: string, unit: Unit, samples: Partial<Record<Column, number[]>> }} Row
 */

/** @type {Column[]} */
const columns = ['ours', 'js', 'raw']
const titles = { ours: 'tabmesh', js: 'js-libp2p', raw: 'raw' }
/** Closer than this is a draw: runs on a busy machine differ by more. */
const DRAW = 0.05
/** Milliseconds: nobody notices stalls that differ by less. */
const STALL_DRAW = 4

/** @param {number[]} values */
export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? Number(sorted[middle]) : (Number(sorted[middle - 1]) + Number(sorted[middle])) / 2
}

export class Report {
  /** @type {Map<string, Row>} */
  #rows = new Map()
  /** @type {Map<string, { all: number, failed: number }>} */
  #attempts = new Map()
  /** @type {Map<Column, { count: number, all: number }>} */
  #lost = new Map()
  /** @type {string[]} */
  notes = []

  /** @param {string} group @param {string} name @param {Unit} unit @param {Column} column @param {number[]} values */
  add(group, name, unit, column, ...values) {
    const key = `${group}\n${name}`
    const row = this.#rows.get(key) ?? { group, name, unit, samples: {} }
    this.#rows.set(key, row)
    row.samples[column] = [...(row.samples[column] ?? []), ...values]
  }

  /** Counts an attempt at something that may fail. @param {Column} column @param {string} what @param {boolean} ok */
  tried(column, what, ok) {
    const count = this.#attempts.get(`${titles[column]}: ${what}`) ?? { all: 0, failed: 0 }
    this.#attempts.set(`${titles[column]}: ${what}`, { all: count.all + 1, failed: count.failed + (ok ? 0 : 1) })
  }

  /** Messages of a flood that did not come. @param {Column} column @param {number} count @param {number} all */
  lost(column, count, all) {
    const before = this.#lost.get(column) ?? { count: 0, all: 0 }
    this.#lost.set(column, { count: before.count + count, all: before.all + all })
  }

  get failures() {
    const lost = [...this.#lost].flatMap(([column, { count, all }]) =>
      count > 0 ? [`${titles[column]}: ${count} of ${all} published messages never came.`] : [],
    )
    const attempts = [...this.#attempts].flatMap(([what, { all, failed }]) =>
      failed > 0 ? [`${what}: ${failed} of ${all} failed, and were tried again.`] : [],
    )
    return [...attempts, ...lost]
  }

  get rows() {
    return [...this.#rows.values()].map((row) => ({ ...row, medians: mediansOf(row) }))
  }

  /** @returns {string} */
  text() {
    const lines = [`${''.padEnd(58)}${columns.map((column) => titles[column].padStart(11)).join('')}    tabmesh is`]
    let group = ''
    for (const row of this.rows) {
      if (row.group !== group) lines.push('', row.group)
      group = row.group
      const cells = columns.map((column) => told(row.medians[column], row.unit).padStart(11))
      lines.push(`  ${row.name.padEnd(50)}${unitOf(row.unit).padStart(6)}${cells.join('')}    ${ratios(row)}`)
    }
    return [...lines, '', ...this.notes, ...this.failures, '', ...this.#verdict()].join('\n')
  }

  /** The short table at the end. */
  #verdict() {
    const lines = []
    for (const other of /** @type {const} */ (['js', 'raw'])) {
      /** @type {Record<'ahead' | 'even' | 'behind', string[]>} */
      const sides = { ahead: [], even: [], behind: [] }
      for (const row of this.rows) {
        const { ours } = row.medians
        const theirs = row.medians[other]
        if (ours === undefined || theirs === undefined) continue
        sides[verdict(row.unit, ours, theirs)].push(`${row.group}: ${row.name}  ${ratio(row.unit, ours, theirs)}`)
      }
      if (Object.values(sides).every(({ length }) => length === 0)) continue
      lines.push(`tabmesh and ${titles[other]}: ahead ${sides.ahead.length}, even ${sides.even.length}, behind ${sides.behind.length}`)
      for (const line of sides.behind) lines.push(`  behind  ${line}`)
      for (const line of sides.even) lines.push(`  even    ${line}`)
      if (other === 'js') for (const line of sides.ahead) lines.push(`  ahead   ${line}`)
    }
    return lines
  }
}

/** @param {Row} row @returns {Partial<Record<Column, number>>} */
const mediansOf = ({ samples }) =>
  Object.fromEntries(Object.entries(samples).flatMap(([column, values]) => (values.length > 0 ? [[column, median(values)]] : [])))

/** @param {Unit} unit */
const unitOf = (unit) => (unit === 'stall' ? 'ms' : unit)

/** @param {number | undefined} value @param {Unit} unit */
const told = (value, unit) => {
  if (value === undefined) return ''
  if (unit === 'kB') return value.toFixed(1)
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}

/** @param {Unit} unit @param {number} ours @param {number} theirs @returns {'ahead' | 'even' | 'behind'} */
const verdict = (unit, ours, theirs) => {
  if (unit === 'stall') return Math.abs(ours - theirs) < STALL_DRAW ? 'even' : ours < theirs ? 'ahead' : 'behind'
  const better = unit.endsWith('/s') ? ours / theirs : theirs / ours
  return better > 1 + DRAW ? 'ahead' : better < 1 - DRAW ? 'behind' : 'even'
}

/** How many times faster, smaller or calmer we are; below 1 is behind. @param {Unit} unit @param {number} ours @param {number} theirs */
const ratio = (unit, ours, theirs) => {
  const better = unit.endsWith('/s') ? ours / theirs : theirs / ours
  return `×${Number.isFinite(better) ? better.toFixed(better < 10 ? 2 : 0) : '∞'}`
}

/** @param {Row & { medians: Partial<Record<Column, number>> }} row */
const ratios = ({ unit, medians: { ours, js, raw } }) => {
  if (ours === undefined) return ''
  const parts = []
  if (js !== undefined) parts.push(`${ratio(unit, ours, js)} js`)
  if (raw !== undefined) parts.push(`${ratio(unit, ours, raw)} raw`)
  return parts.join('  ')
}
