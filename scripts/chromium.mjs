/**
 * A Chromium for the end-to-end tests.
 *
 *   node scripts/chromium.mjs             prints the path of one, installs it first where there is none
 *   node scripts/chromium.mjs --find      only looks
 *
 * Looked for, in this order: CHROMIUM_PATH, the system's, Playwright's own download. A browser counts when it runs: some
 * distributions put a script in its place that only says how to get the real one.
 */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright'

const root = fileURLToPath(new URL('..', import.meta.url))

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge-stable']
const macApps = ['Google Chrome', 'Chromium', 'Google Chrome for Testing', 'Microsoft Edge', 'Brave Browser']
const windowsApps = [
  'Google\\Chrome\\Application\\chrome.exe',
  'Chromium\\Application\\chrome.exe',
  'Microsoft\\Edge\\Application\\msedge.exe',
]

/** Where a system keeps its browsers. */
const candidates = () => {
  if (process.platform === 'darwin') {
    return ['/Applications', join(homedir(), 'Applications')].flatMap((folder) =>
      macApps.map((app) => `${folder}/${app}.app/Contents/MacOS/${app}`),
    )
  }
  if (process.platform === 'win32') {
    const { ProgramFiles: programs = '', 'ProgramFiles(x86)': programs32 = '', LOCALAPPDATA: local = '' } = process.env
    return [programs, programs32, local].filter(Boolean).flatMap((folder) => windowsApps.map((app) => join(folder, app)))
  }
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), '/usr/bin', '/usr/local/bin', '/snap/bin']
  return names.flatMap((name) => [...new Set(folders)].map((folder) => join(folder, name)))
}

/**
 * Whether the file is a browser that starts here: it may lack a shared library, or be a stand-in.
 *
 * @param {string} path
 */
const runs = (path) => {
  if (!existsSync(path)) return false
  // Windows' browsers don't answer --version; there, being there is enough.
  if (process.platform === 'win32') return true
  const { status, stdout } = spawnSync(path, ['--version', '--no-sandbox'], {
    encoding: 'utf8',
    timeout: 30_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return status === 0 && /\d+\.\d+/.test(stdout)
}

/** What every test and benchmark starts it with. */
export const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Host candidates by address: where nothing answers mDNS, names under .local lead nowhere.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
]

/**
 * The path of a Chromium that runs, or undefined. Throws where CHROMIUM_PATH names something else.
 *
 * @returns {string | undefined}
 */
export const findChromium = () => {
  const named = process.env.CHROMIUM_PATH
  if (named !== undefined && named !== '') {
    if (existsSync(named)) return named
    throw new Error(`CHROMIUM_PATH is ${named}, and there is no such file`)
  }
  return [...candidates(), chromium.executablePath()].find(runs)
}

/**
 * Runs a command with its output on stderr, so that stdout holds the path only.
 *
 * @param {string} command
 * @param {string[]} args
 */
const run = (command, args) => {
  console.error(`> ${command} ${args.join(' ')}`)
  return (
    spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).status ===
    0
  )
}

const howTo = () => {
  const ways = {
    darwin: 'brew install --cask chromium',
    linux: 'sudo apt-get install chromium   (Fedora: sudo dnf install chromium; Arch: sudo pacman -S chromium)',
    win32: 'winget install Google.Chrome',
  }
  return `No Chromium was found, and none could be installed. One of these helps:
  ${ways[/** @type {keyof typeof ways} */ (process.platform)] ?? ways.linux}
  npx playwright install --with-deps chromium
  CHROMIUM_PATH=/path/to/a/chromium npm test`
}

/**
 * The path of a Chromium that runs; installs one where there is none.
 *
 * @returns {string}
 */
export const ensureChromium = () => {
  const found = findChromium()
  if (found !== undefined) return found
  console.error('No Chromium here yet: installing one.')
  const isRoot = process.getuid?.() === 0
  const playwright = `${root}node_modules/playwright/cli.js`
  run(process.execPath, [playwright, 'install', '--no-shell', 'chromium'])
  let installed = findChromium()
  // Downloaded, but it may want libraries that the system hasn't.
  if (installed === undefined && isRoot && process.platform === 'linux' && existsSync(chromium.executablePath())) {
    run(process.execPath, [playwright, 'install-deps', 'chromium'])
    installed = findChromium()
  }
  if (installed === undefined && isRoot && existsSync('/usr/bin/apt-get')) {
    run('apt-get', ['update'])
    run('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'])
    installed = findChromium()
  }
  if (installed === undefined) throw new Error(howTo())
  return installed
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const path = process.argv.includes('--find') ? findChromium() : ensureChromium()
    if (path === undefined) throw new Error('No Chromium here. `node scripts/chromium.mjs` installs one.')
    console.log(path)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
