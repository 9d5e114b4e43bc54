/**
 * A relay as its operator runs it: a process of its own, with an identity on disk. It can be killed and come back on the
 * same port.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../dist/relay/cli.js', import.meta.url))
/** Nothing here takes longer on a slow machine. */
const PATIENCE = 15_000

export interface RelayProcess {
  readonly peerId: string
  readonly addresses: readonly string[]
  /** What `createPeer({ relays: […] })` takes. */
  readonly http: string
  /** Ends the process at once: no goodbye to anybody. */
  kill(): Promise<void>
  /** Comes back on the same port with the same identity. */
  restart(): Promise<void>
  /** Ends it in order and removes its data; resolves with the exit code. */
  stop(): Promise<number | null>
}

interface Ready {
  peerId: string
  addresses: string[]
  http: string
}

export const startRelay = async (...flags: string[]): Promise<RelayProcess> => {
  const data = await mkdtemp(join(tmpdir(), 'tabmesh-e2e-relay-'))
  let running = await run('0', data, flags)
  const { port } = new URL(running.ready.http)
  const exited = async (signal: NodeJS.Signals): Promise<number | null> => {
    const { child } = running
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const exit = once(child, 'exit')
    child.kill(signal)
    return (await exit)[0] as number | null
  }
  return {
    ...running.ready,
    kill: async () => {
      await exited('SIGKILL')
    },
    restart: async () => {
      running = await run(port, data, flags)
    },
    stop: async () => {
      const code = await exited('SIGTERM')
      await rm(data, { recursive: true, force: true })
      return code
    },
  }
}

const run = async (port: string, data: string, flags: readonly string[]): Promise<{ child: ChildProcess; ready: Ready }> => {
  const args = [CLI, '--json', '--listen', `/ip4/127.0.0.1/tcp/${port}/ws`, '--data', data, ...flags]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  child.stderr.on('data', (text) => {
    log += text
  })
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve)
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`the relay ended before it was ready (${code ?? signal}): ${log}`)))
  }).finally(() => clearTimeout(late))
  return { child, ready: JSON.parse(line) as Ready }
}
