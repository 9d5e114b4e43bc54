import { defineConfig } from 'playwright/test'
import { chromiumFlags, findChromium } from './scripts/chromium.mjs'

const executablePath = findChromium()
if (executablePath === undefined) throw new Error('No Chromium here: `npm run test:e2e` finds or installs one')
// The runner's workers load this file again; they need not search again.
process.env.CHROMIUM_PATH = executablePath

export default defineConfig({
  testDir: 'e2e',
  testMatch: '**/*.spec.ts',
  outputDir: 'test-results/e2e',
  // Two pages, a relay and their measurements share the machine: one test at a time.
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: process.env.CI !== undefined,
  timeout: 60_000,
  reporter: [['list'], ['json', { outputFile: process.env.TABMESH_REPORT ?? 'test-results/e2e.json' }]],
  use: {
    browserName: 'chromium',
    headless: true,
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath,
      args: chromiumFlags,
    },
  },
})
