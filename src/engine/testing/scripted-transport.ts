/**
 * A transport that does what a test says at each address, and writes down when it was asked and when it was given up.
 */

import { TabmeshError } from '../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { Net, Transport } from '../net/service.ts'
import type { World } from './world.ts'

/** What comes of an address: a pipe to `to` after so many milliseconds, a failure, or nothing at all. */
export type Fate = { readonly after: number; readonly to?: Net } | 'silent'

export interface ScriptedTransport extends Transport {
  /** By the text of the address, without its last /p2p. */
  readonly fates: Map<string, Fate>
  /** `<ms> begins|ends <address>`, since the transport was made; what is given up ends too. */
  readonly log: string[]
  /** Attempts under way now, and the most that ever were. */
  readonly running: number
  readonly most: number
}

export const scriptedTransport = (world: World, fates: Readonly<Record<string, Fate>> = {}): ScriptedTransport => {
  const began = world.now
  const script = new Map(Object.entries(fates))
  const log: string[] = []
  let running = 0
  let most = 0
  const fateOf = (address: Multiaddr): Fate | undefined =>
    script.get(address.text) ?? script.get(address.text.replace(/\/p2p\/[^/]+$/, '')) ?? script.get('*')
  return {
    name: 'tcp',
    fates: script,
    log,
    get running() {
      return running
    },
    get most() {
      return most
    },
    matches: ({ parts, text }) => parts[1]?.name === 'tcp' && !text.includes('/p2p-circuit'),
    dial(address, _net, done) {
      const note = (what: string): void => void log.push(`${world.now - began} ${what} ${address.text.replace(/\/p2p\/[^/]+$/, '')}`)
      note('begins')
      running += 1
      most = Math.max(most, running)
      let over = false
      const end = (): boolean => {
        if (over) return false
        over = true
        running -= 1
        note('ends')
        return true
      }
      const fate = fateOf(address)
      const timer =
        fate === undefined || fate === 'silent'
          ? () => {}
          : world.after(fate.after, () => {
              if (!end()) return
              if (fate.to === undefined) return done({ ok: false, fault: new TabmeshError('ERR_UNREACHABLE', 'nobody is there') })
              const [near, far] = world.pipe()
              fate.to.accept({ t: 'pipe', channel: far, transport: 'tcp', remoteAddr: parseMultiaddr('/memory/0') })
              done({ ok: true, value: { t: 'pipe', channel: near, transport: 'tcp', remoteAddr: address } })
            })
      return () => {
        if (!end()) return
        timer()
      }
    },
  }
}
