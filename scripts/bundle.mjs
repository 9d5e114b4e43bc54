/**
 * What dist/ is made of: one self-contained file per way to load tabmesh. `build.mjs` writes them all, and Vitest builds the worker's
 * text from here when a test first asks for it.
 *
 * The worker comes first, because the two files for pages carry its text (`virtual:tabmesh-engine`).
 */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { engineText } from './engine-text.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** @type {string[]} */
const dependencies = Object.keys(JSON.parse(readFileSync(`${root}package.json`, 'utf8')).dependencies)
/** @param {string} name */
const isDependency = (name) => dependencies.some((dependency) => name === dependency || name.startsWith(`${dependency}/`))

/**
 * @typedef {object} Bundle
 * @property {string} entry the source it starts at, from the repository's root
 * @property {string} file what it is called in dist/
 * @property {'es' | 'iife'} format
 * @property {'page' | 'node'} platform a page's bundle is minified and has nothing to import; Node's leaves npm packages outside
 * @property {string} [global] the one global a script tag defines
 * @property {boolean} [engine] carries the worker's text
 */

/** @type {Bundle} */
export const worker = { entry: 'workers/engine.worker.ts', file: 'tabmesh.worker.js', format: 'iife', platform: 'page' }

/** @type {Bundle[]} */
export const bundles = [
  { entry: 'src/index.ts', file: 'index.js', format: 'es', platform: 'page', engine: true },
  { entry: 'src/index.ts', file: 'tabmesh.global.js', format: 'iife', platform: 'page', global: 'tabmesh', engine: true },
  // For pages with the option `mplex`, whose engine imports it by URL.
  { entry: 'src/engine/wire/mplex/muxer.ts', file: 'tabmesh.mplex.js', format: 'es', platform: 'page' },
  { entry: 'src/node/index.ts', file: 'node.js', format: 'es', platform: 'node' },
  { entry: 'relay-server/cli.ts', file: 'relay/cli.js', format: 'es', platform: 'node' },
]

/** Sources that have to be there before anything is built. */
export const missingEntries = () =>
  [...new Set([worker, ...bundles].map(({ entry }) => entry))].filter((entry) => !existsSync(root + entry))

/**
 * Minifying drops the comments that tell an application's bundler to leave an `import(url)` alone: that of the inline engine, and that
 * of the mplex chunk.
 *
 * @type {import('vite').Plugin}
 */
const importHints = {
  name: 'import-hints',
  generateBundle(_options, output) {
    for (const one of Object.values(output)) {
      if (one.type === 'chunk')
        one.code = one.code.replace(/\bimport\((?=[\w$.]+\))/g, 'import(/* webpackIgnore: true */ /* @vite-ignore */ ')
    }
  },
}

/**
 * Builds one file and returns its code; writes it to `outDir` where that is given.
 *
 * @param {Bundle} bundle
 * @param {{ outDir?: string, engineSource?: string }} [options]
 * @returns {Promise<string>}
 */
export const bundle = async ({ entry, file, format, platform, global, engine }, { outDir, engineSource } = {}) => {
  if (!existsSync(root + entry)) throw new Error(`${entry} is missing: ${file} is built from it`)
  const page = platform === 'page'
  const result = await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    plugins: [...(engine ? [engineText(async () => engineSource ?? buildWorkerText())] : []), ...(page ? [importHints] : [])],
    build: {
      target: 'es2022',
      outDir: outDir ?? 'dist',
      write: outDir !== undefined,
      emptyOutDir: false,
      sourcemap: outDir !== undefined,
      minify: page,
      modulePreload: false,
      copyPublicDir: false,
      reportCompressedSize: false,
      ssr: !page,
      rolldownOptions: {
        input: root + entry,
        preserveEntrySignatures: 'strict',
        output: {
          format,
          entryFileNames: file,
          codeSplitting: false,
          ...(global === undefined ? {} : { name: global }),
          ...(page ? {} : { banner: entry.endsWith('cli.ts') ? '#!/usr/bin/env node' : '' }),
        },
      },
    },
  })
  const outputs = (Array.isArray(result) ? result : [result]).flatMap((one) => ('output' in one ? one.output : []))
  const chunks = outputs.filter((output) => output.type === 'chunk')
  const [chunk] = chunks
  if (chunk === undefined || chunks.length !== 1) throw new Error(`${file}: one file was expected, ${chunks.length} were built`)
  const imports = [...chunk.imports, ...chunk.dynamicImports]
  const strangers = imports.filter((name) => page || !(name.startsWith('node:') || isDependency(name)))
  if (strangers.length > 0)
    throw new Error(`${file} can't import ${strangers.join(', ')}: ${page ? 'it must stand alone' : 'not a dependency of tabmesh'}`)
  return chunk.code
}

/** The worker as text, with nothing that points outside it. */
export const buildWorkerText = async () => (await bundle(worker)).replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
