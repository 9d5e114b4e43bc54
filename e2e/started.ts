/**
 * `npm start` in one process (without its build), for the tests of the examples: the printed URL in real pages. Screenshots are left in
 * Playwright's output folder.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test as base, type Page } from 'playwright/test'

const START = fileURLToPath(new URL('../scripts/start.mjs', import.meta.url))

export const test = base.extend<{ shot(page: Page, name: string): Promise<void> }, { started: { chat: string; canvas: string } }>({
  started: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const child = spawn(process.execPath, [START, '--no-build', '--port', '0', '--relay-port', '0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const url = await new Promise<string>((resolve, reject) => {
        createInterface(child.stdout).on('line', (line) => {
          const found = /Open the chat twice: (\S+)/.exec(line)?.[1]
          if (found !== undefined) resolve(found)
        })
        child.once('exit', (code) => reject(new Error(`npm start ended with ${code}`)))
      })
      await use({ chat: url, canvas: url.replace('/chat/', '/canvas/') })
      if (child.exitCode === null) {
        child.kill('SIGINT')
        await once(child, 'exit')
      }
    },
    { scope: 'worker' },
  ],
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
  shot: async ({}, use, info) => {
    await use(async (page, name) => {
      await page.screenshot({ path: info.outputPath(`${name}.png`), animations: 'disabled' })
    })
  },
})
