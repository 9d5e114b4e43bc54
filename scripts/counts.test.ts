/** The totals of `npm test`, on reports as the runners write them (Vitest 4.1, Playwright 1.65; cut down to what is read). */

import { describe, expect, it } from 'vitest'
import { playwrightCounts, reportCounts, vitestCounts } from './counts.mjs'

describe('the counts of a report', () => {
  it('Vitest: each test once, and a file that could not be loaded', () => {
    const report = {
      testResults: [
        {
          name: 'a.test.ts',
          status: 'failed',
          message: '',
          assertionResults: [
            { status: 'passed', fullName: 'a one' },
            { status: 'failed', fullName: 'a two' },
            { status: 'skipped', fullName: 'a three' },
            { status: 'todo', fullName: 'a four' },
          ],
        },
        { name: 'b.test.ts', status: 'failed', message: 'Cannot find module', assertionResults: [] },
        { name: 'c.test.ts', status: 'passed', message: '', assertionResults: [{ status: 'passed', fullName: 'c one' }] },
      ],
    }
    expect(vitestCounts(report)).toEqual({
      passed: 2,
      failed: 2,
      skipped: [
        { name: 'a three', why: 'marked skipped in its file' },
        { name: 'a four', why: 'marked todo in its file' },
      ],
      problems: ['b.test.ts: Cannot find module'],
    })
  })

  it('Playwright: nested suites, skips with their reason, flaky tests and errors outside tests as failures', () => {
    const spec = (title: string, status: string, annotations: object[] = []) => ({ title, tests: [{ status, annotations }] })
    const report = {
      errors: [{ message: 'a file does not parse' }],
      suites: [
        {
          title: 'chat.spec.ts',
          specs: [spec('opens', 'expected'), spec('closes', 'unexpected')],
          suites: [
            {
              title: 'twice',
              specs: [spec('again', 'flaky'), spec('in Firefox', 'skipped', [{ type: 'skip', description: 'no Firefox here' }])],
            },
          ],
        },
      ],
    }
    expect(playwrightCounts(report)).toEqual({
      passed: 1,
      failed: 3,
      skipped: [{ name: 'chat.spec.ts › twice › in Firefox', why: 'no Firefox here' }],
      problems: ['a file does not parse'],
    })
  })

  it('our own: has to say both numbers', () => {
    expect(reportCounts({ passed: 3, failed: 1, skipped: [{ name: 'go', why: 'no go here' }] })).toEqual({
      passed: 3,
      failed: 1,
      skipped: [{ name: 'go', why: 'no go here' }],
      problems: [],
    })
    expect(() => reportCounts({ passed: 3 })).toThrow('how many')
  })
})
