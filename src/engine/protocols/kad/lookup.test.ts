import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { KAD_ALPHA, KAD_K, KAD_LOOKUP_TIMEOUT, KAD_REQUEST_TIMEOUT, KAD_SLOW } from '../../limits.ts'
import { byDistance, peerKeys, peerOf, someContact } from '../../testing/kad/peers.ts'
import { type Prng, prng } from '../../testing/prng.ts'
import { property } from '../../testing/property.ts'
import { type Key, keyOf } from './keys.ts'
import { Lookup, type LookupOptions, type LookupOutput } from './lookup.ts'
import type { KadPeer } from './messages.ts'
import type { Contact } from './table.ts'

const me = someContact(prng(99))

/** A lookup that a test plays the network for. */
class Play {
  now = 0
  readonly lookup: Lookup
  readonly asked: string[] = []
  readonly abandoned: string[] = []
  readonly near: string[] = []
  done: (LookupOutput & { t: 'done' }) | undefined

  constructor(target: Key, seeds: readonly Contact[], options: Partial<LookupOptions> = {}) {
    const given = byDistance(target, seeds)
    this.lookup = new Lookup({ target, self: me.peer, seeds: given, keyOf: peerKeys.of, admit: (all) => all, ...options }, 0)
  }

  /** Whom it asks now. */
  poll(): string[] {
    const asked: string[] = []
    for (let output = this.lookup.poll(); output !== undefined; output = this.lookup.poll()) {
      if (output.t === 'ask') asked.push(output.contact.peer)
      else if (output.t === 'abandon') this.abandoned.push(output.peer)
      else if (output.t === 'near') this.near.push(output.contact.peer)
      else this.done = output
    }
    this.asked.push(...asked)
    return asked
  }

  answer(peer: string, closer: readonly KadPeer[] = []): string[] {
    this.lookup.handle({ t: 'answered', peer, closer }, this.now)
    return this.poll()
  }

  fail(peer: string): string[] {
    this.lookup.handle({ t: 'failed', peer }, this.now)
    return this.poll()
  }

  after(ms: number): string[] {
    this.now += ms
    this.lookup.handle({ t: 'time' }, this.now)
    return this.poll()
  }

  /** Lets everybody answer as `answers` says, or fail; time passes only where nobody does. */
  run(answers: (peer: string) => readonly KadPeer[] | 'fails' | 'silent', mayTake = 1_000): this {
    const open = this.poll()
    while (this.done === undefined && mayTake-- > 0) {
      const peer = open.shift()
      if (peer === undefined) {
        this.now = this.lookup.deadline
        open.push(...this.after(0))
        continue
      }
      const answer = answers(peer)
      if (answer !== 'silent') open.push(...(answer === 'fails' ? this.fail(peer) : this.answer(peer, answer)))
    }
    return this
  }

  get closest(): readonly string[] {
    return this.done?.closest.map(({ peer }) => peer) ?? []
  }
}

/** A network in which everybody knows some 40 others by chance and his own neighbours, and so a way to anybody. */
const network = (random: Prng, size: number) => {
  const all = Array.from({ length: size }, () => someContact(random))
  const byPeer = new Map(all.map((contact) => [contact.peer, contact]))
  const knows = new Map(
    all.map((contact) => {
      const near = byDistance(contact.key, all).slice(1, 41)
      const far = Array.from({ length: 40 }, () => all[random.below(size)] as Contact).filter((each) => each !== contact)
      return [contact.peer, [...new Set([...near, ...far])]]
    }),
  )
  const answer = (target: Key, peer: string): KadPeer[] =>
    byDistance(target, knows.get(peer) ?? [])
      .slice(0, KAD_K)
      .map(peerOf)
  return { all, byPeer, answer }
}

const target = keyOf(Uint8Array.of(1, 2, 3))

