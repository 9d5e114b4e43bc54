/** `npm run test:e2e -- …`: Playwright with a Chromium that is found or installed first. What follows is Playwright's own. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ensureChromium } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

if (!existsSync(`${root}dist/index.js`)) {
  console.error('There is no dist/ to test: `npm run build` first')
  process.exit(1)
}
try {
  process.env.CHROMIUM_PATH = ensureChromium()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
const playwright = `${root}node_modules/playwright/cli.js`
const runner = spawn(process.execPath, [playwright, 'test', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
// It closes its browsers itself; this process stays until it has.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => runner.kill(signal))
runner.on('close', (code) => process.exit(code ?? 1))
