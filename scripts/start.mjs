/**
 * `npm start`: builds, starts the relay and serves the examples; Ctrl-C stops both.
 *
 *   npm start -- --port 5173 --relay-port 9090
 *
 * A port of 0 is any free one; `--no-build` serves the dist/ that is there. The pages expect the relay on port 9090 of the host
 * they came from; with another port, the printed URL tells them. The relay's key is kept in .cache/relay.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createServer } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '5173' },
    'relay-port': { type: 'string', default: '9090' },
    'no-build': { type: 'boolean', default: false },
  },
})
const port = Number(values.port)
const relayPort = Number(values['relay-port'])

/** @param {string} line @returns {never} */
const giveUp = (line) => {
  console.error(line)
  process.exit(1)
}

/**
 * Whether something answers there. Asked before anything is built, on both families: a server on the other one would get our visitors.
 *
 * @param {number} port
 */
const inUse = async (port) => {
  const answers = ['127.0.0.1', '::1'].map(
    (host) =>
      new Promise((done) => {
        const socket = connect({ port, host })
        socket.once('connect', () => done(true)).once('error', () => done(false))
        socket.once('connect', () => socket.destroy())
      }),
  )
  return (await Promise.all(answers)).includes(true)
}

for (const [what, number, flag] of /** @type {const} */ ([
  ['the relay', relayPort, '--relay-port'],
  ['the examples', port, '--port'],
])) {
  if (!Number.isInteger(number) || number < 0 || number > 65_535) giveUp(`${flag} takes a port from 0 to 65535`)
  if (number !== 0 && (await inUse(number)))
    giveUp(`Port ${number}, for ${what}, is in use: stop what runs there, or choose another with \`npm start -- ${flag} …\``)
}

if (!values['no-build']) {
  const build = spawn(process.execPath, [`${root}scripts/build.mjs`], { stdio: 'inherit' })
  const [built] = await once(build, 'close')
  if (built !== 0) process.exit(typeof built === 'number' ? built : 1)
}

// Its own group: Ctrl-C reaches us alone, and we stop things in order.
const relay = spawn(
  process.execPath,
  [`${root}dist/relay/cli.js`, '--json', '--listen', `/ip4/0.0.0.0/tcp/${relayPort}/ws`, '--data', `${root}.cache/relay`],
  { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32' },
)
process.on('exit', () => relay.kill('SIGKILL'))

let stopping = false
/** @type {import('vite').ViteDevServer | undefined} */
let server
/** @param {number} code */
const stop = async (code) => {
  if (stopping) return
  stopping = true
  if (relay.exitCode === null && relay.signalCode === null) {
    const gone = once(relay, 'exit')
    relay.kill('SIGTERM')
    setTimeout(() => relay.kill('SIGKILL'), 5_000).unref()
    await gone
  }
  await server?.close()
  process.exit(code)
}
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => void stop(0))
relay.on('exit', (code, signal) => {
  if (!stopping) {
    console.error(`The relay ended (${signal ?? `exit ${code}`}).`)
    void stop(1)
  }
})

// That it stops when it was told to is no news.
createInterface({ input: relay.stderr }).on('line', (line) => {
  if (!stopping) console.error(`relay: ${line}`)
})

/** @type {{ peerId: string, addresses: string[], http: string }} */
const ready = await new Promise((done) => {
  createInterface({ input: relay.stdout }).once('line', (line) => {
    try {
      done(JSON.parse(line))
    } catch {
      console.error(`The relay said ${line}`)
      void stop(1)
    }
  })
})

server = await createServer({ configFile: `${root}vite.config.ts`, server: { port, strictPort: true }, logLevel: 'warn' })
try {
  await server.listen()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  await stop(1)
}

const url = server.resolvedUrls?.local[0] ?? `http://localhost:${port}/`
const query = new URL(ready.http).port === '9090' ? '' : `?relay=${encodeURIComponent(ready.http)}`
console.log(`
  Relay     ${ready.http}/   ${ready.peerId}
  Examples  ${url}${query}

  Open the chat twice: ${url}chat/${query}
  Ctrl-C stops both.
`)