describe('a lookup', () => {
  it('asks alpha at a time, the nearest first, and ends when the k nearest have answered', () => {
    const random = prng(1)
    const seeds = byDistance(
      target,
      Array.from({ length: KAD_K }, () => someContact(random)),
    )
    const play = new Play(target, seeds)
    expect(play.poll()).toEqual(seeds.slice(0, KAD_ALPHA).map(({ peer }) => peer))
    for (const { peer } of seeds.slice(0, KAD_K - 1)) play.answer(peer)
    expect(play.done).toBeUndefined()
    play.answer((seeds.at(-1) as Contact).peer)
    expect([play.done?.ending, play.closest]).toEqual(['converged', seeds.map(({ peer }) => peer)])
    expect(play.lookup.deadline).toBe(Number.POSITIVE_INFINITY)
  })

  it('tells the nearest as soon as nobody nearer is waited for, and who is heard of late when it has answered', () => {
    const random = prng(17)
    const [a, b, c, d] = byDistance(
      target,
      Array.from({ length: 4 }, () => someContact(random)),
    ) as [Contact, Contact, Contact, Contact]
    const play = new Play(target, [b, c, d])
    const told = (): string[] => play.near.splice(0)
    play.poll()
    play.answer(d.peer)
    expect(told()).toEqual([])
    play.answer(b.peer)
    expect(told()).toEqual([b.peer])
    // Nearer than b, of which only the last one knows.
    play.answer(c.peer, [peerOf(a)])
    expect(told()).toEqual([])
    play.answer(a.peer)
    expect([told(), play.closest]).toEqual([
      [a.peer, c.peer, d.peer],
      [a.peer, b.peer, c.peer, d.peer],
    ])
  })

  it('does not keep those who have answered back for one who fails, or is slow', () => {
    const random = prng(18)
    const [a, b, c] = byDistance(
      target,
      Array.from({ length: 3 }, () => someContact(random)),
    ) as [Contact, Contact, Contact]
    const play = new Play(target, [a, b, c])
    play.poll()
    play.answer(c.peer)
    play.fail(b.peer)
    expect(play.near).toEqual([])
    play.after(KAD_SLOW)
    expect(play.near).toEqual([c.peer])
    play.answer(a.peer)
    expect([play.near, play.closest]).toEqual([
      [c.peer, a.peer],
      [a.peer, c.peer],
    ])
  })

  it('in a network at rest tells the k nearest and nobody else, in order, the first of them long before its end', () => {
    property(4, (random) => {
      const { all, answer } = network(random, 400)
      const wanted = keyOf(random.bytes(32))
      let askedAtFirst = 0
      const play = new Play(wanted, byDistance(random.bytes(32), all).slice(0, KAD_K), { paths: 3 })
      play.run((peer) => {
        if (play.near.length === 0) askedAtFirst = play.asked.length
        return answer(wanted, peer)
      })
      expect(play.near).toEqual(play.closest)
      expect(play.near).toEqual(
        byDistance(wanted, all)
          .slice(0, KAD_K)
          .map(({ peer }) => peer),
      )
      expect(askedAtFirst).toBeLessThan(play.lookup.asked / 2)
    })
  })

  it('finds the k nearest of a whole network, whoever it begins with, and asks few others', () => {
    property(4, (random) => {
      const { all, answer } = network(random, 400)
      const wanted = keyOf(random.bytes(32))
      const seeds = Array.from({ length: 5 }, () => all[random.below(all.length)] as Contact)
      const play = new Play(wanted, [...new Set(seeds)]).run((peer) => answer(wanted, peer))
      const nearest = byDistance(wanted, all).slice(0, KAD_K)
      expect(play.closest).toEqual(nearest.map(({ peer }) => peer))
      expect(play.lookup.asked).toBeLessThan(3 * KAD_K)
    })
  })

  it('finds the k nearest that are there where every fifth is gone', () => {
    property(4, (random) => {
      const { all, answer } = network(random, 400)
      const gone = new Set(all.filter(() => random.below(5) === 0).map(({ peer }) => peer))
      const play = new Play(target, all.slice(0, 20)).run((peer) =>
        gone.has(peer) ? (random.below(2) === 0 ? 'fails' : 'silent') : answer(target, peer),
      )
      const there = byDistance(target, all).filter(({ peer }) => !gone.has(peer))
      // Whom only those name who name twenty nearer ones, gone or not, may be missed.
      expect(play.closest.slice(0, 15)).toEqual(there.slice(0, 15).map(({ peer }) => peer))
      expect(play.closest.length).toBe(KAD_K)
    })
  })

  it('in a network of fewer than k asks them all', () => {
    const random = prng(3)
    const [a, b, c] = [someContact(random), someContact(random), someContact(random)]
    const play = new Play(target, [a]).run((peer) => (peer === a.peer ? [peerOf(b), peerOf(c)] : []))
    expect([play.done?.ending, [...play.closest].sort()]).toEqual(['exhausted', [a.peer, b.peer, c.peer].sort()])
  })

  it('of nobody ends at once', () => {
    const play = new Play(target, []).run(() => [])
    expect([play.done?.ending, play.closest]).toEqual(['exhausted', []])
  })

  it('asks nobody twice, not itself, not whoever answers, and nobody who can not be dialled', () => {
    const random = prng(4)
    const [a, b] = [someContact(random), someContact(random)]
    const far = { id: someContact(random).peer, addresses: [] }
    const play = new Play(target, [a]).run((peer) => (peer === a.peer ? [peerOf(me), peerOf(a), peerOf(b), peerOf(b), far] : [peerOf(a)]))
    expect(play.asked).toEqual([a.peer, b.peer])
  })

  it('passes over who has not answered for KAD_SLOW, hears him yet, and gives him up after KAD_REQUEST_TIMEOUT', () => {
    const random = prng(5)
    const seeds = byDistance(
      target,
      Array.from({ length: 15 }, () => someContact(random)),
    )
    const play = new Play(target, seeds)
    expect(play.poll().length).toBe(KAD_ALPHA)
    expect(play.lookup.deadline).toBe(KAD_SLOW)
    // Five more in the place of ten who are slow.
    expect(play.after(KAD_SLOW).length).toBe(5)
    play.now += 1_000
    const [first, second] = seeds as [Contact, Contact]
    play.answer(first.peer)
    play.after(KAD_REQUEST_TIMEOUT - KAD_SLOW - 1_000)
    expect(play.abandoned).toEqual(seeds.slice(1, KAD_ALPHA).map(({ peer }) => peer))
    // Too late.
    play.answer(second.peer)
    play.after(KAD_SLOW)
    expect([play.done?.ending, play.closest]).toEqual(['exhausted', [first.peer]])
  })

  it('does not wait for the slow where k others have answered', () => {
    const random = prng(6)
    const seeds = byDistance(
      target,
      Array.from({ length: KAD_K }, () => someContact(random)),
    )
    const more = Array.from({ length: 5 }, () => someContact(random))
    const silent = new Set(seeds.slice(0, 3).map(({ peer }) => peer))
    const play = new Play(target, seeds).run((peer) => (silent.has(peer) ? 'silent' : more.map(peerOf)))
    expect([play.done?.ending, play.now, play.closest.length]).toEqual(['converged', KAD_SLOW, KAD_K])
    expect([...play.abandoned].sort()).toEqual([...silent].sort())
  })

  it('ends with what it has after its time, and whenever it is told to; then nothing more is asked', () => {
    const random = prng(7)
    const seeds = Array.from({ length: KAD_K }, () => someContact(random))
    const late = new Play(target, seeds, { requestTimeout: 2 * KAD_LOOKUP_TIMEOUT, slow: 2 * KAD_LOOKUP_TIMEOUT })
    const [first] = late.poll() as [string]
    late.answer(first)
    late.after(KAD_LOOKUP_TIMEOUT)
    expect([late.done?.ending, late.closest, late.abandoned.length]).toEqual(['timeout', [first], KAD_ALPHA])
    const told = new Play(target, seeds)
    told.poll()
    told.lookup.handle({ t: 'stop' }, 5)
    expect(told.poll()).toEqual([])
    expect([told.done?.ending, told.abandoned.length]).toEqual(['stopped', KAD_ALPHA])
    expect([told.answer(first, seeds.map(peerOf)), told.after(1e6)]).toEqual([[], []])
  })
})

