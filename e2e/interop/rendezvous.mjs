// Rendezvous with rust-libp2p, the only other implementation that is kept up: its clients at our relay, our client at its server. Both sides have
// to read each other's signed records, cookies and refusals.

import { startRendezvousPeer } from '../../scripts/rendezvous-peer.mjs'
import { spawnRustPeer } from '../peers/rust/client.mjs'
import { expect, failure } from './trial.mjs'
import { until } from './waiting.mjs'

const HEARD_TIMEOUT = 10_000

/** @typedef {{ stop: () => Promise<unknown> }} Running */

/**
 * Runs with peers that are stopped afterwards, whatever happens.
 *
 * @template T
 * @param {(add: <P extends Running>(starting: Promise<P>) => Promise<P>) => Promise<T>} run
 * @returns {Promise<T>}
 */
const withPeers = async (run) => {
  /** @type {Running[]} */
  const running = []
  try {
    return await run(async (starting) => {
      const peer = await starting
      running.push(peer)
      return peer
    })
  } finally {
    await Promise.all(running.map((peer) => peer.stop()))
  }
}

const idsOf = (/** @type {{ peerId: string }[]} */ registrations) => registrations.map(({ peerId }) => peerId).sort()

/** @type {import('./trial.mjs').Case[]} */
export const rendezvous = [
  {
    name: 'rust: found by rust, at our relay',
    run: (scene) =>
      withPeers(async (add) => {
        const relay = await scene.relay()
        const [alice, bob] = [await add(spawnRustPeer()), await add(spawnRustPeer())]
        for (const peer of [alice, bob]) await peer.dial(relay.address)
        const started = performance.now()
        expect((await alice.register(relay.peerId, 'chess')).ttl === 7200, 'the ttl that nobody named should be two hours')
        expect((await alice.register(relay.peerId, 'go', 120)).ttl === 120, 'the ttl should be the one that was asked for')
        const first = await bob.discover(relay.peerId, { namespace: 'chess' })
        const ms = performance.now() - started
        expect(idsOf(first.registrations).join() === alice.peerId, 'one should be found', first.registrations)
        const [found] = first.registrations
        expect(
          found?.addresses.some((address) => alice.addresses[0]?.startsWith(address)),
          'its address should be as it signed it',
          found,
        )
        // Cookies: what was told is not told again, in another namespace they are refused, and they survive being read by rust.
        await bob.register(relay.peerId, 'chess')
        const next = await bob.discover(relay.peerId, { namespace: 'chess', cookie: first.cookie })
        expect(idsOf(next.registrations).join() === bob.peerId, 'only the new one should be told', next.registrations)
        const wrong = await failure('another cookie', bob.discover(relay.peerId, { namespace: 'go', cookie: first.cookie }))
        expect(wrong.message.includes('InvalidCookie'), 'the cookie should be refused', wrong.message)
        const all = await bob.discover(relay.peerId)
        expect(all.registrations.length === 3, 'all namespaces should have three', all.registrations)
        const again = await bob.discover(relay.peerId, { cookie: all.cookie })
        expect(again.registrations.length === 0, 'nothing should be new', again.registrations)
        const pages = await bob.discover(relay.peerId, { limit: 2 })
        const rest = await bob.discover(relay.peerId, { limit: 2, cookie: pages.cookie })
        expect(pages.registrations.length === 2 && rest.registrations.length === 1, 'there should be two pages', [pages, rest])
        const short = await failure('a ttl of a second', alice.register(relay.peerId, 'chess', 1))
        expect(short.message.includes('InvalidTtl'), 'the ttl should be refused', short.message)
        await alice.unregister(relay.peerId, 'chess')
        await until(
          HEARD_TIMEOUT,
          () => 'it is still registered',
          async () => (await bob.discover(relay.peerId, { namespace: 'chess' })).registrations.length === 1 || undefined,
        )
        return { note: `registered twice and found in ${ms.toFixed(0)} ms` }
      }),
  },
  {
    name: 'our node: found by rust at our relay, and the other way',
    run: (scene) =>
      withPeers(async (add) => {
        const relay = await scene.relay()
        const [rust, ours] = [await add(spawnRustPeer()), await add(startRendezvousPeer())]
        await rust.dial(relay.address)
        const connect = await ours.dial(relay.address)
        await ours.register(relay.peerId, 'chess', 120)
        await rust.register(relay.peerId, 'chess')
        const { registrations } = await rust.discover(relay.peerId, { namespace: 'chess' })
        expect(idsOf(registrations).join() === [rust.peerId, ours.peerId].sort().join(), 'rust should find both', registrations)
        const { peers } = await ours.discover(relay.peerId, 'chess')
        expect(peers.map(({ peer }) => peer).join() === rust.peerId, 'ours should find the other', peers)
        await ours.dial(rust.peerId)
        return { connect }
      }),
  },
  {
    name: 'our node: registered at rust, found by rust and ours',
    run: () =>
      withPeers(async (add) => {
        const [point, rust] = [await add(spawnRustPeer({ minTtl: 60 })), await add(spawnRustPeer())]
        const [alice, bob] = [await add(startRendezvousPeer()), await add(startRendezvousPeer())]
        const [address = ''] = point.addresses
        await rust.dial(address)
        await bob.dial(address)
        const connect = await alice.dial(address)
        expect((await alice.register(point.peerId, 'chess', 120)) === 120, 'the ttl should be the one that was asked for')
        const { registrations } = await rust.discover(point.peerId, { namespace: 'chess' })
        expect(idsOf(registrations).join() === alice.peerId, 'rust should find it', registrations)
        const first = await bob.discover(point.peerId, 'chess')
        expect(first.peers.map(({ peer }) => peer).join() === alice.peerId, 'ours should find it', first)
        expect(bob.certified(alice.peerId).join() === alice.address, 'its address should be certified', bob.certified(alice.peerId))
        await bob.dial(alice.peerId)
        await rust.register(point.peerId, 'chess')
        const { cookie } = first
        const next = await bob.discover(point.peerId, 'chess', cookie === undefined ? {} : { cookie })
        expect(next.peers.map(({ peer }) => peer).join() === rust.peerId, 'only the new one should be told', next)
        // Of another namespace: dropped, and asked again without it.
        const other = await bob.discover(point.peerId, 'go', cookie === undefined ? {} : { cookie })
        expect(other.peers.length === 0, 'nobody should be there', other)
        const pages = await bob.discover(point.peerId, undefined, { limit: 1 })
        expect(pages.told === 1 && pages.cookie !== undefined, 'there should be one on a page', pages)
        alice.client.unregister(point.peerId, 'chess')
        await until(
          HEARD_TIMEOUT,
          () => 'rust has not heard that it is gone',
          async () => (await point.served()).some(({ unregistered }) => unregistered === alice.peerId) || undefined,
        )
        return { connect }
      }),
  },
  {
    name: 'our node: a ttl that is too short for rust',
    run: () =>
      withPeers(async (add) => {
        const [point, ours] = [await add(spawnRustPeer({ listen: ['ws'] })), await add(startRendezvousPeer())]
        const connect = await ours.dial(/** @type {string} */ (point.addresses[0]))
        expect((await ours.register(point.peerId, 'chess', 120)) === 7200, 'it should be two hours')
        const heard = await point.served()
        expect(
          heard.map(({ error, registered }) => error ?? registered?.ttl).join() === 'InvalidTtl,7200',
          'rust should refuse once',
          heard,
        )
        return { connect }
      }),
  },
  {
    name: 'our node: as a server for rust',
    run: () =>
      withPeers(async (add) => {
        const [point, rust] = [await add(startRendezvousPeer({ server: true })), await add(spawnRustPeer())]
        await rust.dial(point.address)
        await rust.register(point.peerId, 'chess')
        const { registrations } = await rust.discover(point.peerId, { namespace: 'chess', limit: 10 })
        expect(idsOf(registrations).join() === rust.peerId, 'it should find itself', registrations)
        return {}
      }),
  },
]
