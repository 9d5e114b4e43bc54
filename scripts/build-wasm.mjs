/**
 * Compiles the WebAssembly modules (AssemblyScript in workers/<folder>/assembly) and writes each, as base64 in a TypeScript file, to
 * workers/<folder>/<file>.generated.ts, which is not committed. Does nothing where that file is newer than every source.
 *
 *   node scripts/build-wasm.mjs [--force]
 */

import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** What each module is called, its pages of 64 KiB (the map of each is in its memory.ts), and what it asks of an engine. */
const modules = [
  { folder: 'aead', file: 'module', name: 'aeadModule', pages: '2', features: ['simd'] },
  { folder: 'ed25519', file: 'integer', name: 'integerModule', pages: '63', features: ['simd'] },
  { folder: 'ed25519', file: 'fused', name: 'fusedModule', pages: '74', features: ['simd', 'relaxed-simd'] },
]

/** @param {(typeof modules)[number]} module */
const optionsOf = ({ pages, features }) => [
  '--runtime',
  'stub', // nothing is allocated
  '--use',
  'abort=', // and nothing aborts: no import
  ...features.flatMap((feature) => ['--enable', feature]),
  '--initialMemory',
  pages,
  '--maximumMemory',
  pages,
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
const build = async (module, force) => {
  const { folder: owner, file, name } = module
  const folder = join(root, 'workers', owner, 'assembly')
  const output = join(root, 'workers', owner, `${file}.generated.ts`)
  const names = (await readdir(folder)).filter((each) => each.endsWith('.ts'))
  const inputs = [...names.map((each) => join(folder, each)), fileURLToPath(import.meta.url)]
  const newest = Math.max(...(await Promise.all(inputs.map(modified))))
  if (!force && (await modified(output)) > newest) return false

  const { default: asc } = await import('assemblyscript/asc')
  let binary
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'module.wasm', ...optionsOf(module)], {
    readFile: (path, base) => readFile(join(base === '.' ? folder : base, path), 'utf8').catch(() => null),
    writeFile: (path, data) => {
      if (path === 'module.wasm') binary = data
    },
    listFiles: () => [],
  })
  if (error || binary === undefined) throw new Error(`${name} does not compile\n${stderr.toString()}`, { cause: error })

  const text = `// Made by scripts/build-wasm.mjs from workers/${owner}/assembly: do not edit, do not commit.
/** WebAssembly, ${binary.length} bytes, in base64. */
export const ${name}: string =
  '${Buffer.from(binary).toString('base64')}'
`
  // Renamed into place: a test runner and a build may do this at the same time.
  const draft = join(root, `workers/${owner}/${file}.${process.pid}.generated.ts`)
  await writeFile(draft, text)
  await rename(draft, output)
  return true
}

/** Returns those that it had to compile. */
export async function buildWasm({ force = false } = {}) {
  const compiled = []
  for (const module of modules) if (await build(module, force)) compiled.push(module.name)
  return compiled
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const compiled = await buildWasm({ force: process.argv.includes('--force') })
  console.log(compiled.length > 0 ? `compiled: ${compiled.join(', ')}` : 'the WebAssembly modules are up to date')
}
