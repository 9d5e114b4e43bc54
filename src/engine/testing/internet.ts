/**
 * Internet: IP addresses and ports in a World, for what is about where somebody is. TCP only; a machine is seen at one address, whether that is its
 * own or its NAT's, and is reached where somebody listens.
 */

import { TabmeshError } from '../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { Net, Transport } from '../net/service.ts'
import type { World } from './world.ts'

export class Internet {
  readonly #world: World
  readonly #listeners = new Map<string, Net>()
  #port = 50_000
  /** Dials that were tried, as `host port`. */
  readonly dialled: string[] = []

  constructor(world: World) {
    this.#world = world
  }

  /** From now on `net` is reached at this address; nobody is if there is none. */
  listen(address: string, net: Net | undefined): void {
    const key = keyOf(parseMultiaddr(address)) as string
    if (net === undefined) this.#listeners.delete(key)
    else this.#listeners.set(key, net)
  }

  /** Dials as a machine that others see at `ip`. */
  transport(ip: string): Transport {
    return {
      name: 'tcp',
      matches: (address) => keyOf(address) !== undefined,
      dial: (address, _net, done) => {
        const key = keyOf(address) as string
        this.dialled.push(key)
        return this.#world.after(this.#world.latency, () => {
          const listener = this.#listeners.get(key)
          if (listener === undefined) return done({ ok: false, fault: new TabmeshError('ERR_UNREACHABLE', `nobody listens at ${key}`) })
          const [near, far] = this.#world.pipe()
          this.#port += 1
          const remoteAddr = parseMultiaddr(`/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/tcp/${this.#port}`)
          listener.accept({ t: 'pipe', channel: far, transport: 'tcp', remoteAddr })
          this.#world.after(this.#world.latency, () =>
            done({ ok: true, value: { t: 'pipe', channel: near, transport: 'tcp', remoteAddr: address } }),
          )
        })
      },
    }
  }
}

const keyOf = ({ parts: [host, tcp, ...rest] }: Multiaddr): string | undefined =>
  (host?.name === 'ip4' || host?.name === 'ip6') && tcp?.name === 'tcp' && rest.every(({ name }) => name === 'p2p')
    ? `${host.value} ${tcp.value}`
    : undefined
