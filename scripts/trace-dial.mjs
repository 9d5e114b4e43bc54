/**
 * Counts our own files and functions that run from `dial()` to the first byte on a WebSocket, and on to the connection.
 *
 *   node scripts/trace-dial.mjs          prints the path; fails over 12 and 20 files
 *   node scripts/trace-dial.mjs --list   with the functions of each file
 *
 * Everything is a page's own code (SDK, port, engine, WebSocket transport), bundled file by file and run in Node with the
 * engine inline and a WebSocket class handed in; the relay is a process of its own. What ran is what V8's precise coverage
 * says: functions called since `dial()` was, module bodies not counted. The connection is there when the engine reports it:
 * the remote has proven who it is and nothing is left to agree on. The session's multiplexer starts behind that.
 *
 * The limits are held against what they were set by: js-libp2p needs 31 and 58 files of `libp2p` and `@libp2p/*` for the same two points (its
 * `connection:open` is ours), where codecs of values (multiaddr, varint, protobuf, bytes) come from other packages and are not counted. So ours are
 * not counted either. The last lines print the counts with nothing left out, and those up to the return of `dial()`, with what a
 * connection sets off: the multiplexer, identify, the relay's client (js-libp2p likewise: 107 with all packages, 126 until it returns).
 */

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { Session } from 'node:inspector'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'vite'
import { WebSocket } from 'ws'
import { setup as generate } from './generate.mjs'

const MAX_TO_FIRST_BYTE = 12
const MAX_TO_CONNECTION = 20
/** In js-libp2p: @multiformats/multiaddr and multiaddr-to-uri, uint8-varint, uint8arraylist, protons-runtime. */
const CODECS =
  /^src\/engine\/codec\/(multiaddr|multiaddr-protocols|ip|multibase|web-socket-url|varint|bytes|byte-queue|protobuf|protobuf-\w+)\.ts$/

const root = fileURLToPath(new URL('..', import.meta.url))

/** The page's modules, one output file for each source file. @param {string} outDir */
const bundle = async (outDir) => {
  await generate()
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins: [
      {
        name: 'no-engine-text',
        resolveId: (id) => (id === 'virtual:tabmesh-engine' ? `\0${id}` : undefined),
        load: (id) => (id === '\0virtual:tabmesh-engine' ? "export const engineSource = ''" : undefined),
      },
    ],
    build: {
      outDir,
      emptyOutDir: true,
      minify: false,
      target: 'es2022',
      lib: {
        entry: { 'src/index': join(root, 'src/index.ts'), 'workers/engine.worker': join(root, 'workers/engine.worker.ts') },
        formats: ['es'],
      },
      rolldownOptions: { treeshake: false, output: { preserveModules: true, preserveModulesRoot: root, entryFileNames: '[name].js' } },
    },
  })
}

