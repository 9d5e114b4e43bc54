/**
 * Compiles workers/aead/assembly (AssemblyScript) and writes the module, as base64 in a TypeScript file, to
 * workers/aead/module.generated.ts, which is not committed. Does nothing when that file is newer than every source.
 *
 *   node scripts/build-aead.mjs [--force]
 */

import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'workers/aead/assembly')
const output = join(root, 'workers/aead/module.generated.ts')

const options = [
  '--runtime',
  'stub', // nothing is allocated
  '--use',
  'abort=', // and nothing aborts: no import
  '--enable',
  'simd',
  '--initialMemory',
  '2',
  '--maximumMemory',
  '2', // pages of 64 KiB; the map is in memory.ts
  '--zeroFilledMemory',
  '-O3',
  '--converge',
]

const modified = async (path) => {
  try {
    return (await stat(path)).mtimeMs
  } catch {
    return Number.NEGATIVE_INFINITY
  }
}

/** Returns whether it had to compile. */
export async function buildAead({ force = false } = {}) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.ts'))
  const inputs = [...names.map((name) => join(folder, name)), fileURLToPath(import.meta.url)]
  const newest = Math.max(...(await Promise.all(inputs.map(modified))))
  if (!force && (await modified(output)) > newest) return false

  const { default: asc } = await import('assemblyscript/asc')
  let binary
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'module.wasm', ...options], {
    readFile: (name, base) => readFile(join(base === '.' ? folder : base, name), 'utf8').catch(() => null),
    writeFile: (name, data) => {
      if (name === 'module.wasm') binary = data
    },
    listFiles: () => [],
  })
  if (error || binary === undefined) throw new Error(`the AEAD module does not compile\n${stderr.toString()}`, { cause: error })

  const text = `// Made by scripts/build-aead.mjs from workers/aead/assembly: do not edit, do not commit.
/** WebAssembly, ${binary.length} bytes, in base64. */
export const aeadModule: string =
  '${Buffer.from(binary).toString('base64')}'
`
  // Renamed into place: a test runner and a build may do this at the same time.
  const draft = join(root, `workers/aead/module.${process.pid}.generated.ts`)
  await writeFile(draft, text)
  await rename(draft, output)
  return true
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const compiled = await buildAead({ force: process.argv.includes('--force') })
  console.log(compiled ? 'workers/aead/module.generated.ts written' : 'workers/aead/module.generated.ts is up to date')
}
