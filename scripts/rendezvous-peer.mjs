/**
 * A Node peer with a rendezvous client and server of ours, for interop: put together from the sources, since `createPeer` does not offer
 * rendezvous by itself.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
const ENTRY = 'virtual:rendezvous-peer'

/** What the peer is made of. */
const parts = [
  ['src/engine/codec/multiaddr.ts', 'encapsulate, parseMultiaddr'],
  ['src/engine/net/node.ts', 'Node'],
  ['src/engine/protocols/identify/service.ts', 'identifyService'],
  ['src/engine/protocols/rendezvous/client.ts', 'rendezvousClient'],
  ['src/engine/protocols/rendezvous/server.ts', 'rendezvousServer'],
  ['src/node/host.ts', 'nodeHost'],
  ['src/node/identity.ts', 'newIdentity'],
  ['src/node/tcp.ts', 'listenTcp, tcpTransport'],
  ['src/node/ws-dialer.ts', 'wsTransport'],
]

/**
 * @typedef {typeof import('../src/engine/codec/multiaddr.ts') & typeof import('../src/engine/net/node.ts')
 *   & typeof import('../src/engine/protocols/identify/service.ts') & typeof import('../src/engine/protocols/rendezvous/client.ts')
 *   & typeof import('../src/engine/protocols/rendezvous/server.ts') & typeof import('../src/node/host.ts')
 *   & typeof import('../src/node/identity.ts') & typeof import('../src/node/tcp.ts') & typeof import('../src/node/ws-dialer.ts')} Engine
 * @typedef {{ peer: string, namespace: string, ttl: number, addresses: string[] }} Found
 */

/** @type {Promise<Engine> | undefined} */
let engine

const load = async () => {
  const outDir = await mkdtemp(join(tmpdir(), 'tabmesh-rendezvous-'))
  try {
    await build({
      root,
      configFile: false,
      logLevel: 'error',
      publicDir: false,
      plugins: [
        {
          name: 'rendezvous-peer',
          resolveId: (id) => (id === ENTRY ? `\0${ENTRY}` : undefined),
          load: (id) =>
            id === `\0${ENTRY}`
              ? parts.map(([file, names]) => `export { ${names} } from ${JSON.stringify(root + file)}`).join('\n')
              : undefined,
        },
      ],
      ssr: { noExternal: true },
      build: {
        outDir,
        minify: false,
        target: 'node20',
        ssr: true,
        rolldownOptions: { input: ENTRY, preserveEntrySignatures: 'strict', output: { entryFileNames: 'peer.mjs' } },
      },
    })
    return /** @type {Engine} */ (await import(pathToFileURL(join(outDir, 'peer.mjs')).href))
  } finally {
    await rm(outDir, { recursive: true, force: true })
  }
}

/** Starts one; it listens on TCP on this machine, and serves where `server` says so. @param {{ server?: boolean }} [options] */
export const startRendezvousPeer = async ({ server = false } = {}) => {
  engine ??= load()
  const {
    Node,
    encapsulate,
    identifyService,
    listenTcp,
    newIdentity,
    nodeHost,
    parseMultiaddr,
    rendezvousClient,
    rendezvousServer,
    ...rest
  } = await engine
  const client = rendezvousClient({ learn: (found) => void node.peerStore.certify(found.peer, found, Date.now()) })
  const node = new Node({
    host: nodeHost(newIdentity()),
    services: [identifyService(), client, ...(server ? [rendezvousServer().service] : [])],
    transports: [rest.tcpTransport(), rest.wsTransport()],
  })
  node.start()
  const listener = await listenTcp(parseMultiaddr('/ip4/127.0.0.1/tcp/0'), { accept: (link) => node.accept(link) })
  node.announce('listen', [listener.address])

  /** @template T @param {(done: (outcome: import('../src/engine/wire/conversation.ts').Outcome<T>) => void) => void} begin @returns {Promise<T>} */
  const taken = (begin) =>
    new Promise((resolve, reject) => begin((outcome) => (outcome.ok ? resolve(outcome.value) : reject(outcome.fault))))
  /** @param {import('../src/engine/protocols/rendezvous/conversation.ts').FoundPeer} found @returns {Found} */
  const plain = ({ peer, namespace, ttl, addresses }) => ({ peer, namespace, ttl, addresses: addresses.map(({ text }) => text) })

  return {
    peerId: node.self,
    address: encapsulate(listener.address, `/p2p/${node.self}`).text,
    client,
    /** Milliseconds. @param {string} target a multiaddr, or the id of a peer that was found */
    async dial(target) {
      const began = performance.now()
      const to = target.startsWith('/') ? { addresses: [parseMultiaddr(target)] } : { peer: target, addresses: [] }
      await taken((done) => node.dial(to, done))
      return performance.now() - began
    },
    /** Resolves when it is registered, with the seconds that it is registered for; rejects when it is refused. @param {string} at @param {string} namespace @param {number} [ttl] */
    register: (at, namespace, ttl) =>
      new Promise((resolve, reject) => {
        client.register(at, namespace, {
          ttl,
          onChange(state) {
            if (state.t === 'registered') resolve(Math.round((state.until - node.host.now()) / 1000))
            if (state.t === 'failed') reject(state.fault)
          },
        })
      }),
    /** @param {string} at @param {string | undefined} [namespace] @param {{ limit?: number, cookie?: Uint8Array }} [options] */
    async discover(at, namespace, options = {}) {
      const { peers, cookie, told } = await taken((done) => client.discover(at, namespace, options, done))
      return { peers: peers.map(plain), cookie, told }
    },
    /** Addresses that it signed. @param {string} peer */
    certified: (peer) => (node.peerStore.get(peer)?.certified ?? []).map(({ text }) => text),
    async stop() {
      await new Promise((done) => client.leave(() => done(undefined)))
      await new Promise((done) => node.stop(() => done(undefined)))
      await listener.close()
    },
  }
}