describe('on several paths a lookup', () => {
  it('asks nobody on two of them, and finds the same', () => {
    property(3, (random) => {
      const { all, answer } = network(random, 400)
      for (const paths of [2, 3, 5]) {
        const play = new Play(target, all.slice(0, 20), { paths }).run((peer) => answer(target, peer))
        expect(new Set(play.asked).size).toBe(play.asked.length)
        expect(play.closest).toEqual(
          byDistance(target, all)
            .slice(0, KAD_K)
            .map(({ peer }) => peer),
        )
        expect(play.asked.length).toBeLessThan((paths + 1) * 2 * KAD_K)
      }
    })
  })

  it('gets past liars who name only each other, nearer than all others: on one path they are all it sees', () => {
    const random = prng(11)
    const { all, byPeer, answer } = network(random, 400)
    const nearest = byDistance(target, all)
    // Sybils: their keys begin as the target does.
    const sybils = Array.from({ length: KAD_K }, (_, at) => {
      const contact = someContact(random)
      return { ...contact, key: Uint8Array.of(...target.subarray(0, 8), at, ...contact.key.subarray(9)) }
    })
    const keyed = new Map(sybils.map(({ peer, key }) => [peer, key]))
    const options = { keyOf: (peer: string): Key => keyed.get(peer) ?? peerKeys.of(peer) }
    const liar = nearest[300] as Contact
    const seeds = [liar, ...nearest.slice(380, 390)]
    const honest = (paths: number): number => {
      // Liars are quick: all of them have answered before the others have.
      const play = new Play(target, seeds, { ...options, paths })
      const isLiar = (peer: string): boolean => keyed.has(peer) || peer === liar.peer
      const open = play.poll()
      while (play.done === undefined && open.length > 0) {
        const quick = open.findIndex(isLiar)
        const [peer] = open.splice(Math.max(0, quick), 1) as [string]
        open.push(...play.answer(peer, isLiar(peer) ? sybils.map(peerOf) : answer(target, peer)))
      }
      const holders = new Set(nearest.slice(0, KAD_K).map(({ peer }) => peer))
      return play.asked.filter((peer) => byPeer.has(peer) && holders.has(peer)).length
    }
    expect(honest(1)).toBeLessThan(KAD_K / 4)
    expect(honest(3)).toBe(KAD_K)
  })
})

