/** What the tests of DCUtR stand on: peers behind NATs in a World, that let in whom they have knocked at. */

import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { Link, Net } from '../net/service.ts'
import type { Puncher } from '../protocols/dcutr/service.ts'
import type { World } from './world.ts'

interface Door {
  readonly at: string
  readonly expected: ReadonlySet<string>
  readonly onLink: (link: Link) => void
  knocked: boolean
}

export interface Street {
  /** Of a peer that is seen at `at` outside. */
  puncher(at: string | undefined): Puncher
  /** `<ms> <what> <at>`, of all doors. */
  readonly log: string[]
  /** Doors that are open now. */
  readonly open: number
  /** NATs let nobody in any more. */
  blocked: boolean
}

export const street = (world: World): Street => {
  const doors = new Set<Door>()
  const log: string[] = []
  const made = new Set<Door>()
  const meet = (from: Door, to: string): void => {
    const there = [...doors].find((door) => door.at === to && door.knocked && door.expected.has(from.at))
    if (there === undefined || self.blocked || !doors.has(from) || made.has(from) || made.has(there)) return
    made.add(from).add(there)
    const [near, far] = world.pipe()
    from.onLink({ t: 'pipe', channel: near, transport: 'tcp', remoteAddr: parseMultiaddr(there.at) })
    there.onLink({ t: 'pipe', channel: far, transport: 'tcp', remoteAddr: parseMultiaddr(from.at) })
  }
  const self: Street = {
    log,
    blocked: false,
    get open() {
      return doors.size
    },
    puncher: (at) => ({
      outside: ({ direct, direction }) => (at !== undefined && direct && direction === 'outbound' ? parseMultiaddr(at) : undefined),
      open(_net: Net, addresses: readonly Multiaddr[], onLink) {
        const door: Door = { at: at ?? '', expected: new Set(addresses.map(({ text }) => text)), onLink, knocked: false }
        doors.add(door)
        log.push(`${world.now} open ${door.at}`)
        return {
          punch() {
            door.knocked = true
            log.push(`${world.now} punch ${door.at}`)
            for (const to of door.expected) world.after(world.latency, () => meet(door, to))
          },
          close() {
            log.push(`${world.now} close ${door.at}`)
            doors.delete(door)
          },
        }
      },
    }),
  }
  return self
}
