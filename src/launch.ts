/**
 * Launch: brings the engine up, in a worker of its own or inline, and hands out the ports to it.
 *
 *   dedicated   a worker from a Blob of the engine's text, which is built into this file
 *   URL, string a worker from tabmesh.worker.js, for pages whose CSP has no `blob:`
 *   Worker      one that the application made and that runs tabmesh.worker.js
 *   inline      the same text, loaded on this thread; used at once where tabmesh.worker.js was loaded before
 */

import { engineSource } from 'virtual:tabmesh-engine'
import { TabmeshError } from './errors.ts'
import type { EngineInit } from './port/messages.ts'
import type { PeerOptions } from './types.ts'

export interface EngineLink {
  readonly control: MessagePort
  readonly events: MessagePort
  readonly rtc: MessagePort
  /** Hears, once, that the engine died by itself. */
  onDeath: (error: TabmeshError) => void
  /** Ends the worker, if we started it. */
  end(): void
}

/** Where tabmesh.worker.js leaves its entry, so that it can be loaded in any way a page's policy allows. */
const ENTRY = Symbol.for('tabmesh.engine')
type Entry = (init: EngineInit) => void

export const launch = async (where: PeerOptions['worker']): Promise<EngineLink> => {
  const control = new MessageChannel()
  const events = new MessageChannel()
  const rtc = new MessageChannel()
  const init: EngineInit = { tabmesh: 'engine', control: control.port2, events: events.port2, rtc: rtc.port2 }
  const link: EngineLink = { control: control.port1, events: events.port1, rtc: rtc.port1, onDeath: () => {}, end: () => {} }
  const mode = where ?? (typeof Worker === 'undefined' ? 'inline' : 'dedicated')
  if (mode === 'inline') {
    const entry = await inlineEntry()
    entry(init)
    return link
  }
  const ours = mode instanceof Worker ? undefined : startWorker(mode)
  const worker = ours?.worker ?? (mode as Worker)
  worker.addEventListener('error', (event) => {
    link.onDeath(
      new TabmeshError('ERR_ENGINE_DIED', 'the worker failed', {
        cause: event.error ?? new Error(event.message || 'it could not be loaded'),
      }),
    )
  })
  worker.postMessage(init, [init.control, init.events, init.rtc])
  link.end = () => {
    ours?.worker.terminate()
    if (ours?.url !== undefined) URL.revokeObjectURL(ours.url)
  }
  return link
}

const startWorker = (mode: string | URL): { worker: Worker; url?: string } => {
  try {
    if (mode !== 'dedicated') return { worker: new Worker(mode, { name: 'tabmesh' }) }
    const url = URL.createObjectURL(new Blob([engineSource], { type: 'text/javascript' }))
    return { worker: new Worker(url, { name: 'tabmesh' }), url }
  } catch (cause) {
    throw new TabmeshError('ERR_ENGINE_START', 'no worker could be made', { cause })
  }
}

const inlineEntry = async (): Promise<Entry> => {
  const scope = globalThis as { [ENTRY]?: Entry }
  if (scope[ENTRY] === undefined) {
    const url = URL.createObjectURL(new Blob([engineSource], { type: 'text/javascript' }))
    try {
      await import(/* @vite-ignore */ url)
    } catch (cause) {
      throw new TabmeshError('ERR_ENGINE_START', 'the engine could not be loaded inline', { cause })
    } finally {
      URL.revokeObjectURL(url)
    }
  }
  const entry = scope[ENTRY]
  if (entry === undefined) throw new TabmeshError('ERR_ENGINE_START', 'the engine left no entry')
  return entry
}
