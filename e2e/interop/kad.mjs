// Kademlia: one network of go-libp2p's servers, js-libp2p's, our relays and our Node peers, and our pages as its clients. What each of them provides every
// other finds; records of IPNS that one implementation has made go through all; and one that dies in the middle of it is not missed.

import { createHash } from 'node:crypto'
import { expect } from './trial.mjs'
import { until } from './waiting.mjs'

/** Of nobody else: it never meets the public network. */
const PREFIX = '/tabmesh'
const PROTOCOL = `${PREFIX}/kad/1.0.0`
const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'
/** Servers: one process of go with so many and one with one, processes of js and of our relay, our peers in this process. */
const GO_HOSTS = 12
const JS = 2
const RELAYS = 2
const NODES = 4
const SETTLE_TIMEOUT = 40_000
/** What a lookup may take that has lost somebody. */
const LOST_TIMEOUT = 15_000

/**
 * @typedef {import('./lab.mjs').Scene} Scene
 * @typedef {import('./our-dht.mjs').Dht} Dht
 * @typedef {Dht & { name: string, peerId: string }} Member
 * @typedef {{ ipnsRecord: (options: { value: string, sequence: number }) => Promise<{ key: Uint8Array, record: Uint8Array }> }} Maker
 * @typedef {{
 *   members: Member[], pages: Member[], servers: string[], makers: Maker[], victim: Member & { kill: () => Promise<void> },
 * }} Network
 * `members` are in the order of their kinds: go, js, ours, pages.
 */

/** CIDv1, raw, in base32, of some text. @param {string} text */
const cidOf = (text) => {
  const bits = [0x01, 0x55, 0x12, 0x20, ...createHash('sha256').update(text).digest()]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
  return `b${bits.replace(/.{1,5}/g, (five) => 'abcdefghijklmnopqrstuvwxyz234567'.charAt(Number.parseInt(five.padEnd(5, '0'), 2)))}`
}

/** @param {string} name @param {any} side @returns {Member} */
const member = (name, side) => ({
  name,
  peerId: side.peerId,
  provide: (cid) => side.provide(cid),
  findProviders: (cid) => side.findProviders(cid),
  findPeer: (id) => side.findPeer(id),
  put: (key, value) => side.put(key, value),
  get: (key) => side.get(key),
  closestPeers: (key) => side.closestPeers(key),
})

/** @param {readonly string[]} addresses @param {string} has */
const withPart = (addresses, has) => /** @type {string} */ (addresses.find((each) => each.includes(has)))

/**
 * Everybody knows the first of go, and by it the others.
 *
 * @param {Scene} scene
 * @returns {Promise<Network>}
 */
