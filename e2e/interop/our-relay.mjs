// Our relay as a process, which has to be empty again when a case is over.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { until, within } from './waiting.mjs'

export const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'

const READY_TIMEOUT = 30_000
const STOP_TIMEOUT = 10_000
/** How long a relay may take to notice that everybody is gone. */
const EMPTY_TIMEOUT = 10_000

/**
 * @typedef {{ peerId: string, addresses: string[], address: string, http: string, health: () => Promise<Record<string, number>> }} OurRelay
 */

/** @param {string} cli @param {string} data @param {string[]} flags */
export const spawnRelay = async (cli, data, flags) => {
  const child = spawn(process.execPath, [cli, '--json', '--listen', LOCAL_WS, '--data', data, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const exited = new Promise((resolve) => child.once('close', resolve)).finally(() => process.removeListener('exit', killWithUs))
  const firstLine = new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve))
  const died = exited.then((code) => Promise.reject(new Error(`our relay ended (${code}): ${stderr.trim()}`)))
  died.catch(() => {})
  const line = await within(READY_TIMEOUT, 'our relay', Promise.race([firstLine, died])).catch((error) => {
    killWithUs()
    throw error
  })
  const { peerId, addresses, http } = JSON.parse(line)
  return {
    peerId,
    addresses,
    address: addresses[0],
    http,
    health: async () => (await fetch(`${http}/health`)).json(),
    async stop() {
      child.kill('SIGTERM')
      const code = await within(STOP_TIMEOUT, 'our relay draining', exited).catch((error) => {
        killWithUs()
        throw error
      })
      if (code !== 0) throw new Error(`our relay exited ${code}: ${stderr.trim()}`)
    },
  }
}

/** @param {OurRelay['health']} health */
export const emptied = (health) => {
  let last = {}
  return until(
    EMPTY_TIMEOUT,
    () => `the relay still counts ${JSON.stringify(last)}`,
    async () => {
      const { reservations, circuits, connections } = await health()
      last = { reservations, circuits, connections }
      return reservations === 0 && circuits === 0 && connections === 0 ? true : undefined
    },
  )
}
