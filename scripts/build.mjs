/** `npm run build`: writes dist/ anew, as package.json's `exports` and `bin` name its files. */

import { chmod, mkdir, rm, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { buildWorkerText, bundle, bundles, missingEntries, worker } from './bundle.mjs'
import { writeDeclarations } from './declarations.mjs'
import { setup as generate } from './generate.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const outDir = `${root}dist`

const missing = missingEntries()
if (missing.length > 0) {
  console.error(`Can't build: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing.`)
  process.exit(1)
}

const started = performance.now()
await generate()
await rm(outDir, { recursive: true, force: true })
await mkdir(outDir, { recursive: true })

const engineSource = await buildWorkerText()
const declarations = writeDeclarations(outDir)
// One failing must not leave the other half-reported; but all have to be through before the process ends.
const results = await Promise.allSettled([declarations, ...[worker, ...bundles].map((one) => bundle(one, { outDir, engineSource }))])
const failures = results.filter((result) => result.status === 'rejected')
for (const { reason } of failures) console.error(reason instanceof Error ? reason.message : reason)
if (failures.length > 0) process.exit(1)

await chmod(`${outDir}/relay/cli.js`, 0o755)
for (const [index, { file }] of [worker, ...bundles].entries()) {
  const code = /** @type {PromiseFulfilledResult<string>} */ (results[index + 1]).value
  const { size } = await stat(`${outDir}/${file}`)
  console.log(
    `dist/${file}`.padEnd(28),
    `${(size / 1000).toFixed(1)} kB`.padStart(10),
    `${(gzipSync(code).length / 1000).toFixed(1)} kB gzip`.padStart(16),
  )
}
console.log(`Built in ${((performance.now() - started) / 1000).toFixed(1)} s`)
