// Gets the rust-libp2p peer ready to run: `cargo build` of this folder, once for each state of its sources.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const dir = dirname(fileURLToPath(import.meta.url))
const cache = fileURLToPath(new URL('../../../node_modules/.cache/rust-peer', import.meta.url))
const sources = ['Cargo.toml', 'Cargo.lock', 'src/main.rs', 'src/rooms.rs']

/** Some 250 crates: three minutes on two idle cores. */
const BUILD_TIMEOUT = 15 * 60_000

/** @type {Promise<{ binary: string, dir: string }> | undefined} */
let ready

/**
 * Builds the peer if this state of its sources has not been built yet, and `mayBuild` says so: it takes minutes. Rejects with a reason that can be
 * printed after "skipped:" when this machine can't have it.
 *
 * @param {{ mayBuild: boolean }} options
 * @returns {Promise<{ binary: string, dir: string }>} the path of the program, and the folder of its sources
 */
export function ensureRustPeer({ mayBuild }) {
  ready ??= prepare(mayBuild)
  return ready
}

/** @param {boolean} mayBuild */
async function prepare(mayBuild) {
  const version = await run('cargo', ['--version'], { cwd: dir, timeout: 60_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
  if (version === undefined) {
    throw new Error('rust-libp2p needs Rust: there is no cargo')
  }
  const folder = join(cache, await keyOf(version))
  const binary = join(folder, process.platform === 'win32' ? 'peer.exe' : 'peer')
  const isThere = await access(binary).then(
    () => true,
    () => false,
  )
  if (!isThere) {
    if (!mayBuild) {
      throw new Error('rust-libp2p takes some minutes to build: ask for it with --rust')
    }
    await build(folder, binary)
    await forgetOthers(folder)
  }
  return { binary, dir }
}

/** @param {string} version */
async function keyOf(version) {
  const hash = createHash('sha256').update(version)
  for (const name of sources) {
    hash.update(`\n${name}\n`).update(await readFile(join(dir, name)))
  }
  return hash.digest('hex').slice(0, 16)
}

/**
 * What the compiler leaves beside the program is half a gigabyte and goes with it. Two processes may build at once: each in a folder of its own.
 *
 * @param {string} folder
 * @param {string} binary
 */
async function build(folder, binary) {
  const target = join(cache, `target-${process.pid}`)
  const unfinished = `${binary}-${process.pid}`
  await mkdir(folder, { recursive: true })
  try {
    await run('cargo', ['build', '--locked'], {
      cwd: dir,
      timeout: BUILD_TIMEOUT,
      maxBuffer: 16 * 1024 * 1024,
      env: { ...process.env, CARGO_TARGET_DIR: target, CARGO_INCREMENTAL: '0' },
    })
    const name = process.platform === 'win32' ? 'tabmesh-rust-peer.exe' : 'tabmesh-rust-peer'
    await copyFile(join(target, 'debug', name), unfinished)
    await rename(unfinished, binary)
  } catch (err) {
    const { stderr, killed, message } = /** @type {{ stderr?: string, killed?: boolean, message: string }} */ (err)
    const lines = (stderr || message)
      .split('\n')
      .filter((line) => line.trim() !== '' && !/^\s*(Compiling|Downloaded|Downloading|Updating)\b/.test(line))
    const said = killed ? `it took more than ${BUILD_TIMEOUT / 60_000} minutes` : lines.slice(0, 6).join('\n')
    throw new Error(`rust-libp2p can't be built: cargo build in ${dir} failed: ${said}`, { cause: err })
  } finally {
    await rm(unfinished, { force: true })
    await rm(target, { recursive: true, force: true })
  }
}

/** The builds of earlier sources; a program that still runs from one is not disturbed. @param {string} folder */
async function forgetOthers(folder) {
  for (const name of await readdir(cache)) {
    if (join(cache, name) !== folder && !name.startsWith('target-')) {
      await rm(join(cache, name), { recursive: true, force: true })
    }
  }
}
