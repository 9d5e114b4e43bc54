/**
 * UPnP's Internet Gateway Device (IGD:1, IGD:2) by `nat-upnp-rejetto`, as the body of a thread: see upnp.ts for why.
 *
 *   M-SEARCH ─▶ description ─▶ GetExternalIPAddress ─▶ AddPortMapping for each port │ DeletePortMapping
 *
 * The function's own text is what the thread runs, so it may use nothing of this module but types, and nothing that a bundler rewrites.
 *
 * Bounds: `candidates` devices are looked at, and each port is asked for four times at most; time and memory are the thread's.
 */

import type { MappedPort, Mappings, Port } from './mapper.ts'

/** The part of the library that is used: it is there only where the user has installed it. */
interface Service {
  readonly controlURL: string
}
interface Device {
  readonly services: readonly string[]
  getService(types: readonly string[]): Promise<Service>
  /** Rejects with `{ errorCode, errorDescription }` for a fault of the gateway. */
  run(
    action: string,
    args: readonly (readonly [string, string | number])[],
  ): Promise<Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>>
}
interface Ssdp {
  search(type: string): { on(event: 'device', hear: (headers: Readonly<Record<string, string>>, local: string) => void): unknown }
}
interface Library {
  readonly Device: new (location: string) => Device
  readonly Ssdp: new () => Ssdp
}

export interface UpnpGateway {
  /** URL of the device's description. */
  readonly location: string
  /** Our address that it sees. */
  readonly local: string
}

export interface UpnpJob {
  /** Path of the library. */
  readonly library: string
  /** Who is asked; searched for on the network where undefined. */
  readonly gateway: UpnpGateway | undefined
  /** Milliseconds of the search. */
  readonly search: number
  readonly candidates: number
  readonly map: readonly Port[]
  readonly unmap: readonly MappedPort[]
  /** Seconds. */
  readonly lease: number
}

export type UpnpAnswer =
  | { readonly ok: true; readonly gateway: UpnpGateway; readonly mappings: Mappings }
  | { readonly ok: false; readonly what: string }

export const upnpThread = async (require: NodeJS.Require): Promise<void> => {
  const { parentPort, workerData } = require('node:worker_threads') as typeof import('node:worker_threads')
  const { randomInt } = require('node:crypto') as typeof import('node:crypto')
  const job = workerData as UpnpJob
  const library = require(job.library) as Library

  // UPnP IGD:2, WANIPConnection:2 §2.5: error codes.
  const SAME_PORT_ONLY = 724
  const PERMANENT_ONLY = 725
  const TAKEN = [718, 729]

  const codeOf = (error: unknown): number => Number((error as { errorCode?: unknown } | undefined)?.errorCode)
  const textOf = (error: unknown): string =>
    error instanceof Error
      ? error.message
      : `${codeOf(error)} ${(error as { errorDescription?: unknown } | undefined)?.errorDescription ?? ''}`.trim()

  /** What mappings are asked of; throws for a device that has no such service, or sends us to somebody else for it. */
  const open = async ({ location }: UpnpGateway): Promise<{ device: Device; externalIp: string }> => {
    const device = new library.Device(location)
    const service = await device.getService(device.services)
    if (new URL(service.controlURL).hostname !== new URL(location).hostname)
      throw new Error('the gateway names another host for its service')
    // The library would read the description again for each action.
    device.getService = async () => service
    const answer = await device.run('GetExternalIPAddress', [])
    return { device, externalIp: String(answer.GetExternalIPAddressResponse?.NewExternalIPAddress) }
  }

  /** The first that answers as a gateway does, of those that say they are one. */
  const find = (): Promise<{ gateway: UpnpGateway; device: Device; externalIp: string }> =>
    new Promise((resolve, reject) => {
      const seen = new Set<string>()
      let last: unknown
      const search = (): void => {
        // With the interfaces that are there now.
        const ssdp = new library.Ssdp()
        for (const version of [1, 2]) {
          ssdp.search(`urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`).on('device', ({ location = '' }, local) => {
            if (seen.has(location) || seen.size >= job.candidates || !isNear(location)) return
            seen.add(location)
            const gateway = { location, local }
            open(gateway).then(
              (opened) => resolve({ gateway, ...opened }),
              (error) => {
                last = error
              },
            )
          })
        }
      }
      search()
      // A datagram may be lost.
      setTimeout(search, job.search / 3)
      setTimeout(() => reject(last ?? new Error('no gateway answers')), job.search)
    })

  /** Whoever is on the network may answer: nobody is to send us anywhere but to a machine on it. */
  const isNear = (location: string): boolean => {
    try {
      const { protocol, hostname } = new URL(location)
      return (
        protocol === 'http:' &&
        /^(10|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[789]\d|1[01]\d|12[0-7]))\.[\d.]+$/.test(hostname)
      )
    } catch {
      return false
    }
  }

  const add = async (device: Device, local: string, port: Port): Promise<MappedPort> => {
    let { external } = port
    let { lease } = job
    for (let tries = 1; ; tries += 1) {
      try {
        await device.run('AddPortMapping', [
          ['NewRemoteHost', ''],
          ['NewExternalPort', external],
          ['NewProtocol', port.protocol.toUpperCase()],
          ['NewInternalPort', port.port],
          ['NewInternalClient', local],
          ['NewEnabled', 1],
          ['NewPortMappingDescription', 'tabmesh'],
          ['NewLeaseDuration', lease],
        ])
        return { ...port, external, lease }
      } catch (error) {
        const code = codeOf(error)
        if (tries === 4) throw error
        if (code === PERMANENT_ONLY && lease !== 0) lease = 0
        else if (code === SAME_PORT_ONLY && external !== port.port) external = port.port
        else if (TAKEN.includes(code)) external = randomInt(1_024, 65_536)
        else throw error
      }
    }
  }

  const work = async (): Promise<UpnpAnswer> => {
    const { gateway, device, externalIp } =
      job.gateway === undefined ? await find() : { gateway: job.gateway, ...(await open(job.gateway)) }
    for (const { external, protocol } of job.unmap) {
      await device.run('DeletePortMapping', [
        ['NewRemoteHost', ''],
        ['NewExternalPort', external],
        ['NewProtocol', protocol.toUpperCase()],
      ])
    }
    const mapped: MappedPort[] = []
    const faults: string[] = []
    for (const port of job.map) {
      if (port.host !== gateway.local) continue
      try {
        mapped.push(await add(device, gateway.local, port))
      } catch (error) {
        faults.push(textOf(error))
      }
    }
    if (mapped.length === 0 && faults[0] !== undefined) throw new Error(`the gateway refused: ${faults[0]}`)
    return { ok: true, gateway, mappings: { externalIp, mapped, faults } }
  }

  const answer = await work().catch((error): UpnpAnswer => ({ ok: false, what: textOf(error) }))
  parentPort?.postMessage(answer)
}
