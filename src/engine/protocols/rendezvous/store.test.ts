import { describe, expect, it } from 'vitest'
import { RENDEZVOUS_MAX_ANSWER, RENDEZVOUS_MAX_FOUND, RENDEZVOUS_MAX_RECORD } from '../../limits.ts'
import { property } from '../../testing/property.ts'
import { type SignedRecord, Store, type StoreLimits } from './store.ts'

const HOUR = 3_600_000
const origin = Uint8Array.of(7, 7, 7)
const signed = (seq: number, size = 1): SignedRecord => ({ seq: BigInt(seq), envelope: new Uint8Array(size).fill(seq) })

/** A store, in short: peers are letters, each a party of its own unless told otherwise. */
const storeOf = (limits: Partial<StoreLimits> = {}) => {
  const store = new Store(origin, limits)
  const register = (peer: string, namespace: string, { ttl = 2 * HOUR, now = 0, party = peer, seq = 1 } = {}): boolean =>
    store.register(peer, party, namespace, signed(seq), ttl, now)
  /** What is found, as `namespace:seq`. */
  const look = (namespace: string | undefined, { limit = 100, cookie = undefined as Uint8Array | undefined, now = 0 } = {}) => {
    const answer = store.discover(namespace, limit, cookie, now)
    return { found: answer?.found.map((each) => `${each.namespace}:${each.record[0]}`), cookie: answer?.cookie }
  }
  return { store, register, look }
}

