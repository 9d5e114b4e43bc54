// A peer as a child process: its first line of JSON says that it is ready, then `{ id, cmd, … }` on its stdin is answered by
// `{ id, result }` or `{ id, error }` on its stdout.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const READY_TIMEOUT = 30_000
const COMMAND_TIMEOUT = 60_000
const STOP_TIMEOUT = 5000
/** What is kept of the child's stderr for the message of an error. */
const STDERR_KEPT = 64 * 1024
/** The id under which the first line is waited for; commands count from 1. */
const READY = 0

/**
 * @typedef {{ timeout?: number }} CommandOptions milliseconds
 *
 * @typedef {{
 *   ready: any,
 *   pid: number,
 *   stderr: () => string,
 *   command: (cmd: string, args?: Record<string, unknown>, timeout?: number) => Promise<any>,
 *   stop: () => Promise<void>,
 *   kill: () => Promise<void>,
 * }} PeerProcess
 * `kill` ends the process without a goodbye.
 */

/**
 * @param {string} name what it is called in errors
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, readyTimeout?: number | undefined, wholeStderr?: boolean }} options
 * @returns {Promise<PeerProcess>} once it is ready
 */
export async function startPeerProcess(name, program, args, { cwd, env, readyTimeout = READY_TIMEOUT, wholeStderr = false }) {
  const child = spawn(program, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)

  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = wholeStderr ? stderr + text : (stderr + text).slice(-STDERR_KEPT)
  })

  /** @type {Map<number, { resolve: (value: any) => void, reject: (err: Error) => void, timer: NodeJS.Timeout }>} */
  const pending = new Map()
  /** @type {Error | undefined} */
  let gone
  const exited = new Promise((resolve) => {
    const onGone = (/** @type {string} */ how) => {
      if (gone !== undefined) {
        return
      }
      gone = new Error(`the ${name} ${how}${stderr && `:\n${stderr.trim()}`}`)
      process.removeListener('exit', killWithUs)
      for (const { reject, timer } of pending.values()) {
        clearTimeout(timer)
        reject(gone)
      }
      pending.clear()
      resolve(undefined)
    }
    child.on('error', (err) => onGone(`could not be started (${err.message})`))
    child.on('close', (code, signal) => onGone(`ended (${signal ?? code})`))
  })
  // a write to a child that has just gone: 'close' says all there is to say
  child.stdin.on('error', () => {})

  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id = READY, result, error, ...rest } = JSON.parse(line)
    const waiting = pending.get(id)
    if (waiting === undefined) {
      return
    }
    pending.delete(id)
    clearTimeout(waiting.timer)
    if (error === undefined) {
      waiting.resolve(id === READY ? rest : result)
    } else {
      waiting.reject(revive(error))
    }
  })

  /**
   * @param {number} id
   * @param {string} what
   * @param {number} ms
   * @returns {Promise<any>}
   */
  const answer = (id, what, ms) =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone)
        return
      }
      const timer = setTimeout(() => {
        pending.delete(id)
        reject(new Error(`the ${name} did not answer within ${ms} ms: ${what}${stderr && `\n${stderr.slice(-4000).trim()}`}`))
      }, ms)
      pending.set(id, { resolve, reject, timer })
    })

  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    if (gone === undefined) {
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT)
      await exited
      clearTimeout(timer)
    }
  }

  let ready
  try {
    ready = await answer(READY, 'start', readyTimeout)
  } catch (err) {
    await end('SIGKILL')
    throw err
  }

  let last = READY
  return {
    ready,
    pid: /** @type {number} */ (child.pid),
    stderr: () => stderr,
    command(cmd, args = {}, timeout = COMMAND_TIMEOUT) {
      const id = ++last
      // the peer gives up first, so that its own error is the one that is seen
      const answered = answer(id, cmd, timeout + 2000)
      child.stdin.write(`${JSON.stringify({ id, cmd, timeout, ...args })}\n`)
      return answered
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  }
}

/**
 * @param {{ name: string, message: string, errors?: any[] }} error
 * @returns {Error}
 */
function revive({ name, message, errors }) {
  const detail = errors?.map((one) => `\n  ${one.name}: ${one.message}`).join('') ?? ''
  const err = errors === undefined ? new Error(message) : new AggregateError(errors.map(revive), `${message}${detail}`)
  err.name = name
  return err
}
