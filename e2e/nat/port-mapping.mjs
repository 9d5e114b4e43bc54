/**
 * Port mapping against a real router: miniupnpd, in network namespaces of this machine.
 *
 *   peer 192.168.5.10 ── 192.168.5.1 router 11.22.33.5 ── 11.22.33.9 another peer
 *
 *   node e2e/nat/port-mapping.mjs      a row for each case; fails where one does. Needs dist/
 *
 * The outer addresses look public, because miniupnpd maps nothing behind others, those for documentation among them.
 *
 * Linux, root, nftables and miniupnpd; installs the last one where that is root's to do. Nothing in it can reach anything outside of it.
 */

import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { missing } from './lab.mjs'

const run = promisify(execFile)
const NODE_PEER = new URL('../../dist/node.js', import.meta.url)
const CASE_TIMEOUT = 40_000
const DAEMON = 'miniupnpd'
const [PEER, ROUTER, OUTER, OTHER] = ['192.168.5.10', '192.168.5.1', '11.22.33.5', '11.22.33.9']

/**
 * A peer in Node, in a process of its own: says `{ id }`, then each of its events; `dial ADDRESS` on stdin is answered by `{ dialled }` or
 * `{ code }`, and `stop` ends it.
 */
const script = `
import { createInterface } from 'node:readline'
const { createPeer } = await import(${JSON.stringify(NODE_PEER.href)})
const say = (what) => console.log(JSON.stringify(what))
const peer = await createPeer(JSON.parse(process.argv[1]))
peer.addEventListener('error', ({ detail }) => say({ error: detail.code, message: detail.message }))
const tell = () => say({ addresses: peer.addresses })
peer.addEventListener('addresses:change', tell)
say({ id: peer.id })
tell()
for await (const line of createInterface({ input: process.stdin })) {
  const [word, address] = line.split(' ')
  if (word === 'stop') break
  await peer.dial(address).then((info) => peer.ping(info.remotePeer)).then((dialled) => say({ dialled }), ({ code }) => say({ code }))
}
const from = performance.now()
await peer.stop()
say({ stopped: performance.now() - from })
process.exit(0)
`

