// Two clients behind two NATs, on one Linux machine: network namespaces joined by virtual cables.
//
//   A 192.168.1.10 ── 192.168.1.1 NAT of A 10.0.0.11 ──┐
//                                                      ├── public segment: 10.0.0.1 (the relay), 10.0.0.2 (another)
//   B 192.168.2.10 ── 192.168.2.1 NAT of B 10.0.0.12 ──┘
//
// Needs Linux, root, ip (iproute2), nft (nftables) and conntrack. Nothing in it can reach anything outside of it.

import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** @typedef {'A' | 'B'} Side */
/**
 * How a NAT maps and filters (RFC 4787 §4, §5): `cone` maps an inner port to one outer port and lets in whom it was used with; `symmetric`
 * takes another outer port for each destination; `fullcone` lets everybody in; `udpblock` passes no UDP at all; `open` is no NAT but a router's filter.
 *
 * @typedef {'cone' | 'symmetric' | 'fullcone' | 'udpblock'} Nat
 */

export const PUBLIC = ['10.0.0.1', '10.0.0.2']
/** Tools, and the packages of Debian that have them. */
const TOOLS = { ip: 'iproute2', nft: 'nftables', conntrack: 'conntrack', sysctl: 'procps' }

/** Packages whose tools are missing. */
const notThere = async () => {
  const found = await Promise.all(
    Object.entries(TOOLS).map(([tool, name]) =>
      run('which', [tool]).then(
        () => [],
        () => [name],
      ),
    ),
  )
  return found.flat()
}

/** Why no lab can be had here; undefined where it can. Installs what is missing, where that is root's to do. */
export const missing = async () => {
  if (process.platform !== 'linux') return 'network namespaces are Linux only'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  let lacking = await notThere()
  if (lacking.length > 0) {
    await run('apt-get', ['update']).catch(() => {})
    await run('apt-get', ['install', '-y', '--no-install-recommends', ...lacking]).catch(() => {})
    lacking = await notThere()
  }
  if (lacking.length > 0) return `not installed: ${lacking.join(', ')}`
  return run('ip', ['netns', 'add', 'tabmesh-try']).then(
    async () => {
      await run('ip', ['netns', 'del', 'tabmesh-try'])
      return undefined
    },
    (error) => `no network namespace can be made: ${String(error.stderr ?? error).trim()}`,
  )
}

