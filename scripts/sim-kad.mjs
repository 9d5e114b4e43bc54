/**
 * What `npm run sim -- kad` prints: see scripts/sim.mjs for its options, src/engine/testing/kad/simulation.ts for what happens.
 */

/** @typedef {import('../src/engine/testing/kad/simulation.ts').KadReport} KadReport */
/** @typedef {import('../src/engine/testing/kad/simulation.ts').KadSimulationOptions} KadSimulationOptions */

const PARTS = [0.5, 0.9, 0.99, 1]

/** @param {KadReport} report */
const summary = (report) =>
  Object.fromEntries(
    Object.entries(report).map(([name, value]) => [
      name,
      typeof value === 'object' && 'percentile' in value ? PARTS.map((part) => value.percentile(part)) : value,
    ]),
  )

/**
 * With liars it runs twice: on one path, and on as many as are wanted.
 *
 * @param {typeof import('../src/engine/testing/kad/simulation.ts')} module
 * @param {Partial<KadSimulationOptions>} options
 * @param {boolean} json
 */
export const kad = ({ KadSimulation, defaultKadOptions }, options, json) => {
  const wanted = options.paths ?? defaultKadOptions.paths
  const runs = (options.liars ?? 0) > 0 && wanted > 1 ? [1, wanted] : [wanted]
  for (const paths of runs) {
    const began = performance.now()
    const simulation = new KadSimulation({ ...options, paths })
    const report = simulation.run()
    const took = (performance.now() - began) / 1_000
    if (json) console.log(JSON.stringify({ paths, ...summary(report) }))
    else print(report, simulation.options)
    const rss = process.resourceUsage().maxRSS / 1_024
    console.log(`\nseed ${simulation.options.seed}, ${took.toFixed(1)} s, ${Math.round(rss)} MiB at most\n`)
  }
}

/** @param {number} part */
const percent = (part) => `${(part * 100).toFixed(part > 0.99 && part < 1 ? 2 : 1)} %`

/** @param {KadReport} report @param {KadSimulationOptions} options */
const print = (report, { nodes, churn, minutes, liars, sybils, k, alpha, paths }) => {
  const { looked, found, endings, placed, tableSize, dead, requests } = report
  /** @param {keyof KadReport} name @param {string} [unit] */
  const line = (name, unit = '') => {
    const histogram = /** @type {{ percentile(part: number): number }} */ (report[name])
    return PARTS.map((part) => `p${part * 100} ${histogram.percentile(part)}${unit}`).join('   ')
  }
  const bound = Math.ceil(Math.log2(nodes / k))
  console.log(`${nodes} nodes, k ${k}, alpha ${alpha}, ${paths === 1 ? 'one path' : `${paths} disjoint paths`}`)
  if (churn > 0) console.log(`${percent(churn)} churn an hour, for ${minutes} minutes and while it is looked`)
  if (liars > 0) console.log(`${percent(liars)} of all nodes lie, and ${sybils} sybils are nearer to each key than anybody else`)
  console.log(`found        ${percent(found / looked)}   ${found} of ${looked}`)
  console.log(`hops         ${line('hops')}   at most ${report.depth.percentile(1)} a lookup; the bound is log2(nodes / k) = ${bound}`)
  console.log(`latency      ${line('milliseconds', ' ms')}   to the first provider`)
  console.log(`             ${line('whole', ' ms')}   to the end`)
  console.log(`messages     ${line('messages')}   to the first provider`)
  console.log(`             ${line('wholeMessages')}   to the end`)
  console.log(`placed       ${percent(placed)} of the records were stored by those of the k nearest of all`)
  console.log(`tables       ${tableSize.toFixed(1)} peers, ${percent(dead)} of them gone; ${requests} requests in all`)
  console.log(
    `endings      ${Object.entries(endings)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}`,
  )
}
