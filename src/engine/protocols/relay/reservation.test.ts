import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { RELAY_MAX_WANTED, RELAY_RETRY_MAX } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { property } from '../../testing/property.ts'
import { type Relay, type ReservationInput, Reservations } from './reservation.ts'

const HOUR = 3_600_000
const down = new TabmeshError('ERR_RELAY_UNREACHABLE', 'nobody listens')
const full = new TabmeshError('ERR_RELAY_FULL', '200')
const at = (n: number) => parseMultiaddr(`/memory/${n}`)

/** The machine with a clock; `log` is what it asked for, as text, with the relay's address. */
class Keeper {
  now = 0
  readonly machine: Reservations
  readonly log: string[] = []

  constructor(wanted = 10, random: () => number = () => 0.5) {
    this.machine = new Reservations(wanted, random)
  }

  handle(input: ReservationInput): this {
    this.machine.handle(input, this.now)
    for (let output = this.machine.poll(); output !== undefined; output = this.machine.poll()) {
      const again = output.t === 'reserved' && output.again ? ' again' : ''
      this.log.push(`${output.t}${again} ${output.relay.addresses[0]?.text}`)
    }
    return this
  }

  add(...numbers: number[]): this {
    for (const n of numbers) this.handle({ t: 'add', addresses: [at(n)] })
    return this
  }

  relay(n: number): Relay {
    const found = this.machine.relays.find((each) => each.addresses.some(({ text }) => text === at(n).text))
    if (found === undefined) throw new Error(`no relay ${n}`)
    return found
  }

  connected(n: number, peer = `peer${n}`): this {
    return this.handle({ t: 'connected', relay: this.relay(n), peer })
  }

  reserved(n: number, ttl = HOUR): this {
    return this.handle({ t: 'reserved', relay: this.relay(n), ttl })
  }

  failed(n: number, fault = down): this {
    return this.handle({ t: 'failed', relay: this.relay(n), fault })
  }

  disconnected(n: number): this {
    return this.handle({ t: 'disconnected', relay: this.relay(n), fault: undefined })
  }

  /** Lets the deadline come, and answers when it came. */
  wait(): number {
    const { deadline } = this.machine
    if (deadline === undefined) throw new Error('waits for nothing')
    this.now = deadline
    this.handle({ t: 'time' })
    return this.now
  }

  /** What happened since the log was last read. */
  get news(): string[] {
    return this.log.splice(0)
  }
}

describe('a reservation', () => {
  it('is made: connect, reserve, hold', () => {
    const keeper = new Keeper().add(1)
    expect(keeper.news).toEqual(['connect /memory/1'])
    expect(keeper.machine.deadline).toBeUndefined()
    expect(keeper.connected(1).news).toEqual(['reserve /memory/1'])
    expect(keeper.reserved(1).news).toEqual(['reserved /memory/1'])
    expect(keeper.relay(1)).toMatchObject({ peer: 'peer1', state: { t: 'held', expiresAt: HOUR } })
  })

  it.each([
    // [lifetime, refreshed at the latest after]: ¾, or 5 min ahead, whichever is earlier; not before 30 s unless it is shorter
    [2 * HOUR, 1.5 * HOUR],
    [HOUR, 0.75 * HOUR],
    [15 * 60_000, 10 * 60_000],
    [2 * 60_000, 30_000],
    [20_000, 15_000],
    [1_000, 1_000],
    [Number.MAX_SAFE_INTEGER, 18 * HOUR],
  ])('of %d ms is refreshed after %d ms, up to a tenth sooner', (ttl, after) => {
    for (const [chance, due] of [
      [0, 0.9 * after],
      [1 - 1e-12, after],
    ] as const) {
      const keeper = new Keeper(1, () => chance).add(1).connected(1).reserved(1, ttl)
      expect(keeper.machine.deadline).toBeCloseTo(due, -1)
    }
  })

  it('is refreshed, silently, for days', () => {
    const keeper = new Keeper().add(1).connected(1).reserved(1)
    void keeper.news
    for (let round = 0; round < 100; round++) {
      keeper.wait()
      expect(keeper.news).toEqual(['reserve /memory/1'])
      expect(keeper.reserved(1).news).toEqual(['reserved again /memory/1'])
    }
    expect(keeper.now).toBeGreaterThan(70 * HOUR * 0.9)
  })

  it('is held while a refresh fails, tried again meanwhile, and lost only when it expires', () => {
    const keeper = new Keeper().add(1).connected(1).reserved(1)
    void keeper.news
    let tries = 0
    for (keeper.wait(); keeper.now < HOUR; keeper.wait()) {
      tries += 1
      expect(keeper.news).toEqual(['reserve /memory/1'])
      expect(keeper.relay(1).state).toMatchObject({ t: 'refreshing' })
      keeper.failed(1, new TabmeshError('ERR_TIMEOUT', 'no answer'))
      expect(keeper.relay(1).state).toMatchObject({ t: 'held', expiresAt: HOUR })
    }
    expect(tries).toBeGreaterThan(20)
    expect(keeper.news).toEqual(['lost /memory/1'])
    keeper.wait()
    expect(keeper.news).toEqual(['connect /memory/1'])
  })

  it('that lapsed while the page slept is lost, and made again', () => {
    const keeper = new Keeper().add(1).connected(1).reserved(1)
    void keeper.news
    keeper.now = 8 * HOUR
    expect(keeper.handle({ t: 'time' }).news).toEqual(['lost /memory/1'])
    keeper.wait()
    expect(keeper.connected(1).reserved(1).news).toEqual(['connect /memory/1', 'reserve /memory/1', 'reserved /memory/1'])
  })

  it('moves to the other connection when its own closes', () => {
    const keeper = new Keeper().add(1).connected(1).reserved(1)
    void keeper.news
    keeper.handle({ t: 'moved', relay: keeper.relay(1) })
    expect(keeper.reserved(1).news).toEqual(['reserve /memory/1', 'reserved again /memory/1'])
  })
})

