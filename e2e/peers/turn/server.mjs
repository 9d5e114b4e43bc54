// Starts the TURN server of this folder as a child process.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { buildGoProgram } from '../go-program.mjs'

const dir = dirname(fileURLToPath(import.meta.url))
/** For its first line and for each answer. */
const PATIENCE = 10_000

/** @typedef {{ allocations: number, sent: number, received: number }} TurnCounts since it started; bytes to and from those that its clients talk to */

/**
 * Rejects with a reason that can be printed after "skipped:" where it can't be built.
 *
 * @returns {Promise<string>} the path of the program
 */
export const ensureTurnServer = () => buildGoProgram('the TURN server', dir, 'go-turn')

/**
 * @param {{ host: string, username: string, password: string }} options where it listens and relays, and its one user
 * @returns {Promise<{ port: number, counts: () => Promise<TurnCounts>, stop: () => Promise<void> }>}
 */
export const startTurnServer = async (options) => {
  const child = spawn(await ensureTurnServer(), [JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  child.stdin.on('error', () => {})
  const next = async () => JSON.parse((await once(lines, 'line', { signal: AbortSignal.timeout(PATIENCE) }))[0])
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill()
    await exit
  }
  try {
    const { port } = await next()
    const counts = () => {
      const answer = next()
      child.stdin.write('\n')
      return answer
    }
    return { port, counts, stop }
  } catch (error) {
    await stop()
    throw new Error('the TURN server does not start', { cause: error })
  }
}
