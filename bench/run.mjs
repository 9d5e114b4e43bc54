// What is measured, round by round. Within a round the columns take turns on every measurement, and the order is turned round from one
// round to the next, so that what else the machine does falls on all of them alike.

/**
 * @typedef {import('./lab.mjs').Lab} Lab
 * @typedef {import('./lab.mjs').Page} Page
 * @typedef {import('./lab.mjs').Column} Column
 * @typedef {import('./lab.mjs').Remote} Remote
 * @typedef {import('./report.mjs').Report} Report
 * @typedef {{ dials: number, pings: number, webSocketBytes: number, webRtcBytes: number, echoBytes: number, messages: number }} Amounts
 */

const WEBRTC_TIMEOUT = 5_000
/** Some of js-libp2p's WebRTC dials and pings hang; they are counted, and tried again so often. */
const TRIES = 5

/** @param {number} bytes @param {number} ms */
const speed = (bytes, ms) => bytes / 1000 / ms

/**
 * Runs `work` while the main threads of `pages` are watched, and notes their longest stall.
 *
 * @template T
 * @param {Page[]} pages
 * @param {() => Promise<T>} work
 * @returns {Promise<{ value: T, stall: number, longTask: number }>}
 */
const watched = async (pages, work) => {
  for (const page of pages) await page.call('begin')
  const value = await work()
  let [stall, longTask] = [0, 0]
  for (const page of pages) {
    const seen = await page.call('end')
    stall = Math.max(stall, seen.stall)
    longTask = Math.max(longTask, seen.longTask)
  }
  return { value, stall, longTask }
}

/**
 * @template T
 * @param {T[]} list
 * @param {number} round
 * @returns {T[]}
 */
const turned = (list, round) => (round % 2 === 0 ? list : [...list].reverse())

/**
 * The result of `work`, tried anew where it fails; `report` counts the failures, which have no other sample.
 *
 * @template T
 * @param {Report} report
 * @param {Column} column
 * @param {string} what
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
const persist = async (report, column, what, work) => {
  for (let i = 1; ; i++) {
    try {
      const value = await work()
      report.tried(column, what, true)
      return value
    } catch (error) {
      report.tried(column, what, false)
      if (i === TRIES) throw error
    }
  }
}

/** @param {Lab} lab @returns {Column[]} */
const stacks = (lab) => (lab.jsNode === undefined ? ['ours'] : ['ours', 'js'])

/**
 * Fresh pages: load, start, a first dial; then connections anew, pings and throughput over WebSocket.
 *
 * @param {Lab} lab
 * @param {Report} report
 * @param {Amounts} amounts
 * @param {number} round
 */
export const webSocketRound = async (lab, report, amounts, round) => {
  const group = 'start'
  /** @type {Map<Column, Page>} */
  const pages = new Map()
  const page = (/** @type {Column} */ column) => /** @type {Page} */ (pages.get(column))
  const first = /** @type {Remote} */ (lab.jsNode ?? lab.ourNode)
  try {
    for (const column of turned(/** @type {Column[]} */ ([...stacks(lab), 'raw']), round)) {
      const fresh = await lab.open(column)
      pages.set(column, fresh)
      if (column === 'raw') continue
      await fresh.call('begin')
      const load = await fresh.call('load', lab.scripts[column])
      const loading = await fresh.call('end')
      const starting = await watched([fresh], () => fresh.call('start', {}))
      report.add(group, 'the script: fetched from this machine, evaluated', 'ms', column, load)
      report.add(group, 'createPeer / createLibp2p until it resolves', 'ms', column, starting.value)
      report.add(group, 'main thread: longest stall while loading', 'stall', column, loading.stall)
      report.add(group, 'main thread: longest stall while starting', 'stall', column, starting.stall)
      report.add(group, 'main thread: longest task of both (0: below 50)', 'stall', column, Math.max(loading.longTask, starting.longTask))
      report.add('start', 'then: first dial over WebSocket to first ping answered', 'ms', column, await fresh.call('ping', first.address))
      await fresh.call('hangUp', first.peerId)
    }
    for (const [name, remote] of /** @type {[string, Remote | undefined][]} */ ([
      ['js node', lab.jsNode],
      ['our node', lab.ourNode],
    ])) {
      if (remote !== undefined) await webSocketTo(name, remote)
    }
  } finally {
    for (const each of pages.values()) await each.close()
  }

  /** @param {string} name @param {Remote} remote */
  async function webSocketTo(name, remote) {
    const to = `WebSocket to ${name}`
    const columns = turned(/** @type {Column[]} */ ([...stacks(lab), 'raw']), round)
    for (let i = 0; i < amounts.dials; i++) {
      for (const column of columns) {
        if (column === 'raw') {
          report.add(
            to,
            'new connection to first ping answered',
            'ms',
            column,
            await page(column).call('inWorker', 'connectEcho', [lab.rawUrl]),
          )
          continue
        }
        const anew = async () => {
          await page(column).call('hangUp', remote.peerId)
          return page(column).call('ping', remote.address)
        }
        report.add(
          to,
          'new connection to first ping answered',
          'ms',
          column,
          await persist(report, column, `dials with a ping to ${name}`, anew),
        )
      }
    }
    for (const column of columns) {
      const row = /** @type {const} */ ([to, 'ping on an open connection', 'ms', column])
      if (column === 'raw') report.add(...row, ...(await page(column).call('inWorker', 'echoes', [lab.rawUrl, amounts.pings])))
      else {
        for (let i = 0; i < amounts.pings; i++) {
          report.add(...row, await persist(report, column, `pings to ${name}`, () => page(column).call('ping', remote.peerId)))
        }
      }
    }
    for (const direction of ['upload', 'download']) {
      const what = direction === 'upload' ? 'up' : 'down'
      for (const column of columns) {
        const one = page(column)
        const bytes = amounts.webSocketBytes
        const { value, stall } = await watched([one], () =>
          column === 'raw' ? one.call('inWorker', direction, [lab.rawUrl, bytes]) : one.call(direction, remote.peerId, bytes),
        )
        report.add(to, `one stream ${what}`, 'MB/s', column, speed(bytes, value))
        report.add(to, `main thread: longest stall of it, ${what}`, 'stall', column, stall)
      }
    }
    for (const column of stacks(lab)) await page(column).call('hangUp', remote.peerId)
  }
}