const gather = async (scene) => {
  const listen = ['ws', 'webtransport']
  const go = /** @type {any} */ (await scene.goRelay({ listen, dht: { prefix: PREFIX, hosts: GO_HOSTS - 1 } }))
  const addresses = await go.addresses()
  const [first, firstByWebTransport] = [withPart(addresses, '/ws'), withPart(addresses, '/webtransport')]
  const dht = { protocol: PROTOCOL }
  const flags = ['--dht', '--dht-protocol', PROTOCOL, '--bootstrap', first, '--no-stun']
  const dialling = async (/** @type {Promise<import('./side.mjs').Side>} */ starting) => {
    const side = await starting
    await side.dial(first)
    return side
  }
  // A client has to be somewhere for others to find it: at a relay, which is as far as its transport goes.
  const relaysAndPage = async () => {
    const relays = await Promise.all(Array.from({ length: RELAYS }, () => scene.relay(flags, { empties: false })))
    const [relay] = /** @type {[import('./our-relay.mjs').OurRelay]} */ (/** @type {unknown} */ (relays))
    const transports = { webTransport: false, webRTCDirect: false }
    return { relays, page: await scene.ourPage({ relays: [relay.http], bootstrap: [first], dht, transports }) }
  }
  const [victim, js, nodes, { relays, page: overWs }, overWebTransport] = await Promise.all([
    dialling(scene.goNode({ listen, dht: { prefix: PREFIX } })),
    Promise.all(Array.from({ length: JS }, () => dialling(scene.jsNode({ listen: [LOCAL_WS], dht })))),
    Promise.all(
      Array.from({ length: NODES }, () =>
        scene.ourNode({ listen: [LOCAL_WS], bootstrap: [first], dht: { ...dht, mode: 'server', network: 'any' } }),
      ),
    ),
    relaysAndPage(),
    scene.ourPage({ relays: [firstByWebTransport], dht, transports: { webSocket: false, webRTCDirect: false } }),
    ...go.hosts.map((/** @type {any} */ host) => host.dial(first)),
  ])
  const pages = [member('page over WebSocket', overWs), member('page over WebTransport', overWebTransport)]
  const members = [
    member('go 1', go),
    ...go.hosts.map((/** @type {any} */ host, /** @type {number} */ at) => member(`go ${at + 2}`, host)),
    ...js.map((side, at) => member(`js ${at + 1}`, side)),
    ...nodes.map((side, at) => member(`our node ${at + 1}`, side)),
    ...pages,
  ]
  const dying = /** @type {any} */ (victim)
  const servers = [...members.slice(0, -2).map(({ peerId }) => peerId), ...relays.map(({ peerId }) => peerId), dying.peerId]
  await Promise.all(
    [overWs, overWebTransport].map((page) =>
      until(
        SETTLE_TIMEOUT,
        () => 'a page has no address at the relay',
        async () => (await page.addresses()).length > 0 || undefined,
      ),
    ),
  )
  const names = new Map(members.map(({ name, peerId }) => [peerId, name]))
  for (const { peerId } of relays) names.set(peerId, 'a relay')
  names.set(dying.peerId, 'go alone')
  // Until whoever looks finds all that there are.
  await Promise.all(
    members.map(async ({ name, peerId, closestPeers }) => {
      let known = 0
      /** @type {(string | undefined)[]} */
      let lacking = []
      await until(
        SETTLE_TIMEOUT,
        () => `${name} knows ${known} of the ${servers.length} servers, but not ${lacking.join(', ')}`,
        async () => {
          const near = await closestPeers(new TextEncoder().encode(`/tabmesh/${peerId}`)).catch(() => [])
          known = near.length
          lacking = servers.filter((id) => id !== peerId && !near.includes(id)).map((id) => names.get(id))
          // By WebTransport there are only those of go.
          return known >= (peerId === overWebTransport.peerId ? GO_HOSTS : servers.length - 3) || undefined
        },
      )
    }),
  )
  for (const [page, way] of /** @type {const} */ ([
    [overWs, 'websocket'],
    [overWebTransport, 'webtransport'],
  ])) {
    const ways = (await page.connections()).map(({ transport }) => transport)
    expect(ways.filter((each) => each === way).length > 3, `the page should ask by ${way}`, ways)
  }
  const makers = /** @type {Maker[]} */ ([go.hosts[0], js[0]])
  return { members, pages, servers, makers, victim: { ...member('go alone', dying), kill: () => dying.kill() } }
}

const millisecondsSince = (/** @type {number} */ began) => performance.now() - began

