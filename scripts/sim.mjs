/**
 * `npm run sim`: protocols at sizes that no machine has, in virtual time. Same options and seed, same figures.
 *
 *   npm run sim -- gossip                                      1,000 nodes, 1 topic, 10 messages a second for 20 s
 *   npm run sim -- gossip --nodes 10000 --topics 1 --rate 10   10,000 nodes: some gigabytes and minutes
 *   npm run sim -- gossip --hostile 0.2                        every fifth node is hostile (--kinds spam,silent,eclipse,iwant)
 *   npm run sim -- kad --nodes 10000 --contents 500            a DHT: each content is provided, and looked for from elsewhere
 *   npm run sim -- kad --nodes 10000 --churn 0.2               a fifth of them leaves, and as many come, an hour (--minutes 60)
 *   npm run sim -- kad --liars 0.1 --sybils 40                 every tenth node leads to sybils around the key; on one path, and on --paths
 *
 *   --seconds 20   --size 100 (bytes)   --degree 10 (dials of each node)   --latency 10,100 (ms one way)   --loss 0.01   --churn 10 (a second)
 *   --seed 1   --json   --default-scores (else, where some are hostile, P₃ is set for the rate, as an application would)
 *
 * What is printed: deliveries against those that should have been, percentiles of hops and milliseconds from publishing to delivery,
 * copies of a message besides the first, bytes that a node sends; with hostile nodes also what the scores make of them.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'vite'
import { kad } from './sim-kad.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** @typedef {import('../src/engine/testing/gossip/report.ts').Report} Report */
/** @typedef {import('../src/engine/testing/gossip/report.ts').Opinion} Opinion */

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    nodes: { type: 'string', default: '1000' },
    topics: { type: 'string', default: '1' },
    rate: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '20' },
    size: { type: 'string', default: '100' },
    degree: { type: 'string', default: '10' },
    latency: { type: 'string', default: '10,100' },
    loss: { type: 'string', default: '0' },
    churn: { type: 'string', default: '0' },
    hostile: { type: 'string', default: '0' },
    kinds: { type: 'string', default: 'spam,silent,eclipse,iwant' },
    seed: { type: 'string', default: '1' },
    'default-scores': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    contents: { type: 'string', default: '500' },
    minutes: { type: 'string', default: '60' },
    liars: { type: 'string', default: '0' },
    sybils: { type: 'string', default: '20' },
    paths: { type: 'string' },
  },
})

/** The engine's TypeScript as one module that Node runs. @param {string} name */
const load = async (name) => {
  const outDir = await mkdtemp(join(tmpdir(), 'tabmesh-sim-'))
  try {
    await build({
      root,
      configFile: false,
      logLevel: 'error',
      publicDir: false,
      build: {
        outDir,
        minify: false,
        target: 'node20',
        lib: { entry: join(root, `src/engine/testing/${name}/simulation.ts`), formats: ['es'], fileName: () => 'simulation.mjs' },
      },
    })
    return await import(pathToFileURL(join(outDir, 'simulation.mjs')).href)
  } finally {
    await rm(outDir, { recursive: true, force: true })
  }
}

const gossip = async () => {
  const { Simulation } = /** @type {typeof import('../src/engine/testing/gossip/simulation.ts')} */ (await load('gossip'))
  const [least = 10, most = 100] = flags.latency.split(',').map(Number)
  const began = performance.now()
  const simulation = new Simulation({
    nodes: Number(flags.nodes),
    topics: Number(flags.topics),
    rate: Number(flags.rate),
    seconds: Number(flags.seconds),
    size: Number(flags.size),
    degree: Number(flags.degree),
    latency: [least, most],
    loss: Number(flags.loss),
    churn: Number(flags.churn),
    hostile: Number(flags.hostile),
    kinds: /** @type {import('../src/engine/testing/gossip/hostile.ts').HostileKind[]} */ (flags.kinds.split(',')),
    seed: Number(flags.seed),
    knowsRate: !flags['default-scores'],
  })
  const report = simulation.run()
  const took = (performance.now() - began) / 1_000
  const rss = process.resourceUsage().maxRSS / 1_024
  if (flags.json) console.log(JSON.stringify(summary(report)))
  else print(report)
  console.log(
    `\nseed ${flags.seed}, ${took.toFixed(1)} s, ${Math.round(rss)} MiB at most, ${Math.round(report.rpcs / took / 1_000)}k RPCs/s`,
  )
}

const PARTS = [0.5, 0.9, 0.99, 1]

/** @param {Report} report */
const summary = (report) => ({
  ...report,
  hops: PARTS.map((part) => report.hops.percentile(part)),
  milliseconds: PARTS.map((part) => report.milliseconds.percentile(part)),
})

/** @param {number} part */
const percent = (part) => `${(part * 100).toFixed(part > 0.99 && part < 1 ? 4 : 1)} %`

/** @param {Report} report */
const print = (report) => {
  const { expected, delivered, hops, milliseconds, hostileInMesh, honestScore, hostileScore, bytesPerNode } = report
  console.log(`${report.messages} messages to ${flags.nodes} nodes with ${report.degree.toFixed(1)} links each`)
  console.log(`delivered    ${percent(delivered / expected)}   ${delivered} of ${expected}`)
  console.log(`hops         ${PARTS.map((part) => `p${part * 100} ${hops.percentile(part)}`).join('   ')}`)
  console.log(`latency      ${PARTS.map((part) => `p${part * 100} ${milliseconds.percentile(part)} ms`).join('   ')}`)
  console.log(`duplicates   ${report.duplicates.toFixed(2)} for each message and node`)
  console.log(`sent         ${Math.round(bytesPerNode.mean / 1_000)} kB a node, ${Math.round(bytesPerNode.max / 1_000)} kB at most`)
  if (Number(flags.hostile) === 0) return
  console.log(`hostile in honest meshes   ${percent(hostileInMesh.before)} before, ${percent(hostileInMesh.after)} at the end`)
  /** @param {string} name @param {Opinion} opinion */
  const line = (name, { links, mean, negative, graylisted }) =>
    console.log(
      `  ${name.padEnd(8)} mean score ${mean.toFixed(1).padStart(10)}   below 0: ${percent(negative)}   graylisted: ${percent(graylisted)}   ${links} links`,
    )
  line('honest', honestScore)
  for (const [kind, opinion] of Object.entries(hostileScore)) if (opinion.links > 0) line(kind, opinion)
}

if (positionals[0] === 'gossip') await gossip()
else if (positionals[0] === 'kad') {
  const [least = 10, most = 100] = flags.latency.split(',').map(Number)
  const { nodes, contents, churn, minutes, liars, sybils, seed, paths } = flags
  const numbers = { nodes: +nodes, contents: +contents, churn: +churn, minutes: +minutes, liars: +liars, sybils: +sybils, seed: +seed }
  kad(await load('kad'), { ...numbers, latency: [least, most], ...(paths === undefined ? {} : { paths: +paths }) }, flags.json)
} else {
  console.error('Which simulation? npm run sim -- gossip [--nodes 10000] [--topics 1] [--rate 10], or kad [--nodes 10000] [--churn 0.2]')
  process.exitCode = 1
}
