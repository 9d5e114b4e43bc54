/**
 * The declarations in dist/: `index.d.ts` and `node.d.ts`, each one line that leads into the tree dist/types.
 *
 * tsc keeps the `.ts` that our relative imports carry, which only a resolver told to allow it follows; in dist they say `.js`, which
 * every `moduleResolution` maps to the `.d.ts` beside it. Files that no public declaration reaches are left out.
 */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A relative module in `from '…'`, `import '…'` or `import('…')`. */
const relative = /(\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+?)\.ts\2/g

/** @param {string} outDir */
export const writeDeclarations = async (outDir) => {
  const types = join(outDir, 'types')
  await emit(types)
  const entries = [join(types, 'src/index.d.ts'), join(types, 'src/node/index.d.ts')]
  const reached = new Set(entries)
  for (const file of reached) {
    const text = await readFile(file, 'utf8')
    for (const [, , , path = ''] of text.matchAll(relative)) reached.add(resolve(dirname(file), `${path}.d.ts`))
    await writeFile(file, text.replace(relative, '$1$2$3.js$2'))
  }
  const all = (await readdir(types, { recursive: true, withFileTypes: true })).reverse()
  for (const entry of all)
    if (entry.isFile() && !reached.has(join(entry.parentPath, entry.name))) await rm(join(entry.parentPath, entry.name))
  for (const entry of all) if (entry.isDirectory()) await removeIfEmpty(join(entry.parentPath, entry.name))
  for (const file of reached) if (!existsSync(file)) throw new Error(`${file} is named by a declaration and was not written`)
  await writeFile(join(outDir, 'index.d.ts'), "export * from './types/src/index.js'\n")
  await writeFile(join(outDir, 'node.d.ts'), "export * from './types/src/node/index.js'\n")
}

/** @param {string} types */
const emit = (types) =>
  new Promise((done, fail) => {
    const tsc = spawn(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--outDir', types],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let said = ''
    tsc.stdout.setEncoding('utf8').on('data', (text) => (said += text))
    tsc.on('error', fail)
    tsc.on('close', (code) => (code === 0 ? done(undefined) : fail(new Error(`The declarations could not be written:\n${said}`))))
  })

/** @param {string} folder */
const removeIfEmpty = async (folder) => {
  if ((await readdir(folder)).length === 0) await rmdir(folder)
}
