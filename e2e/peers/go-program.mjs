// Programs in Go, for tests: `go build` of a folder, once for each state of its sources.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const caches = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url))

/** The first build of the go-libp2p peer loads and compiles some 100 modules: about a minute on two cores, more where the network is slow. */
const BUILD_TIMEOUT = 10 * 60_000
/** The version is asked of the first that runs. The second is where Go's own installer puts it. */
const GO = ['go', '/usr/local/go/bin/go']

/**
 * Builds a program if this state of its sources has not been built yet. Rejects with a reason that can be printed after "skipped:" when this
 * machine can't have it: no Go, one that is too old, or modules that can't be loaded.
 *
 * @param {string} name what it is called in errors
 * @param {string} here the folder of its sources
 * @param {string} cacheName the folder under node_modules/.cache
 * @returns {Promise<string>} the path of the program
 */
export async function buildGoProgram(name, here, cacheName) {
  const cache = join(caches, cacheName)
  const go = await findGo(name, here)
  const folder = join(cache, await keyOf(go.version, here))
  const binary = join(folder, process.platform === 'win32' ? 'peer.exe' : 'peer')
  const isThere = await access(binary).then(
    () => true,
    () => false,
  )
  if (!isThere) {
    await build(name, go.command, here, folder, binary)
    await forgetOthers(cache, folder)
  }
  return binary
}

/** @param {string} name @param {string} here @returns {Promise<{ command: string, version: string }>} */
async function findGo(name, here) {
  for (const command of GO) {
    const version = await run(command, ['version'], { cwd: here, timeout: 30_000 }).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    )
    if (version !== undefined) {
      return { command, version }
    }
  }
  throw new Error(`${name} needs Go: there is no ${GO.join(' and no ')}`)
}

/** @param {string} version @param {string} here */
async function keyOf(version, here) {
  const names = (await readdir(here)).filter((name) => /\.go$|^go\.(mod|sum)$/.test(name)).sort()
  const hash = createHash('sha256').update(version)
  for (const name of names) {
    hash.update(`\n${name}\n`).update(await readFile(join(here, name)))
  }
  return hash.digest('hex').slice(0, 16)
}

/**
 * Two processes may build at once: each under a name of its own, and the last one to finish is kept.
 *
 * @param {string} name
 * @param {string} go
 * @param {string} here
 * @param {string} folder
 * @param {string} binary
 */
async function build(name, go, here, folder, binary) {
  const unfinished = `${binary}-${process.pid}`
  await mkdir(folder, { recursive: true })
  try {
    await run(go, ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', unfinished, '.'], {
      cwd: here,
      timeout: BUILD_TIMEOUT,
      maxBuffer: 16 * 1024 * 1024,
      env: { ...process.env, GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' },
    })
    await rename(unfinished, binary)
  } catch (err) {
    await rm(unfinished, { force: true })
    const { stderr, killed, message } = /** @type {{ stderr?: string, killed?: boolean, message: string }} */ (err)
    const lines = (stderr || message).split('\n').filter((line) => line.trim() !== '' && !line.startsWith('go: downloading'))
    const said = killed ? `it took more than ${BUILD_TIMEOUT / 60_000} minutes` : lines.slice(0, 6).join('\n')
    throw new Error(`${name} can't be built: go build in ${here} failed: ${said}`, { cause: err })
  }
}

/** The builds of earlier sources; a program that still runs from one is not disturbed. @param {string} cache @param {string} folder */
async function forgetOthers(cache, folder) {
  for (const name of await readdir(cache)) {
    if (join(cache, name) !== folder) {
      await rm(join(cache, name), { recursive: true, force: true })
    }
  }
}