describe('a relay that goes away', () => {
  it('is found again within a tenth of the time it was away, however long that was', () => {
    property(100, (random) => {
      const keeper = new Keeper(1, () => random.below(1_000) / 1_000).add(1).connected(1).reserved(1)
      keeper.now = 10 * 60_000
      keeper.disconnected(1)
      expect(keeper.news).toContain('lost /memory/1')
      const away = random.below([2_000, 30_000, 600_000, 24 * HOUR][random.below(4)] as number)
      const back = keeper.now + away
      let tries = 0
      for (;;) {
        keeper.wait()
        expect(keeper.news).toEqual(['connect /memory/1'])
        tries += 1
        if (keeper.now >= back) break
        keeper.failed(1)
        expect(keeper.news).toEqual([])
      }
      expect(keeper.connected(1).reserved(1).news).toEqual(['reserve /memory/1', 'reserved /memory/1'])
      expect(keeper.now - back).toBeLessThanOrEqual(Math.min(Math.max(1_000, 0.11 * away + 100), RELAY_RETRY_MAX))
      // Never a flood: two a second at first, then fewer and fewer.
      expect(tries).toBeLessThan(120 + away / 30_000)
    })
  })

  it('is told of once, when nothing was held', () => {
    const keeper = new Keeper().add(1).failed(1)
    expect(keeper.news).toEqual(['connect /memory/1', 'trouble /memory/1'])
    for (let round = 0; round < 5; round++) {
      keeper.wait()
      keeper.failed(1)
    }
    expect(keeper.news).toEqual(Array(5).fill('connect /memory/1'))
  })

  it('and comes back at once when the network does: also where a dial hangs', () => {
    const keeper = new Keeper().add(1, 2).failed(1)
    void keeper.news
    expect(keeper.handle({ t: 'online' }).news).toEqual(['connect /memory/1', 'connect /memory/2'])
  })

  it('and is met by another way is asked at once', () => {
    const keeper = new Keeper().add(1).connected(1).reserved(1).disconnected(1)
    void keeper.news
    expect(keeper.handle({ t: 'met', peer: 'peer1' }).news).toEqual(['reserve /memory/1'])
    expect(keeper.handle({ t: 'met', peer: 'somebody' }).news).toEqual([])
  })

  it('again and again after each reservation keeps its growing waits', () => {
    const keeper = new Keeper(1, () => 0).add(1).connected(1)
    const waits: number[] = []
    for (let round = 0; round < 200; round++) {
      keeper.reserved(1)
      keeper.now += 1_000
      const lost = keeper.disconnected(1).now
      waits.push(keeper.wait() - lost)
      keeper.connected(1)
    }
    expect(waits[0]).toBe(500)
    expect(waits.at(-1)).toBeGreaterThan(20_000)
    // One that then held for long is a new story.
    keeper.reserved(1)
    keeper.now += 61_000
    const lost = keeper.disconnected(1).now
    expect(keeper.wait() - lost).toBe(500)
  })

  it('does not bring its clients back as one', () => {
    const back = new Set<number>()
    for (let client = 0; client < 100; client++) {
      const random = prng(client)
      const keeper = new Keeper(1, () => random.below(1_000_000) / 1_000_000).add(1).connected(1).reserved(1).disconnected(1)
      back.add(Math.floor(keeper.wait() / 50))
    }
    expect(back.size).toBeGreaterThanOrEqual(9)
  })
})

