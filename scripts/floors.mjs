/**
 * The floors of the house (CONTRIBUTING.md): arrows only point down, and the engine knows no clock, chance or promise.
 *
 *   node scripts/floors.mjs      checks the repository; one line for each fault
 *
 * Tests are left out (they may look anywhere), and so are scripts, benchmarks and the other implementations that tests talk to.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'vite'

/** @typedef {{ path: string, text: string }} Source */
/** @typedef {{ path: string, line: number, what: string }} Fault */
/** @typedef {{ name: string, floor: number, never?: string[], packages?: string[], node?: boolean }} Area */
/** @typedef {{ target: string, types: boolean, at: number }} Import */

const engine = ['@noble/curves', '@noble/hashes', '@noble/ciphers', 'multiformats', 'uint8arrays']
const page = ['src/transports', 'src/store', 'src']

/**
 * The areas, from the ground up: a file imports from its own area and from floors below, never from another area on its floor.
 * `never` are areas below that are still none of its business; `packages` are what it may import from npm. The first match counts.
 *
 * @type {[RegExp, Area][]}
 */
const areas = [
  [/^package\.json$/, { name: 'package.json', floor: 0 }],
  [/^src\/errors\.ts$/, { name: 'src/errors.ts', floor: 0 }],
  [/^src\/engine\/limits\.ts$/, { name: 'src/engine/limits.ts', floor: 1 }],
  [/^src\/engine\/(codec|crypto)\//, { name: 'src/engine/codec and crypto', floor: 2, packages: engine }],
  [/^src\/engine\/[^/]+\.ts$/, { name: 'src/engine', floor: 3 }],
  [/^src\/engine\/wire\//, { name: 'src/engine/wire', floor: 4, packages: engine }],
  [/^src\/engine\/protocols\/([^/]+)\//, { name: 'src/engine/protocols/$1', floor: 5, packages: engine }],
  [/^src\/engine\/net\//, { name: 'src/engine/net', floor: 6, packages: engine }],
  [/^src\/engine\/testing\//, { name: 'src/engine/testing', floor: 7, packages: engine }],
  [/^workers\/(aead|ed25519)\//, { name: 'workers/$1', floor: 7, packages: ['@noble/curves'] }],
  [/^src\/types(\.ts$|\/)/, { name: 'src/types.ts', floor: 7 }],
  // What the browser's sockets and Node's have in common.
  [/^src\/sockets\//, { name: 'src/sockets', floor: 8, never: ['src/engine/testing'] }],
  [/^src\/port\//, { name: 'src/port', floor: 8, never: ['src/engine/testing'], packages: ['comlink', '@noble/hashes'] }],
  [/^src\/transports\//, { name: 'src/transports', floor: 9, never: ['src/engine/testing'] }],
  [/^src\/store\//, { name: 'src/store', floor: 9, never: ['src/engine/testing'], packages: ['idb'] }],
  // The peer itself fronts an engine wherever that runs: Node's createPeer is the page's without the page.
  [
    /^src\/(peer|peer-stream|peer-store-view|lookups|dht|pubsub|pubsub-parts|room)\.ts$/,
    { name: 'src/peer.ts', floor: 9, never: ['src/engine/testing', 'src/engine/protocols/*'] },
  ],
  [
    /^src\/[^/]+\.ts$/,
    { name: 'src', floor: 10, never: ['src/engine/testing', 'src/engine/protocols/*'], packages: ['comlink', 'virtual:tabmesh-engine'] },
  ],
  [/^workers\//, { name: 'workers', floor: 10, never: ['src/engine/testing'], packages: ['comlink'] }],
  [
    /^src\/node\//,
    { name: 'src/node', floor: 10, never: [...page, 'src/engine/testing'], packages: ['ws', 'node-datachannel'], node: true },
  ],
  [
    /^relay-server\//,
    {
      name: 'relay-server',
      floor: 11,
      never: [...page, 'src/engine/testing'],
      packages: ['ws', 'node-datachannel', 'prom-client'],
      node: true,
    },
  ],
  [/^src\/testing\//, { name: 'src/testing', floor: 12, packages: ['vitest'] }],
  [/^examples\//, { name: 'examples', floor: 12, packages: ['tabmesh'] }],
  [/^e2e\//, { name: 'e2e', floor: 12, packages: ['tabmesh', 'playwright'], node: true }],
]

/** What a user can't see, examples and end-to-end tests can't either. */
const outside = new Set(['examples', 'e2e'])

/**
 * A protocol is handed the net it is mounted on and knows it by type only; host.ts and its like name the codecs' types.
 * Types leave nothing behind at run time.
 */
const typeArrows = [[/^src\/engine\/protocols\//, /^src\/engine\/net\//]]

/** In the engine, time and chance are arguments, and nothing waits but by returning. */
const forbiddenNames = new Set(['Date', 'setTimeout', 'setInterval', 'queueMicrotask', 'Promise', 'performance', 'console'])

/** @param {string} path */
const areaOf = (path) => {
  for (const [pattern, area] of areas) {
    const match = pattern.exec(path)
    if (match !== null) return { ...area, name: area.name.replace('$1', match[1] ?? '') }
  }
  return undefined
}

/** @param {string} path */
export const isChecked = (path) =>
  /\.[cm]?[jt]s$/.test(path) &&
  !/\.(test|spec|d|generated)\.ts$/.test(path) &&
  !/^(workers\/[^/]+\/assembly|e2e\/peers)\//.test(path) &&
  areaOf(path) !== undefined

/**
 * The faults of a set of files, imports and words.
 *
 * @param {Source[]} sources paths from the repository's root
 * @returns {Fault[]}
 */
export const findFaults = (sources) => {
  /** @type {Fault[]} */
  const faults = []
  /** @type {Map<string, string[]>} */
  const graph = new Map()
  for (const { path, text } of sources) {
    if (!isChecked(path)) continue
    const { program, errors } = parseSync(path, text, { sourceType: 'module' })
    const [error] = errors
    if (error !== undefined) {
      faults.push({ path, line: 1, what: `does not parse: ${error.message}` })
      continue
    }
    /** @param {number} at @param {string} what */
    const fault = (at, what) => faults.push({ path, line: text.slice(0, at).split('\n').length, what })
    const imports = importsOf(program)
    for (const one of imports) {
      const what = judge(path, one)
      if (what !== undefined) fault(one.at, what)
    }
    graph.set(
      path,
      imports.filter(({ types, target }) => !types && target.startsWith('.')).map(({ target }) => resolve(path, target)),
    )
    if (path.startsWith('src/engine/')) findWords(program, fault)
  }
  return [...faults, ...findCycles(graph)]
}

/**
 * What is wrong with an import, if anything is.
 *
 * @param {string} path
 * @param {Import} one
 */
const judge = (path, { target, types }) => {
  const from = areaOf(path)
  if (from === undefined) return undefined
  if (!target.startsWith('.')) {
    if (isBuiltin(target)) return from.node ? undefined : `${from.name} runs in pages: it can't import ${target}`
    const known = (from.packages ?? []).some((name) => target === name || target.startsWith(`${name}/`))
    return known ? undefined : `${from.name} may not import the package ${target}`
  }
  const resolved = resolve(path, target)
  const to = areaOf(resolved)
  if (outside.has(from.name))
    return to === undefined || to.name === from.name
      ? undefined
      : `${from.name} sees tabmesh through its public exports only, not ${resolved}`
  if (to === undefined) return `${resolved} is on no floor that ${from.name} could stand on`
  if (to.name === from.name || to.floor === 0) return undefined
  if ((from.never ?? []).some((name) => to.name === name || (name.endsWith('*') && to.name.startsWith(name.slice(0, -1)))))
    return `${from.name} never imports ${to.name}`
  if (to.floor < from.floor) return undefined
  if (types && typeArrows.some(([a, b]) => a?.test(path) && b?.test(resolved))) return undefined
  return `${from.name} (floor ${from.floor}) imports ${to.name} (floor ${to.floor}): arrows only point down`
}

/** @param {string} path @param {string} target */
const resolve = (path, target) => posix.join(posix.dirname(path), target)

/** @param {object} node @param {(node: any) => void} visit */
const walk = (node, visit) => {
  visit(node)
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === 'string') walk(child, visit)
  }
}

/**
 * Every module a file names, by whichever syntax.
 *
 * @param {object} program
 * @returns {Import[]}
 */
const importsOf = (program) => {
  /** @type {Import[]} */
  const imports = []
  walk(program, (node) => {
    if (!/^(Import|ExportNamed|ExportAll)(Declaration|Expression)$|^TSImportType$/.test(node.type)) return
    if (typeof node.source?.value !== 'string') return
    const kinds = node.specifiers?.map((/** @type {any} */ one) => one.importKind ?? one.exportKind) ?? []
    const types =
      node.importKind === 'type' ||
      node.exportKind === 'type' ||
      node.type === 'TSImportType' ||
      (kinds.length > 0 && kinds.every((/** @type {unknown} */ kind) => kind === 'type'))
    imports.push({ target: node.source.value, types, at: node.start })
  })
  return imports
}

/** @param {object} program @param {(at: number, what: string) => void} fault */
const findWords = (program, fault) =>
  walk(program, (node) => {
    if (node.type === 'Identifier' && forbiddenNames.has(node.name)) fault(node.start, `the engine has no ${node.name}`)
    if (node.type === 'AwaitExpression' || node.await === true) fault(node.start, 'the engine has no await')
    if (node.async === true) fault(node.start, 'the engine has no async')
    if (node.type === 'MemberExpression' && node.object.name === 'Math' && (node.property.name ?? node.property.value) === 'random') {
      fault(node.start, 'the engine has no Math.random')
    }
  })

/**
 * Files that import each other in a ring, each ring once.
 *
 * @param {Map<string, string[]>} graph
 */
const findCycles = (graph) => {
  /** @type {Fault[]} */
  const faults = []
  const done = new Set()
  /** @type {string[]} */
  const way = []
  /** @param {string} path */
  const visit = (path) => {
    const back = way.indexOf(path)
    if (back >= 0) {
      faults.push({ path, line: 1, what: `imports itself in a ring: ${[...way.slice(back), path].join(' → ')}` })
      return
    }
    if (done.has(path)) return
    way.push(path)
    for (const next of graph.get(path) ?? []) visit(next)
    way.pop()
    done.add(path)
  }
  for (const path of graph.keys()) visit(path)
  return faults
}

/**
 * The files of the repository that have a floor.
 *
 * @param {string} root
 * @returns {Source[]}
 */
export const readSources = (root) =>
  ['src', 'workers', 'relay-server', 'examples', 'e2e'].flatMap((folder) =>
    readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .filter((path) => !path.includes('node_modules/') && isChecked(path))
      .map((path) => ({ path, text: readFileSync(root + path, 'utf8') })),
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sources = readSources(fileURLToPath(new URL('..', import.meta.url)))
  const faults = findFaults(sources)
  for (const { path, line, what } of faults) console.error(`${path}:${line} ${what}`)
  console.log(`${sources.length} files, ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`)
  if (faults.length > 0) process.exitCode = 1
}