/** A relay in a process of its own. @param {string} data */
const startRelay = async (data) => {
  const relay = spawn(
    process.execPath,
    [join(root, 'dist/relay/cli.js'), '--json', '--listen', '/ip4/127.0.0.1/tcp/0/ws', '--data', data],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  const line = await new Promise((resolve, reject) => {
    relay.once('exit', (code) => reject(new Error(`the relay ended with ${code}; build it first (npm run build)`)))
    let text = ''
    relay.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
  })
  return { address: JSON.parse(line).addresses[0], stop: () => relay.kill() }
}

/** What ran since it was asked last: file → functions. @param {Session} session @param {string} outDir @returns {Map<string, Set<string>>} */
const takeCoverage = (session, outDir) => {
  const prefix = pathToFileURL(outDir).href
  /** @type {Map<string, Set<string>>} */
  const ran = new Map()
  // In its own thread the inspector answers before `post` returns.
  session.post('Profiler.takePreciseCoverage', (_error, { result }) => {
    for (const { url, functions } of result) {
      const path = url.startsWith(prefix) ? url.slice(prefix.length + 1).replace(/\.js$/, '.ts') : ''
      if (!/^(src|workers)\//.test(path)) continue
      for (const { functionName, ranges } of functions) {
        const whole = ranges[0]
        // The module's own body has no name and begins at 0.
        if (whole === undefined || whole.count === 0 || (functionName === '' && whole.startOffset === 0)) continue
        const names = ran.get(path) ?? new Set()
        ran.set(path, names.add(functionName || '(anonymous)'))
      }
    }
  })
  return ran
}

/** @param {string} outDir @param {string} address */
const trace = async (outDir, address) => {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  /** @type {Map<string, Set<string>> | undefined} */
  let toFirstByte
  /** @type {Map<string, Set<string>> | undefined} */
  let onToConnection
  let dialling = false
  const post = MessagePort.prototype.postMessage
  /** @this {MessagePort} @param {unknown[]} args */
  const traced = function (...args) {
    if (dialling && Object(args[0]).t === 'connection:open') onToConnection ??= takeCoverage(session, outDir)
    return Reflect.apply(post, this, args)
  }
  Object.assign(MessagePort.prototype, { postMessage: traced })
  class TracedSocket extends WebSocket {
    /**
     * @override
     * @param {Uint8Array} bytes
     */
    send(bytes) {
      if (dialling) toFirstByte ??= takeCoverage(session, outDir)
      super.send(bytes)
    }
  }
  Object.assign(globalThis, { WebSocket: TracedSocket })
  await import(pathToFileURL(join(outDir, 'workers/engine.worker.js')).href)
  const { createPeer } = await import(pathToFileURL(join(outDir, 'src/index.js')).href)
  const peer = await createPeer({ worker: 'inline', identity: 'ephemeral' })
  // What a start leaves behind (the signature of the static key) is no part of a dial.
  await new Promise((resolve) => setTimeout(resolve, 100))
  takeCoverage(session, outDir)
  dialling = true
  await peer.dial(address)
  const onToReturn = takeCoverage(session, outDir)
  if (onToConnection === undefined) throw new Error('no connection was reported')
  await peer.stop()
  session.disconnect()
  if (toFirstByte === undefined) throw new Error('no byte was sent')
  /** @type {Map<string, Set<string>>} */
  const toConnection = new Map([...toFirstByte].map(([path, names]) => [path, new Set(names)]))
  for (const [path, names] of onToConnection) toConnection.set(path, new Set([...(toConnection.get(path) ?? []), ...names]))
  return { toFirstByte, toConnection, toReturn: new Set([...toConnection.keys(), ...onToReturn.keys()]) }
}

/** @param {string} what @param {Map<string, Set<string>>} ran @param {number} max */
const report = (what, ran, max) => {
  const all = [...ran].sort(([a], [b]) => a.localeCompare(b))
  const path = all.filter(([file]) => !CODECS.test(file))
  const codecs = all.filter(([file]) => CODECS.test(file))
  /** @param {[string, Set<string>][]} files */
  const functions = (files) => files.reduce((sum, [, names]) => sum + names.size, 0)
  console.log(`from dial() to ${what}: ${path.length} files (at most ${max}), ${functions(path)} functions`)
  for (const [file, names] of path) console.log(`  ${file}${process.argv.includes('--list') ? `  ${[...names].join(', ')}` : ''}`)
  console.log(
    `  and ${codecs.length} codecs, ${functions(codecs)} functions: ${codecs.map(([file]) => file.replace('src/engine/codec/', '')).join(' ')}`,
  )
  return path.length <= max
}

const scratch = await mkdtemp(join(tmpdir(), 'tabmesh-trace-'))
// Inside the repository, so that the packages it imports are found.
const outDir = join(root, 'node_modules/.cache/trace-dial')
let relay
try {
  await bundle(outDir)
  relay = await startRelay(scratch)
  const { toFirstByte, toConnection, toReturn } = await trace(outDir, relay.address)
  const first = report('the first byte on a WebSocket', toFirstByte, MAX_TO_FIRST_BYTE)
  const second = report('the connection', toConnection, MAX_TO_CONNECTION)
  console.log(`nothing left out: ${toFirstByte.size} files to the first byte, ${toConnection.size} to the report of the connection,`)
  console.log(
    `  ${toReturn.size} until dial() has returned (with yamux, and with identify and the relay's client, which a connection sets off)`,
  )
  process.exitCode = first && second ? 0 : 1
} finally {
  relay?.stop()
  await rm(scratch, { recursive: true, force: true })
}