describe('a store', () => {
  it('tells who is registered in a namespace, or in any, those who came first first', () => {
    const { register, look } = storeOf()
    register('a', 'chess', { seq: 1 })
    register('b', 'chess', { seq: 2 })
    register('c', 'go', { seq: 3 })
    expect(look('chess').found).toEqual(['chess:1', 'chess:2'])
    expect(look(undefined).found).toEqual(['chess:1', 'chess:2', 'go:3'])
    expect(look('nobody').found).toEqual([])
  })

  it('tells each once to who brings its cookie', () => {
    const { register, look } = storeOf()
    register('a', 'chess', { seq: 1 })
    const first = look('chess')
    expect(look('chess', { cookie: first.cookie as Uint8Array }).found).toEqual([])
    register('b', 'chess', { seq: 2 })
    register('b', 'go', { seq: 2 })
    const second = look('chess', { cookie: first.cookie as Uint8Array })
    expect(second.found).toEqual(['chess:2'])
    expect(look('chess', { cookie: second.cookie as Uint8Array }).found).toEqual([])
    // A cookie is good for more than once.
    expect(look('chess', { cookie: first.cookie as Uint8Array }).found).toEqual(['chess:2'])
  })

  it('tells a page at a time', () => {
    const { register, look } = storeOf()
    for (let n = 1; n <= 5; n++) register(`p${n}`, 'chess', { seq: n })
    const pages: string[][] = []
    let cookie: Uint8Array | undefined
    for (let page = 0; page < 4; page++) {
      const answer = look('chess', { limit: 2, cookie })
      cookie = answer.cookie
      pages.push(answer.found as string[])
    }
    expect(pages).toEqual([['chess:1', 'chess:2'], ['chess:3', 'chess:4'], ['chess:5'], []])
    expect(look('chess', { limit: 0 }).found).toEqual([])
  })

  it('tells no more at once than an answer may hold', () => {
    const { store } = storeOf()
    for (let n = 0; n < 300; n++) store.register(`p${n}`, `p${n}`, 'chess', signed(1, RENDEZVOUS_MAX_RECORD), HOUR, 0)
    const bytes = (found: readonly { record: Uint8Array }[]): number => found.reduce((sum, { record }) => sum + record.length, 0)
    const first = store.discover('chess', 1_000, undefined, 0)
    expect(bytes(first?.found ?? [])).toBeLessThanOrEqual(RENDEZVOUS_MAX_ANSWER)
    let told = 0
    for (let cookie: Uint8Array | undefined, found = 1; found > 0; told += found) {
      const answer = store.discover('chess', 1_000, cookie, 0)
      cookie = answer?.cookie
      found = answer?.found.length ?? 0
    }
    expect(told).toBe(300)
    for (let n = 0; n < 2_000; n++) store.register(`q${n}`, `q${n}`, 'go', signed(1), HOUR, 0)
    expect(store.discover('go', Number.MAX_VALUE, undefined, 0)?.found.length).toBe(RENDEZVOUS_MAX_FOUND)
  })

  it('renews: with a new time, which is told again', () => {
    const { store, register, look } = storeOf()
    register('a', 'chess', { ttl: HOUR })
    const { cookie } = look('chess')
    register('a', 'chess', { ttl: HOUR, now: HOUR / 2 })
    expect(store.size).toBe(1)
    expect(look('chess', { cookie: cookie as Uint8Array, now: HOUR / 2 }).found).toEqual(['chess:1'])
    expect(look('chess', { now: HOUR }).found).toEqual(['chess:1'])
    expect(look('chess', { now: 1.5 * HOUR }).found).toEqual([])
  })

  it('tells how many seconds are left', () => {
    const { store, register } = storeOf()
    register('a', 'chess', { ttl: HOUR })
    expect(store.discover('chess', 1, undefined, HOUR - 1_500)?.found[0]?.ttl).toBe(2)
    expect(store.discover('chess', 1, undefined, HOUR - 1)?.found[0]?.ttl).toBe(1)
  })

  it('takes the newest record of a peer for all its namespaces, and an older one for none', () => {
    const { register, look } = storeOf()
    register('a', 'chess', { seq: 5 })
    register('a', 'go', { seq: 7 })
    expect(look(undefined).found).toEqual(['chess:7', 'go:7'])
    expect(register('a', 'go', { seq: 6 })).toBe(true)
    expect(look(undefined).found).toEqual(['chess:7', 'go:7'])
  })

  it('forgets who unregisters, there and not elsewhere, and takes no notice of who is not there', () => {
    const { store, register, look } = storeOf()
    register('a', 'chess')
    register('a', 'go')
    register('b', 'chess')
    expect(store.unregister('a', 'chess')).toBe(true)
    expect(store.unregister('a', 'chess')).toBe(false)
    expect(store.unregister('nobody', 'chess')).toBe(false)
    expect(look(undefined).found).toEqual(['go:1', 'chess:1'])
    store.unregister('a', 'go')
    store.unregister('b', 'chess')
    expect([store.size, store.peers, store.namespaces, store.deadline]).toEqual([0, 0, 0, undefined])
  })

  it('has one deadline: the end of what ends first', () => {
    const { store, register } = storeOf()
    expect(store.deadline).toBeUndefined()
    register('a', 'chess', { ttl: 3 * HOUR })
    register('b', 'chess', { ttl: HOUR })
    register('c', 'chess', { ttl: 2 * HOUR })
    expect(store.deadline).toBe(HOUR)
    store.expire(HOUR - 1)
    expect(store.size).toBe(3)
    store.expire(HOUR)
    expect([store.size, store.deadline]).toEqual([2, 2 * HOUR])
    register('c', 'chess', { ttl: 9 * HOUR, now: HOUR })
    expect(store.deadline).toBe(3 * HOUR)
  })

  it('refuses a cookie of another namespace, and goes by none of another server', () => {
    const { register, look } = storeOf()
    register('a', 'chess')
    const mine = look('chess').cookie as Uint8Array
    expect(look('go', { cookie: mine }).found).toBeUndefined()
    expect(look(undefined, { cookie: mine }).found).toBeUndefined()
    const other = new Store(Uint8Array.of(1, 1, 1))
    other.register('x', 'x', 'chess', signed(1), HOUR, 0)
    const foreign = other.discover('chess', 10, undefined, 0)?.cookie as Uint8Array
    expect(look('chess', { cookie: foreign }).found).toEqual(['chess:1'])
    // One that is forged to lie ahead is led back to the present.
    const forged = Uint8Array.from(mine).fill(0xff, 3, 8)
    expect(look('chess', { cookie: forged }).found).toEqual([])
    register('b', 'chess', { seq: 2 })
    expect(look('chess', { cookie: look('chess', { cookie: forged }).cookie as Uint8Array }).found).toEqual([])
  })
})

