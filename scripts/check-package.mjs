/**
 * That dist/ and package.json keep what the README promises: the files are in the package, the script-tag files are classic scripts, a
 * page's module needs nothing, Node finds its own entry, and TypeScript users get types under both resolutions they may have.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { brotliCompressSync } from 'node:zlib'
import { parseSync } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
/** @param {string} file */
const read = (file) => readFileSync(join(root, 'dist', file), 'utf8')

const files = ['index.js', 'index.d.ts', 'node.js', 'node.d.ts', 'relay/cli.js']
files.push('tabmesh.global.js', 'tabmesh.worker.js', 'tabmesh.mplex.js')
for (const file of files) assert(existsSync(join(root, 'dist', file)), `dist/${file} is missing`)
for (const file of files.filter((name) => name.endsWith('.js'))) {
  assert(existsSync(join(root, `dist/${file}.map`)), `dist/${file} has no source map`)
}

// Classic scripts: they compile as such, and import nothing later either.
for (const file of ['tabmesh.global.js', 'tabmesh.worker.js']) {
  new Script(read(file), { filename: file })
  assert.equal(parseSync(file, read(file), { sourceType: 'script' }).module.staticImports.length, 0)
}
// The global file defines one name, whatever happens to be in it.
const { program } = parseSync('tabmesh.global.js', read('tabmesh.global.js'), { sourceType: 'script' })
const names = program.body.flatMap((node) =>
  node.type === 'VariableDeclaration' ? node.declarations.map(({ id }) => (id.type === 'Identifier' ? id.name : '?')) : [],
)
assert.deepEqual(names, ['tabmesh'])
// The page's module: alone, and with the worker's text in it.
const { module } = parseSync('index.js', read('index.js'), { sourceType: 'module' })
assert.deepEqual(
  module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
  [],
)
assert(
  module.staticExports.some(({ entries }) => entries.some(({ exportName }) => exportName.name === 'createPeer')),
  'index.js has no createPeer',
)
// The chunk with mplex: alone, small, and without a class of errors of its own (see its source for why).
const chunk = parseSync('tabmesh.mplex.js', read('tabmesh.mplex.js'), { sourceType: 'module' }).module
assert.equal(chunk.staticImports.length, 0)
assert(
  chunk.staticExports.some(({ entries }) => entries.some(({ exportName }) => exportName.name === 'mplexKind')),
  'tabmesh.mplex.js has no mplexKind',
)
assert(!/extends Error\b|ERR_INTERNAL/.test(read('tabmesh.mplex.js')), 'tabmesh.mplex.js has a copy of TabmeshError')
assert(brotliCompressSync(read('tabmesh.mplex.js')).length < 6_000, 'tabmesh.mplex.js is no small chunk any more')
for (const file of ['index.js', 'tabmesh.global.js', 'tabmesh.worker.js']) {
  assert(!read(file).includes('/mplex/6.7.0'), `dist/${file} carries mplex, which is a chunk of its own`)
}
// What protects nothing is for our own tests.
for (const file of files) assert(!/plaintext\/[12]|\/secio\//.test(read(file)), `dist/${file} knows a protocol that protects nothing`)
assert(read('relay/cli.js').startsWith('#!/usr/bin/env node\n'), 'dist/relay/cli.js has no shebang')

// As a user sees it: a project that has tabmesh in node_modules.
const project = await mkdtemp(join(tmpdir(), 'tabmesh-consumer-'))
try {
  await mkdir(join(project, 'node_modules/@types'), { recursive: true })
  await symlink(root, join(project, 'node_modules/tabmesh'))
  await symlink(join(root, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module', private: true }))
  await writeFile(
    join(project, 'main.ts'),
    `import { createPeer, TabmeshError } from 'tabmesh'
const peer = await createPeer({ relays: ['http://localhost:9090'] })
const id: string = peer.id
// @ts-expect-error the types are there: an id is no number
const not: number = peer.id
const error: Error = new TabmeshError('ERR_TIMEOUT', 'too late')
console.log(id, not, error)
`,
  )
  for (const [module, moduleResolution] of [
    ['preserve', 'bundler'],
    ['node16', 'node16'],
  ]) {
    const config = {
      compilerOptions: {
        module,
        moduleResolution,
        target: 'es2022',
        lib: ['es2023', 'esnext.disposable', 'dom'],
        types: ['node'],
        strict: true,
        noEmit: true,
        skipLibCheck: false,
      },
      files: ['main.ts'],
    }
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(config))
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project], { stdio: 'inherit' })
  }
  const found = execFileSync(process.execPath, ['--input-type=module', '-e', "console.log(import.meta.resolve('tabmesh'))"], {
    cwd: project,
    encoding: 'utf8',
  })
  assert(found.trim().endsWith('/dist/node.js'), `Node gets ${found}`)
  execFileSync(
    process.execPath,
    ['--input-type=module', '-e', "if (typeof (await import('tabmesh')).createPeer !== 'function') process.exit(1)"],
    {
      cwd: project,
      stdio: 'inherit',
    },
  )
} finally {
  await rm(project, { recursive: true, force: true })
}
console.log('dist/ and the package are as promised')