describe('a hostile answer', () => {
  const honest = (seed: number) => {
    const random = prng(seed)
    const net = network(random, 300)
    const liar = byDistance(target, net.all)[150] as Contact
    const seeds = [liar, ...net.all.slice(0, 9)].filter((each, at, list) => list.indexOf(each) === at)
    const nearest = byDistance(target, net.all).filter((each) => each !== liar)
    return { ...net, random, liar, seeds, nearest: nearest.slice(0, KAD_K).map(({ peer }) => peer) }
  }

  it('of 10,000 peers who are not there costs the time of some requests, and the lookup succeeds', () => {
    const { random, answer, liar, seeds, nearest } = honest(21)
    const fakes = Array.from({ length: 10_000 }, () => someContact(random))
    const flood = byDistance(target, fakes).map(peerOf)
    const fake = new Set(fakes.map(({ peer }) => peer))
    const play = new Play(target, seeds).run((peer) => (peer === liar.peer ? flood : fake.has(peer) ? 'silent' : answer(target, peer)))
    expect(play.closest).toEqual(nearest)
    expect(play.asked.filter((peer) => fake.has(peer)).length).toBeLessThanOrEqual(KAD_K + 1)
    expect(play.now).toBeLessThanOrEqual(3 * KAD_SLOW + KAD_REQUEST_TIMEOUT)
  })

  it('that names twenty who are silent does not keep the lookup from asking others meanwhile', () => {
    const { random, answer, liar, seeds } = honest(22)
    const near = Array.from({ length: KAD_K }, (_, at) => ({
      ...someContact(random),
      key: Uint8Array.of(...target.subarray(0, 8), at, ...new Uint8Array(23)),
    }))
    const keyed = new Map(near.map(({ peer, key }) => [peer, key]))
    const play = new Play(target, seeds, { keyOf: (peer) => keyed.get(peer) ?? peerKeys.of(peer) })
    const open = play.poll()
    // The liar first: it is quick.
    open.splice(open.indexOf(liar.peer), 1)
    open.push(...play.answer(liar.peer, near.map(peerOf)))
    let answered = 0
    for (let peer = open.shift(); peer !== undefined; peer = open.shift()) {
      if (keyed.has(peer)) continue
      answered += 1
      open.push(...play.answer(peer, answer(target, peer)))
    }
    // Nobody has waited: time stands still.
    expect([play.now, answered >= 20]).toEqual([0, true])
  })

  it('with addresses for other peers only moves the dial: who answers there is not who was named, and is passed over', () => {
    const { random, answer, liar, seeds, nearest } = honest(23)
    const address = parseMultiaddr('/ip4/6.6.6.6/tcp/666')
    const victim = someContact(random)
    const play = new Play(target, seeds).run((peer) =>
      peer === liar.peer ? [{ id: victim.peer, addresses: [address] }] : peer === victim.peer ? 'fails' : answer(target, peer),
    )
    expect(play.closest).toEqual(nearest)
  })

  it('from whom nothing was asked, or twice, changes nothing', () => {
    const random = prng(24)
    const [a, b, c] = [someContact(random), someContact(random), someContact(random)]
    const play = new Play(target, [a])
    play.poll()
    expect(play.answer(b.peer, [peerOf(c)])).toEqual([])
    expect(play.answer(a.peer, [peerOf(b)])).toEqual([b.peer])
    expect(play.answer(a.peer, [peerOf(c)])).toEqual([])
    expect(play.fail(a.peer)).toEqual([])
    play.answer(b.peer)
    expect([play.done?.ending, [...play.closest].sort()]).toEqual(['exhausted', [a.peer, b.peer].sort()])
  })

  it('of ever nearer peers, each naming the next, ends all the same', () => {
    const random = prng(25)
    let made = 0
    const keyed = new Map<string, Key>()
    const next = (): KadPeer[] =>
      Array.from({ length: 21 }, () => {
        const contact = someContact(random)
        made += 1
        const key = target.slice()
        // Each a little nearer than all before.
        const view = new DataView(key.buffer)
        view.setUint32(4, (view.getUint32(4) ^ (0xffff_ffff - made)) >>> 0)
        keyed.set(contact.peer, key)
        return peerOf(contact)
      })
    const play = new Play(target, [someContact(random)], { keyOf: (peer) => keyed.get(peer) ?? peerKeys.of(peer) }).run(next, 5_000)
    expect(play.done).toBeDefined()
    expect(play.asked.length).toBeLessThanOrEqual(500)
  })
})