/** Two pages of each column, connected to the relay; they stay for the whole run. @param {Lab} lab */
export const openPairs = async (lab) => {
  /** @type {Map<Column, { a: Page, b: Page, id: string, address: string }>} */
  const pairs = new Map()
  for (const column of stacks(lab)) {
    const [a, b] = [await lab.open(column), await lab.open(column)]
    for (const page of [a, b]) {
      await page.call('load', lab.scripts[column])
      await page.call('start', { relays: [lab.relay.address] })
    }
    await a.call('webrtcAddress')
    const address = await b.call('webrtcAddress')
    pairs.set(column, { a, b, id: address.slice(address.lastIndexOf('/') + 1), address })
  }
  const [a, b] = [await lab.open('raw'), await lab.open('raw')]
  for (const page of [a, b]) await page.call('join', lab.rawUrl, 'bench')
  pairs.set('raw', { a, b, id: '', address: '' })
  return pairs
}

/**
 * Page to page over WebRTC: anew from the dial to the first echo, then one way, both ways, and pings.
 *
 * @param {Lab} lab
 * @param {Report} report
 * @param {Amounts} amounts
 * @param {number} round
 * @param {Awaited<ReturnType<typeof openPairs>>} pairs
 */
export const webRtcRound = async (lab, report, amounts, round, pairs) => {
  const group = 'WebRTC page to page'
  const raw = /** @type {{ a: Page, b: Page }} */ (pairs.get('raw'))
  const columns = turned(/** @type {Column[]} */ ([...stacks(lab), 'raw']), round)
  for (const column of columns) {
    const { a, b, id, address } = /** @type {{ a: Page, b: Page, id: string, address: string }} */ (pairs.get(column))
    const dial = async () => {
      if (column === 'raw') return a.call('connectEcho')
      return persist(report, column, 'WebRTC dials', async () => {
        await a.call('hangUp', id)
        return a.call('dialEcho', address, id, WEBRTC_TIMEOUT)
      })
    }
    const { value, stall } = await watched([a, b], dial)
    report.add(group, 'dial to first echo, relay already connected', 'ms', column, value)
    report.add(group, 'main threads: longest stall of it', 'stall', column, stall)
  }
  for (const column of columns) {
    const { a, id } = /** @type {{ a: Page, id: string }} */ (pairs.get(column))
    const row = /** @type {const} */ ([group, 'ping', 'ms', column])
    if (column === 'raw') report.add(...row, ...(await a.call('echoes', 'worker', amounts.pings)))
    else for (let i = 0; i < amounts.pings; i++) report.add(...row, await a.call('ping', id))
  }
  // SCTP finds its pace in the first megabytes, and loses packets where it overshoots: told by itself.
  for (const column of columns) {
    const { a, id } = /** @type {{ a: Page, id: string }} */ (pairs.get(column))
    const ms = await a.call('upload', column === 'raw' ? 'worker' : id, amounts.webRtcBytes / 2)
    report.add(
      group,
      `one way, the first ${amounts.webRtcBytes / 2e6} MB of the connection`,
      'MB/s',
      column,
      speed(amounts.webRtcBytes / 2, ms),
    )
  }
  for (const [call, what, bytes] of /** @type {[string, string, number][]} */ ([
    ['upload', 'one stream one way', amounts.webRtcBytes],
    ['echo', 'one stream there and back', amounts.echoBytes],
  ])) {
    for (const column of columns) {
      const { a, b, id } = /** @type {{ a: Page, b: Page, id: string }} */ (pairs.get(column))
      const { value, stall } = await watched([a, b], () => a.call(call, column === 'raw' ? 'worker' : id, bytes))
      report.add(group, `${what} (raw: worker to worker)`, 'MB/s', column, speed(bytes, value))
      report.add(group, `main threads: longest stall, ${what}`, 'stall', column, stall)
    }
    const { value } = await watched([raw.a, raw.b], () => raw.a.call(call, 'page', bytes))
    report.add(group, `${what} (raw: main thread to main thread)`, 'MB/s', 'raw', speed(bytes, value))
  }
}

