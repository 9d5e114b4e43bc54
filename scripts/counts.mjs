/** What the runners' JSON reports come to: passed, failed, and what was skipped and why. */

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {{ name: string, why: string }[]} skipped
 * @property {string[]} problems what the report says beside its tests
 */

/**
 * Vitest, `--reporter=json`. A file that can't be loaded has no tests, and is one failure.
 *
 * @param {any} report
 * @returns {Counts}
 */
export const vitestCounts = ({ testResults }) => {
  /** @type {Counts} */
  const counts = { passed: 0, failed: 0, skipped: [], problems: [] }
  for (const file of testResults) {
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') counts.passed++
      else if (status === 'failed') counts.failed++
      else counts.skipped.push({ name: fullName, why: `marked ${status} in its file` })
    }
    if (file.status === 'failed' && !file.assertionResults.some((/** @type {any} */ { status }) => status === 'failed')) {
      counts.failed++
      counts.problems.push(`${file.name}: ${file.message || 'failed outside its tests'}`)
    }
  }
  return counts
}

/**
 * Playwright, `json`. A test that passed only when it was tried again has failed.
 *
 * @param {any} report
 * @returns {Counts}
 */
export const playwrightCounts = ({ suites, errors }) => {
  /** @type {Counts} */
  const counts = {
    passed: 0,
    failed: errors.length,
    skipped: [],
    problems: errors.map((/** @type {any} */ { message }) => message ?? 'an error outside the tests'),
  }
  /** @param {any} suite @param {string} path */
  const visit = (suite, path) => {
    for (const inner of suite.suites ?? []) visit(inner, `${path}${inner.title} › `)
    for (const spec of suite.specs ?? []) {
      for (const test of spec.tests) {
        if (test.status === 'expected') counts.passed++
        else if (test.status === 'skipped') {
          const why = test.annotations.find((/** @type {any} */ { type }) => type === 'skip' || type === 'fixme')?.description
          counts.skipped.push({ name: path + spec.title, why: why ?? 'no reason given' })
        } else counts.failed++
      }
    }
  }
  for (const suite of suites) visit(suite, `${suite.title} › `)
  return counts
}

/**
 * Our own.
 *
 * @param {any} report
 * @returns {Counts}
 */
export const reportCounts = ({ passed, failed, skipped = [] }) => {
  if (!Number.isSafeInteger(passed) || !Number.isSafeInteger(failed)) throw new Error('a report says how many passed and failed')
  return { passed, failed, skipped, problems: [] }
}