/** @param {{ pmp: boolean, upnp: boolean, outer?: string }} router what it speaks, and its own address if another one */
const openLab = async ({ pmp, upnp, outer = OUTER }) => {
  const name = `tm${process.pid}`
  const space = { inside: `${name}I`, router: `${name}R`, outside: `${name}O` }
  const data = await mkdtemp(join(tmpdir(), 'tabmesh-port-mapping-'))
  /** @type {Set<import('node:child_process').ChildProcess>} */
  const children = new Set()
  /** @param {string} where @param {string} command words without blanks in them */
  const ip = (where, command) => run('ip', ['-n', where, ...command.split(' ')])
  /** @param {string} where @param {string[]} command */
  const spawnIn = (where, command) => {
    const [stdin, stdout] = /** @type {const} */ (['pipe', 'pipe'])
    const child = spawn('ip', ['netns', 'exec', where, ...command], { stdio: [stdin, stdout, process.env.DEBUG ? 'inherit' : 'ignore'] })
    child.stdin.on('error', () => {})
    children.add(child)
    return child
  }
  const down = async () => {
    for (const child of children) child.kill('SIGKILL')
    for (const each of Object.values(space)) await run('ip', ['netns', 'del', each]).catch(() => {})
    await rm(data, { recursive: true, force: true })
  }
  try {
    for (const each of Object.values(space)) {
      await run('ip', ['netns', 'add', each])
      await run('ip', ['netns', 'exec', each, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'])
      await ip(each, 'link set lo up')
    }
    await ip(space.router, `link add int type veth peer name eth0 netns ${space.inside}`)
    await ip(space.router, `link add ext type veth peer name eth0 netns ${space.outside}`)
    await ip(space.router, `addr add ${ROUTER}/24 dev int`)
    await ip(space.router, `addr add ${outer}/24 dev ext`)
    await ip(space.inside, `addr add ${PEER}/24 dev eth0`)
    await ip(space.outside, `addr add ${outer === OUTER ? OTHER : '10.0.5.9'}/24 dev eth0`)
    for (const link of ['int', 'ext']) await ip(space.router, `link set ${link} up`)
    for (const each of [space.inside, space.outside]) await ip(each, 'link set eth0 up')
    await ip(space.inside, `route add default via ${ROUTER}`)
    await run('ip', ['netns', 'exec', space.router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'])
    await writeFile(
      join(data, 'rules'),
      `table inet filter {
  chain forward { type filter hook forward priority 0; policy accept; iifname "ext" ct state established,related accept; jump miniupnpd; iifname "ext" drop; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; oifname "ext" masquerade; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`,
    )
    await run('ip', ['netns', 'exec', space.router, 'nft', '-f', join(data, 'rules')])
    await writeFile(
      join(data, 'conf'),
      `ext_ifname=ext
listening_ip=int
enable_natpmp=${pmp ? 'yes' : 'no'}
enable_upnp=${upnp ? 'yes' : 'no'}
secure_mode=yes
system_uptime=yes
uuid=587be4ce-84cb-470a-8e59-b418139ca6c7
allow 1024-65535 192.168.5.0/24 1024-65535
`,
    )
    if (pmp || upnp) spawnIn(space.router, [DAEMON, '-d', '-f', join(data, 'conf'), '-P', join(data, 'pid')])
  } catch (error) {
    await down()
    throw error
  }
  return {
    down,
    /** Ports that the router lets in. */
    open: async () => {
      const { stdout } = await run('ip', ['netns', 'exec', space.router, 'nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd'])
      return [...stdout.matchAll(/(tcp|udp) dport (?:@\w+ )?(\d+)/g), ...stdout.matchAll(/(?:th|@nh,72,8 0x\w+ th) dport (\d+)/g)].map(
        ([all]) => all,
      )
    },
    /** @param {'inside' | 'outside'} where @param {Record<string, unknown>} options */
    peer: (where, options) => {
      const child = spawnIn(space[where], [process.execPath, '--input-type=module', '-e', script, JSON.stringify(options)])
      /** @type {any[]} */
      const said = []
      /** @type {Set<() => void>} */
      const waiting = new Set()
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (process.env.DEBUG) console.log(`${where}: ${line}`)
        said.push(JSON.parse(line))
        for (const look of waiting) look()
      })
      return {
        said,
        tell: (/** @type {string} */ line) => child.stdin.write(`${line}\n`),
        /** The first that it has said, or will say, which `is` holds for. @param {(one: any) => boolean} is */
        hear: (is) =>
          new Promise((resolve) => {
            const look = () => {
              const found = said.find(is)
              if (found === undefined) return
              waiting.delete(look)
              resolve(found)
            }
            waiting.add(look)
            look()
          }),
      }
    },
  }
}

/** @typedef {Awaited<ReturnType<typeof openLab>>} Lab */

const listening = { portMapping: true, listen: [`/ip4/${PEER}/tcp/4001`, `/ip4/${PEER}/udp/4002/webrtc-direct`] }
/** @param {any} one */
const hasOuter = ({ addresses = [] }) => addresses.some((/** @type {string} */ each) => each.startsWith(`/ip4/${OUTER}/`))

/** Inside maps its ports, outside dials them there, and they are closed when inside has stopped. @param {Lab} lab */
const mapped = async (lab) => {
  const began = performance.now()
  const inside = lab.peer('inside', listening)
  const { id } = await inside.hear(({ id }) => id !== undefined)
  const { addresses } = await inside.hear(hasOuter)
  const ms = performance.now() - began
  const outer = addresses.filter((/** @type {string} */ each) => each.startsWith(`/ip4/${OUTER}/`))
  if (outer.length !== 2) throw new Error(`announced ${outer}`)
  if ((await lab.open()).length !== 2) throw new Error(`open: ${await lab.open()}`)
  for (const address of outer) {
    const outside = lab.peer('outside', {})
    outside.tell(`dial ${address.includes('/p2p/') ? address : `${address}/p2p/${id}`}`)
    const { dialled, code } = await outside.hear((one) => one.dialled !== undefined || one.code !== undefined)
    if (dialled === undefined) throw new Error(`${address}: ${code}`)
    outside.tell('stop')
  }
  inside.tell('stop')
  const { stopped } = await inside.hear(({ stopped }) => stopped !== undefined)
  if ((await lab.open()).length !== 0) throw new Error(`still open: ${await lab.open()}`)
  return `${outer.length} ports mapped and announced after ${ms.toFixed(0)} ms, dialled from outside, closed by a stop of ${stopped.toFixed(0)} ms`
}

/** Nothing is announced, and one error says why. @param {Lab} lab @param {RegExp} why */
const refused = async (lab, why) => {
  const began = performance.now()
  const inside = lab.peer('inside', listening)
  const { error, message } = await inside.hear(({ error }) => error !== undefined)
  const ms = performance.now() - began
  inside.tell('stop')
  const { stopped } = await inside.hear(({ stopped }) => stopped !== undefined)
  if (error !== 'ERR_PORT_MAPPING' || !why.test(message)) throw new Error(`${error} ${message}`)
  if (inside.said.some(({ addresses = [] }) => addresses.some((/** @type {string} */ each) => !each.startsWith(`/ip4/${PEER}/`))))
    throw new Error('announced')
  if (stopped > 2_500) throw new Error(`a stop of ${stopped} ms`)
  return `${error} after ${ms.toFixed(0)} ms, a stop of ${stopped.toFixed(0)} ms`
}

/** @type {{ name: string, router: Parameters<typeof openLab>[0], run: (lab: Lab) => Promise<string> }[]} */
export const cases = [
  { name: 'a router with NAT-PMP', router: { pmp: true, upnp: false }, run: mapped },
  { name: 'a router with UPnP', router: { pmp: false, upnp: true }, run: mapped },
  {
    name: 'a router behind another NAT',
    router: { pmp: true, upnp: true, outer: '10.0.5.5' },
    run: (lab) => refused(lab, /NAT-PMP: .*; UPnP: /),
  },
  { name: 'a router that maps nothing', router: { pmp: false, upnp: false }, run: (lab) => refused(lab, /NAT-PMP: .*; UPnP: /) },
]

/** Why none of it can be shown here; undefined where it can. */
export const lacking = async () => {
  const why = existsSync(NODE_PEER) ? await missing() : 'there is no dist/: npm run build first'
  if (why !== undefined) return why
  const isThere = () =>
    run('which', [DAEMON]).then(
      () => true,
      () => false,
    )
  if (await isThere()) return undefined
  // Its package starts a service on a machine that is somebody's own.
  if (process.env.CI === undefined)
    return `not installed: ${DAEMON} (apt-get install miniupnpd-nftables miniupnpd; done only where CI is set)`
  await run('apt-get', ['update']).catch(() => {})
  await run('apt-get', ['install', '-y', '--no-install-recommends', 'miniupnpd-nftables', DAEMON], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }).catch(() => {})
  return (await isThere()) ? undefined : `not installed: ${DAEMON}`
}

/** Runs all cases, prints a row for each. */
export const runAll = async () => {
  const report = { passed: 0, failed: 0, skipped: /** @type {{ name: string, why: string }[]} */ ([]) }
  const why = await lacking()
  for (const { name, router, run: show } of cases) {
    if (why !== undefined) {
      console.log(`skipped ${name}: ${why}`)
      report.skipped.push({ name, why })
      continue
    }
    /** @type {Lab | undefined} */
    let lab
    /** @type {NodeJS.Timeout | undefined} */
    let timer
    try {
      lab = await openLab(router)
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not over within ${CASE_TIMEOUT} ms`)), CASE_TIMEOUT)
      })
      console.log(`ok      ${name.padEnd(52)} ${await Promise.race([show(lab), late])}`)
      report.passed += 1
    } catch (error) {
      console.log(`FAILED  ${name.padEnd(52)} ${error instanceof Error ? error.message : error}`)
      report.failed += 1
    } finally {
      clearTimeout(timer)
      await lab?.down()
    }
  }
  return report
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { passed, failed, skipped } = await runAll()
  console.log(`port mapping: ${skipped.length} skipped, ${passed} passed, ${failed} failed`)
  process.exit(failed > 0 ? 1 : 0)
}
