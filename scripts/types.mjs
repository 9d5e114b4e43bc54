/** `npm run types`: type-checks every part under the platform types it may see, and fails if any part does. */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setup as generate } from './generate.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Each with its own view of the world; see their headers. */
const projects = [
  'tsconfig.json',
  'src/engine/tsconfig.json',
  'src/node/tsconfig.json',
  'workers/tsconfig.json',
  'relay-server/tsconfig.json',
  'tsconfig.test.json',
  'scripts/tsconfig.json',
]

/**
 * @param {string} project
 * @returns {Promise<boolean>}
 */
const check = (project) =>
  new Promise((done, fail) => {
    const tsc = spawn(
      process.execPath,
      [`${root}node_modules/typescript/bin/tsc`, '--pretty', String(process.stdout.isTTY === true), '-p', project],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let said = ''
    tsc.stdout.setEncoding('utf8').on('data', (text) => (said += text))
    tsc.on('error', fail)
    tsc.on('close', (code) => {
      console.log(`${project}: ${code === 0 ? 'ok' : `\n${said}`}`)
      done(code === 0)
    })
  })

await generate()
const verdicts = []
for (const project of projects) verdicts.push(await check(project))
if (verdicts.includes(false)) process.exitCode = 1
