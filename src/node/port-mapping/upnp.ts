/**
 * UPnP port mappings, by the optional package `nat-upnp-rejetto`, in a thread that lives for one round of them.
 *
 * The library waits for ever for an HTTP answer, takes one of any length, and has sockets whose errors nobody hears; whoever is on the
 * network may be its gateway. A thread of its own bounds all of that: it is ended after its round, with every socket that it has.
 *
 * Bounds: UPNP_MAX_HEAP; UPNP_SEARCH for the search, `signal` for all of it; UPNP_MAX_CANDIDATES devices are looked at.
 */

import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { PORT_MAPPING_LEASE, UPNP_MAX_CANDIDATES, UPNP_MAX_HEAP, UPNP_SEARCH } from '../../engine/limits.ts'
import type { MappedPort, Mapper, Port } from './mapper.ts'
import { type UpnpAnswer, type UpnpGateway, type UpnpJob, upnpThread } from './upnp-thread.ts'

const LIBRARY = 'nat-upnp-rejetto'

/** `gateway` is searched for on the network where it is not named. */
export const upnp = (gateway?: UpnpGateway): Mapper => {
  /** Who answered last: its mappings are to be removed there. */
  let known = gateway
  const work = async (map: readonly Port[], unmap: readonly MappedPort[], signal: AbortSignal) => {
    const job = { library: findLibrary(), search: UPNP_SEARCH, candidates: UPNP_MAX_CANDIDATES, map, unmap, lease: PORT_MAPPING_LEASE }
    const answer = await inThread({ ...job, gateway: unmap.length > 0 ? known : gateway }, signal)
    if (!answer.ok) throw new Error(answer.what)
    known = answer.gateway
    return answer.mappings
  }
  return {
    name: 'UPnP',
    map: (ports, signal) => work(ports, [], signal),
    unmap: async (mapped, signal) => {
      await work([], mapped, signal)
    },
  }
}

const findLibrary = (): string => {
  try {
    return createRequire(import.meta.url).resolve(LIBRARY)
  } catch (cause) {
    throw new Error(`needs \`npm install ${LIBRARY}\``, { cause })
  }
}

const inThread = async (workerData: UpnpJob, signal: AbortSignal): Promise<UpnpAnswer> => {
  signal.throwIfAborted()
  const thread = new Worker(`(${upnpThread})(require)`, {
    eval: true,
    workerData,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: UPNP_MAX_HEAP / 1024 ** 2, maxYoungGenerationSizeMb: 8 },
  })
  try {
    return await new Promise<UpnpAnswer>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      thread.once('message', resolve)
      thread.once('error', reject)
      thread.once('exit', () => reject(new Error('its thread ended')))
    })
  } finally {
    // What a library says after its end is nobody's.
    thread.on('error', () => {})
    await thread.terminate()
  }
}