describe('a full store', () => {
  it('has room for so many of one peer', () => {
    const { store, register } = storeOf({ maxPerPeer: 2 })
    expect([register('a', '1'), register('a', '2'), register('a', '3')]).toEqual([true, true, false])
    expect(register('a', '2')).toBe(true)
    store.unregister('a', '1')
    expect(register('a', '3')).toBe(true)
  })

  it('has the peer with the most give up what it registered least lately', () => {
    const { register, look } = storeOf({ maxRegistrations: 4 })
    for (const namespace of ['1', '2', '3', '4']) register('greedy', namespace)
    register('greedy', '1')
    expect([register('b', 'chess'), register('c', 'chess')]).toEqual([true, true])
    expect(look(undefined).found).toEqual(['4:1', '1:1', 'chess:1', 'chess:1'])
    // Now nobody has more than it would have.
    expect(register('d', 'chess')).toBe(true)
    expect(register('e', 'chess')).toBe(false)
    expect(register('b', 'go')).toBe(false)
  })

  it('is not taken by one party with many names', () => {
    const { store, register, look } = storeOf({ maxRegistrations: 100 })
    for (let n = 0; n < 1_000; n++) register(`sybil${n}`, 'chess', { party: '192.0.2.1' })
    expect(store.size).toBe(100)
    for (let n = 0; n < 40; n++) expect(register(`honest${n}`, 'go', { party: `net${n % 20}` })).toBe(true)
    expect(look('go').found?.length).toBe(40)
    for (let n = 0; n < 1_000; n++) register(`more${n}`, 'chess', { party: '192.0.2.1' })
    expect([look('go').found?.length, store.size]).toEqual([40, 100])
  })

  // It takes about a second; if each looked through the store, it would take minutes.
  it('takes a million registrations of a million peers in bounded memory and time', () => {
    const { store } = storeOf({ maxRegistrations: 10_000 })
    const record = signed(1)
    let taken = 0
    for (let n = 0; n < 1_000_000; n++) {
      if (store.register(`p${n}`, `net${n % 100}`, `ns${n % 5_000}`, record, HOUR, 0)) taken += 1
    }
    expect([store.size, store.peers, store.namespaces]).toEqual([10_000, 10_000, 5_000])
    expect(taken).toBe(10_000)
    // Renewing for ever grows nothing either.
    for (let n = 0; n < 200_000; n++) store.register(`p${n % 100}`, 'net', 'ns0', record, HOUR + n, n)
    expect(store.size).toBeLessThanOrEqual(10_000)
    store.expire(10 * HOUR)
    expect([store.size, store.peers, store.namespaces]).toEqual([0, 0, 0])
  })
})

describe('a store and a plain list', () => {
  it('say the same of any history', () => {
    property(150, (random) => {
      const store = new Store(origin, { maxRegistrations: 1_000, maxPerPeer: 6 })
      let plain: { peer: string; namespace: string; until: number; serial: number }[] = []
      let now = 0
      let serial = 0
      const cookies = new Map<string, { cookie: Uint8Array | undefined; serial: number }>()
      for (let step = 0; step < 300; step++) {
        now += random.below(50)
        plain = plain.filter(({ until }) => until > now)
        const peer = `p${random.below(12)}`
        const namespace = `n${random.below(8)}`
        const kind = random.below(4)
        if (kind <= 1) {
          const ttl = 1 + random.below(2_000)
          const own = plain.filter((each) => each.peer === peer)
          const room = own.length < 6 || own.some((each) => each.namespace === namespace)
          expect(store.register(peer, peer, namespace, signed(1), ttl, now)).toBe(room)
          if (!room) continue
          plain = plain.filter((each) => each.peer !== peer || each.namespace !== namespace)
          plain.push({ peer, namespace, until: now + ttl, serial: ++serial })
        } else if (kind === 2) {
          store.expire(now)
          const there = plain.some((each) => each.peer === peer && each.namespace === namespace)
          expect(store.unregister(peer, namespace)).toBe(there)
          plain = plain.filter((each) => each.peer !== peer || each.namespace !== namespace)
        } else {
          const wanted = random.below(3) === 0 ? undefined : namespace
          const known = cookies.get(wanted ?? '') ?? { cookie: undefined, serial: 0 }
          const limit = 1 + random.below(20)
          const answer = store.discover(wanted, limit, known.cookie, now)
          const due = plain.filter((each) => each.serial > known.serial && (wanted ?? each.namespace) === each.namespace)
          expect(answer?.found.map((each) => each.namespace)).toEqual(due.slice(0, limit).map((each) => each.namespace))
          cookies.set(wanted ?? '', { cookie: answer?.cookie, serial: due.length > limit ? (due[limit - 1]?.serial as number) : serial })
        }
        const ends = plain.map(({ until }) => until)
        store.expire(now)
        expect([store.size, store.deadline]).toEqual([plain.length, ends.length === 0 ? undefined : Math.min(...ends)])
      }
    })
  })
})