describe('a relay that refuses', () => {
  it('is asked less often: 5 s, 10 s, 20 s … a minute', () => {
    const keeper = new Keeper(1, () => 0.999999).add(1)
    const waits: number[] = []
    for (let round = 0; round < 6; round++) {
      keeper.connected(1)
      const asked = keeper.failed(1, full).now
      waits.push(Math.round((keeper.wait() - asked) / 1_000))
    }
    expect(waits).toEqual([5, 10, 20, 40, 60, 60])
    expect(keeper.news.filter((line) => line.startsWith('trouble'))).toEqual(['trouble /memory/1'])
  })

  it('makes room for a spare', () => {
    const keeper = new Keeper(1).add(1, 2, 3)
    expect(keeper.news).toEqual(['connect /memory/1'])
    expect(keeper.connected(1).failed(1, full).news).toEqual(['reserve /memory/1', 'trouble /memory/1', 'connect /memory/2'])
    keeper.connected(2).reserved(2)
    void keeper.news
    // The first one's wait is over, but one is all that is wanted.
    keeper.wait()
    expect(keeper.news).toEqual([])
    expect(keeper.relay(1).state).toEqual({ t: 'idle' })
    expect(keeper.disconnected(2).news).toEqual(['lost /memory/2', 'connect /memory/1'])
  })
})

describe('several relays', () => {
  it('are held side by side, as many as are wanted', () => {
    const keeper = new Keeper(2).add(1, 2, 3)
    expect(keeper.news).toEqual(['connect /memory/1', 'connect /memory/2'])
    keeper.connected(1).reserved(1).connected(2).reserved(2)
    expect(keeper.disconnected(1).news.slice(-2)).toEqual(['lost /memory/1', 'connect /memory/3'])
  })

  it('that turn out to be one are one', () => {
    const keeper = new Keeper().add(1, 2).connected(1, 'R').connected(2, 'R')
    expect(keeper.machine.relays.map(({ peer, addresses }) => [peer, addresses.map(({ text }) => text)])).toEqual([
      ['R', ['/memory/1', '/memory/2']],
    ])
    expect(keeper.news).toEqual(['connect /memory/1', 'connect /memory/2', 'reserve /memory/1'])
    keeper.reserved(1)
    expect(keeper.news).toEqual(['reserved /memory/1'])
  })

  it('that are given twice count once; more than the bound are not taken', () => {
    const keeper = new Keeper().add(1, 1, 1)
    keeper.handle({ t: 'add', addresses: [at(5)], peer: 'P' }).handle({ t: 'add', addresses: [at(6)], peer: 'P' })
    expect(keeper.machine.relays.length).toBe(2)
    keeper.add(...Array.from({ length: 50 }, (_, i) => 100 + i))
    expect(keeper.machine.relays.length).toBe(RELAY_MAX_WANTED)
  })

  it('can be given up, in every state; answers that come late are nobody’s', () => {
    const keeper = new Keeper().add(1).connected(1).reserved(1)
    const relay = keeper.relay(1)
    void keeper.news
    expect(keeper.handle({ t: 'remove', relay }).news).toEqual(['lost /memory/1'])
    keeper
      .handle({ t: 'reserved', relay, ttl: HOUR })
      .handle({ t: 'failed', relay, fault: down })
      .handle({ t: 'disconnected', relay, fault: down })
    expect(keeper.news).toEqual([])
    expect(keeper.machine.deadline).toBeUndefined()
  })
})

describe('any order of events', () => {
  it('leaves every relay with something to wait for, and never two requests under way', () => {
    property(60, (random) => {
      const keeper = new Keeper(1 + random.below(3), () => random.below(1_000) / 1_000)
      for (let step = 0; step < 200; step++) {
        const { relays } = keeper.machine
        const relay = relays[random.below(relays.length)]
        const choice = random.below(10)
        if (relay === undefined || choice === 0) keeper.add(random.below(6))
        else if (choice === 1) keeper.handle({ t: 'connected', relay, peer: `peer${random.below(4)}` })
        else if (choice === 2) keeper.handle({ t: 'reserved', relay, ttl: random.below(HOUR) })
        else if (choice === 3) keeper.handle({ t: 'failed', relay, fault: random.below(2) === 0 ? down : full })
        else if (choice === 4) keeper.handle({ t: 'disconnected', relay, fault: undefined })
        else if (choice === 5) keeper.handle({ t: 'moved', relay })
        else if (choice === 6) keeper.handle({ t: 'met', peer: `peer${random.below(4)}` })
        else if (choice === 7) keeper.handle({ t: 'online' })
        else if (choice === 8 && random.below(5) === 0) keeper.handle({ t: 'remove', relay })
        else if (keeper.machine.deadline !== undefined) keeper.wait()
        for (const { state } of keeper.machine.relays) {
          if (state.t === 'backing off') expect(state.until - keeper.now).toBeLessThanOrEqual(RELAY_RETRY_MAX)
        }
        // After its deadline was served, the machine never wants the clock for what is past: it would spin.
        keeper.handle({ t: 'time' })
        expect(keeper.machine.deadline ?? keeper.now + 1).toBeGreaterThan(keeper.now)
      }
      const peers = keeper.machine.relays.flatMap(({ peer, state }) => (peer === undefined || state.t === 'connecting' ? [] : [peer]))
      expect(new Set(peers).size).toBe(peers.length)
    })
  })
})