const TOPIC = 'bench'
const MESSAGE_BYTES = 100
/** What has not come after so long a silence is lost. */
const PATIENCE = 6_000

/**
 * Two fresh pages of a stack, connected over WebRTC and in one topic.
 *
 * @param {Lab} lab
 * @param {Report} report
 * @param {Column} column
 * @param {object} identity
 */
const openPubsubPair = async (lab, report, column, identity) => {
  const driver = column === 'js' ? 'js-pubsub' : column
  const [a, b] = [await lab.open(driver), await lab.open(driver)]
  for (const page of [a, b]) {
    await page.call('load', lab.scripts[column])
    await page.call('start', { relays: [lab.relay.address], ...identity })
  }
  await a.call('webrtcAddress')
  const address = await b.call('webrtcAddress')
  await persist(report, column, 'WebRTC dials before gossipsub', () => a.call('dial', address))
  await Promise.all([a, b].map((page) => page.call('subscribe', TOPIC)))
  return { a, b }
}

/**
 * One page publishes messages in one go, signed; the other one hears them. Pages are fresh in each round, for js-libp2p does not always get over
 * a flood. js-libp2p's key is one in memory, made at the start, and so is ours where the two are compared; beside it stands the identity that a page
 * of ours has by default, whose key the browser keeps and signs with.
 *
 * @param {Lab} lab
 * @param {Report} report
 * @param {Amounts} amounts
 * @param {number} round
 */
export const pubsubRound = async (lab, report, amounts, round) => {
  const { messages } = amounts
  const group = `gossipsub page to page, ${messages.toLocaleString('en')} signed messages of ${MESSAGE_BYTES} B in one go`
  const kinds = /** @type {{ column: Column, identity: object, name: string }[]} */ ([
    ...stacks(lab).map((column) => ({ column, identity: column === 'ours' ? { identity: 'ephemeral' } : {}, name: '' })),
    { column: 'ours', identity: { identity: 'persistent' }, name: ', key kept by the browser' },
  ])
  for (const { column, identity, name } of turned(kinds, round)) {
    const { a, b } = await openPubsubPair(lab, report, column, identity)
    // Warms both up.
    await a.call('prepare', messages / 10, MESSAGE_BYTES)
    await Promise.all([b.call('receive', messages / 10, PATIENCE), a.call('publish', TOPIC)])
    await a.call('prepare', messages, MESSAGE_BYTES)
    for (const page of [a, b]) await page.call('begin')
    const began = performance.now()
    const received = b.call('receive', messages, PATIENCE)
    await a.call('publish', TOPIC)
    const { got, ago } = await received
    const ms = performance.now() - began - ago
    const [publisher, subscriber] = [await a.call('end'), await b.call('end')]
    report.lost(column, messages - got, messages)
    // What js-libp2p did stands beside both of ours.
    for (const row of column === 'js' ? kinds.filter((kind) => kind.column === 'ours').map((kind) => kind.name) : [name]) {
      report.add(group, `published and heard${row}`, '/s', column, (got / ms) * 1000)
      report.add(group, `publisher: longest stall of the main thread${row}`, 'stall', column, publisher.stall)
      report.add(group, `subscriber: longest stall of the main thread${row}`, 'stall', column, subscriber.stall)
    }
    for (const page of [a, b]) await page.close()
  }
}