/** @type {import('./trial.mjs').Case[]} */
export const kad = [
  {
    name: 'our page, our node, our relay, go, js: one network',
    async run(scene) {
      const began = performance.now()
      const { members, pages, servers, makers, victim } = await gather(scene)
      expect(servers.length >= 20, 'there should be twenty servers', servers.length)
      const gathered = millisecondsSince(began)

      // Provided by each, found by every other.
      const cid = cidOf('everybody has this')
      const provided = performance.now()
      await Promise.all(members.map(({ provide }) => provide(cid)))
      const providing = millisecondsSince(provided)
      const looked = performance.now()
      for (const finder of members) {
        const found = new Set((await finder.findProviders(cid)).map(({ peerId }) => peerId))
        const missing = members.filter(({ peerId }) => peerId !== finder.peerId && !found.has(peerId)).map(({ name }) => name)
        expect(missing.length === 0, `${finder.name} should find every provider, but for ${missing.join(', ')}`)
      }
      const finding = millisecondsSince(looked)

      // What only one has: found by one of each kind, with an address of it.
      for (const provider of [members[0], members[GO_HOSTS], members[GO_HOSTS + JS], ...pages]) {
        if (provider === undefined) continue
        const own = cidOf(`${provider.name} has this`)
        await provider.provide(own)
        for (const finder of [members[3], members[GO_HOSTS + 1], members[GO_HOSTS + JS + 1], ...pages]) {
          if (finder === undefined || finder === provider) continue
          const found = await finder.findProviders(own)
          expect(found.map(({ peerId }) => peerId).join() === provider.peerId, `${finder.name} should find ${provider.name} alone`, found)
          expect((found[0]?.addresses.length ?? 0) > 0, `${finder.name} should be told where ${provider.name} is`, found)
        }
      }

      // Records of IPNS, made by another implementation, put by a third, had by all.
      const putters = [pages[0], pages[1], members[GO_HOSTS + JS], members[2], members[GO_HOSTS]]
      for (const [at, maker] of makers.entries()) {
        const made = at === 0 ? 'go' : 'js'
        for (const [turn, putter] of putters.entries()) {
          const { key, record } = await maker.ipnsRecord({ value: `/ipfs/bafkqac3jobxhgidsn5rww4yk/${turn}`, sequence: turn + 1 })
          await /** @type {Member} */ (putter).put(key, record)
          for (const getter of [members[5], members[GO_HOSTS + 1], members[GO_HOSTS + JS + 2], ...pages]) {
            if (getter === undefined) continue
            const got = await getter.get(key)
            expect(Buffer.from(got).equals(record), `${getter.name} should get the record of ${made} that ${putter?.name} has put`)
          }
        }
      }

      // One that was altered is sent nowhere, and an older one takes the place of a newer one nowhere that counts.
      for (const page of pages) {
        const { key, record } = await /** @type {Maker} */ (makers[0]).ipnsRecord({
          value: '/ipfs/bafkqac3jobxhgidsn5rww4yk',
          sequence: 99,
        })
        await /** @type {Member} */ (members[2]).put(key, record)
        const altered = Uint8Array.from(record, (byte, at) => (at === record.length >> 1 ? byte ^ 1 : byte))
        const refusal = await page.put(key, altered).then(
          () => 'taken',
          (error) => error.code,
        )
        expect(refusal === 'ERR_INVALID_RECORD', `${page.name} should not put a record that was altered`, refusal)
        const older = await /** @type {Maker} */ (makers[0]).ipnsRecord({ value: '/ipfs/bafkqaaa', sequence: 98 })
        // Those of js take it all the same.
        await page.put(key, older.record).catch(() => {})
        for (const getter of [members[5], members[GO_HOSTS + JS + 2], ...pages]) {
          const got = await /** @type {Member} */ (getter).get(key)
          expect(Buffer.from(got).equals(record), `${getter?.name} should get the newest record, whoever has put an older one since`)
        }
      }

      // Where somebody is, and there.
      for (const page of pages) {
        for (const target of [victim, members[4], members[GO_HOSTS], members[GO_HOSTS + JS]]) {
          if (target === undefined) continue
          const { addresses } = await page.findPeer(target.peerId)
          expect(addresses.length > 0, `${page.name} should find ${target.name}`, addresses)
        }
      }

      // One dies in the middle of it.
      for (const page of pages) {
        const started = performance.now()
        const looking = page.findProviders(cid)
        if (page === pages[0]) await victim.kill()
        const found = await looking
        expect(found.length >= members.length - 1, `${page.name} should find all, whoever dies`, found.length)
        expect(millisecondsSince(started) < LOST_TIMEOUT, `${page.name} should not wait for the dead`, millisecondsSince(started))
      }
      return {
        note: `${servers.length} servers known after ${(gathered / 1000).toFixed(1)} s; provided by ${members.length} in ${providing.toFixed(0)} ms, found by each in ${(finding / members.length).toFixed(0)} ms`,
      }
    },
  },
]