/** Builds the lab, in some 0.3 s. @param {string} name prefix of its namespaces: several labs can stand side by side */
export const openLab = async (name = `tm${process.pid}`) => {
  const space = { public: `${name}P`, natA: `${name}NA`, natB: `${name}NB`, A: `${name}A`, B: `${name}B` }
  const spaces = Object.values(space)
  const number = (/** @type {Side} */ side) => (side === 'A' ? 1 : 2)
  const natOf = (/** @type {Side} */ side) => (side === 'A' ? space.natA : space.natB)
  /** Outer addresses of the NATs, which may change. */
  const outer = { A: '10.0.0.11', B: '10.0.0.12' }
  const inner = { A: '192.168.1.10', B: '192.168.2.10' }

  /** @param {string} where @param {string} command words without blanks in them */
  const ip = (where, command) => run('ip', ['-n', where, ...command.split(' ')])
  /** @param {string} where @param {string[]} command */
  const inside = (where, command) => run('ip', ['netns', 'exec', where, ...command])

  const down = async () => {
    for (const each of spaces) {
      const { stdout } = await run('ip', ['netns', 'pids', each]).catch(() => ({ stdout: '' }))
      for (const pid of stdout.split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid))
        } catch {
          // Gone already.
        }
      }
    }
    for (const each of spaces) await run('ip', ['netns', 'del', each]).catch(() => {})
  }

  /** @param {Side} side @param {Nat} kind */
  const nat = async (side, kind) => {
    const masquerade = kind === 'symmetric' ? 'masquerade fully-random' : 'masquerade'
    // What nobody asked for is dropped, not refused: a refusal would leave a trace in conntrack, and masquerading would then
    // take another port for the answer, which no real router does.
    const rules = `
flush ruleset
table ip lab {
  chain in { type filter hook input priority 0; policy accept; iifname "ext" ct state new drop; }
  chain through { type filter hook forward priority 0; policy accept;
    ${kind === 'udpblock' ? 'meta l4proto udp drop;' : ''}
    iifname "ext" ct state established,related accept;
    ${kind === 'fullcone' ? 'iifname "ext" udp dport 1024-65535 accept;' : ''}
    iifname "ext" drop;
  }
  chain out { type nat hook postrouting priority 100; oifname "ext" ${masquerade}; }
  chain pre { type nat hook prerouting priority -100; ${kind === 'fullcone' ? `iifname "ext" meta l4proto udp dnat to ${inner[side]};` : ''} }
  chain hole { type filter hook forward priority -10; policy accept; }
}
`
    const nft = spawn('ip', ['netns', 'exec', natOf(side), 'nft', '-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] })
    let complaint = ''
    nft.stderr.on('data', (chunk) => {
      complaint += chunk
    })
    nft.stdin.end(rules)
    const code = await new Promise((resolve) => nft.once('exit', resolve))
    if (code !== 0) throw new Error(`nft: ${complaint}`)
    await forget(side)
  }
  /** Connections that the NAT has in its table. */
  const forget = (/** @type {Side} */ side) => inside(natOf(side), ['conntrack', '-F']).catch(() => {})

  try {
    for (const each of spaces) {
      await run('ip', ['netns', 'add', each])
      await inside(each, ['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'])
      await ip(each, 'link set lo up')
    }
    await ip(space.public, 'link add br0 type bridge')
    await ip(space.public, 'link set br0 up')
    for (const address of PUBLIC) await ip(space.public, `addr add ${address}/24 dev br0`)
    for (const side of /** @type {const} */ (['A', 'B'])) {
      const i = number(side)
      await ip(space.public, `link add p${side} type veth peer name ext netns ${natOf(side)}`)
      await ip(space.public, `link set p${side} master br0 up`)
      await ip(natOf(side), `addr add ${outer[side]}/24 dev ext`)
      await ip(natOf(side), 'link set ext up')
      await ip(natOf(side), `link add int type veth peer name eth0 netns ${space[side]}`)
      await ip(natOf(side), `addr add 192.168.${i}.1/24 dev int`)
      await ip(natOf(side), 'link set int up')
      await ip(space[side], `addr add ${inner[side]}/24 dev eth0`)
      await ip(space[side], 'link set eth0 up')
      await ip(space[side], `route add default via 192.168.${i}.1`)
      await inside(natOf(side), ['sysctl', '-qw', 'net.ipv4.ip_forward=1'])
      await nat(side, 'cone')
    }
  } catch (error) {
    await down()
    throw error
  }

  return {
    /** The namespaces' names, for `ip netns exec`. */
    space,
    nat,
    /** Unplugs the client's cable; the page hears `offline`. @param {Side} side */
    cut: (side) => ip(space[side], 'link set eth0 down'),
    /** Plugs it in again. @param {Side} side */
    heal: async (side) => {
      await ip(space[side], 'link set eth0 up')
      await ip(space[side], `route replace default via 192.168.${number(side)}.1`)
    },
    /** The NAT passes nothing, without a word. @param {Side} side */
    blackhole: (side) => inside(natOf(side), ['nft', 'add', 'rule', 'ip', 'lab', 'hole', 'drop']),
    /** @param {Side} side */
    unblackhole: (side) => inside(natOf(side), ['nft', 'flush', 'chain', 'ip', 'lab', 'hole']),
    /** The client has another address, as after a change of Wi-Fi. @param {Side} side @param {number} host */
    readdress: async (side, host) => {
      inner[side] = `192.168.${number(side)}.${host}`
      await ip(space[side], 'addr flush dev eth0')
      await ip(space[side], `addr add ${inner[side]}/24 dev eth0`)
      await ip(space[side], `route replace default via 192.168.${number(side)}.1`)
    },
    /** The NAT has another outer address, as after a night. @param {Side} side @param {string} address 10.0.0.x */
    renumber: async (side, address) => {
      outer[side] = address
      await ip(natOf(side), 'addr flush dev ext')
      await ip(natOf(side), `addr add ${address}/24 dev ext`)
      await forget(side)
    },
    down,
  }
}
