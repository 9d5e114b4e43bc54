// Relays that limit, refuse and are full: what is told, by either side to the other.

import { addressOf, expect, failure, parted, tells } from './trial.mjs'

const CIRCUIT = '/p2p-circuit/p2p/'
/** A peer that would not leave a circuit for WebRTC, nor for TCP or QUIC by DCUtR. */
const CIRCUITS = { transports: { webRTC: false, tcp: false, quic: false } }
const SMALL = 16 * 1024
const LARGE = 1_000_000
const UNLIMITED = ['--circuit-duration', '0', '--circuit-bytes', '0']

/** @type {import('./trial.mjs').Case[]} */
export const limits = [
  {
    name: 'our node → js relay, stock limits → our node',
    async run(scene) {
      const relay = await scene.jsRelay({ limits: true })
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.address] })
      const dialer = await scene.ourNode(CIRCUITS)
      return limited(dialer, target)
    },
  },
  {
    name: 'our node → go relay, stock limits → our node',
    async run(scene) {
      const relay = await scene.goRelay({ limits: true })
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.address] })
      const dialer = await scene.ourNode(CIRCUITS)
      return limited(dialer, target)
    },
  },
  {
    name: 'our node → our relay, 128 KiB → js node',
    async run(scene) {
      const relay = await scene.relay(['--circuit-duration', '120', '--circuit-bytes', String(128 * 1024)])
      const target = await scene.jsNode({ relay: relay.address })
      const dialer = await scene.ourNode(CIRCUITS)
      return limited(dialer, target)
    },
  },
  {
    name: 'our node ⇥ our relay without a free slot',
    async run(scene) {
      const relay = await scene.relay([...UNLIMITED, '--max-reservations', '1'])
      await addressOf(await scene.ourNode({ ...CIRCUITS, relays: [relay.http] }), CIRCUIT)
      const late = await scene.ourNode({ ...CIRCUITS, relays: [relay.http] })
      const error = await late.event('error')
      expect(tells(error, 'ERR_RELAY_FULL'), 'the second should hear ERR_RELAY_FULL', error?.code)
      expect((await late.addresses()).length === 0, 'the second should have no address')
      return { note: error.code }
    },
  },
  {
    name: 'js node ⇥ our relay without a free slot',
    async run(scene) {
      const relay = await scene.relay([...UNLIMITED, '--max-reservations', '1'])
      await addressOf(await scene.ourNode({ ...CIRCUITS, relays: [relay.http] }), CIRCUIT)
      const error = await failure('a reservation of js', scene.jsNode({ relay: relay.address }))
      expect(/no reservation|RESERVATION_REFUSED|Could not listen|ListenError/i.test(error.message), 'js should be refused', error.message)
      return { note: 'refused' }
    },
  },
  {
    name: 'go ⇥ our relay without a free slot',
    async run(scene) {
      const relay = await scene.relay([...UNLIMITED, '--max-reservations', '1'])
      await addressOf(await scene.ourNode({ ...CIRCUITS, relays: [relay.http] }), CIRCUIT)
      const error = await failure('a reservation of go', scene.goNode({ relay: relay.address }))
      expect(/RESERVATION_REFUSED|RESOURCE_LIMIT_EXCEEDED/i.test(error.message), 'go should be refused', error.message)
      return { note: 'refused' }
    },
  },
  {
    name: 'our node → our relay without a free circuit → js node',
    async run(scene) {
      const relay = await scene.relay([...UNLIMITED, '--max-circuits', '1'])
      const target = await scene.jsNode({ relay: relay.address })
      const address = await addressOf(target, CIRCUIT)
      const first = await scene.ourNode(CIRCUITS)
      await first.dial(address)
      const second = await scene.ourNode(CIRCUITS)
      const error = await failure('a dial through a full relay', second.dial(address))
      expect(tells(error, 'ERR_RELAY_FULL'), 'the dial should say ERR_RELAY_FULL', `${error.code}: ${error.message}`)
      await first.hangUp(target.peerId)
      await parted(target, first)
      await second.dial(address)
      await second.ping(target.peerId)
      return { note: `${error.code} › ERR_RELAY_FULL` }
    },
  },
  {
    name: 'our node → js relay → nobody there',
    async run(scene) {
      const relay = await scene.jsRelay()
      const nobody = await scene.ourNode(CIRCUITS)
      const dialer = await scene.ourNode(CIRCUITS)
      const error = await failure('a dial to nobody', dialer.dial(`${relay.address}/p2p-circuit/p2p/${nobody.peerId}`))
      expect(tells(error, 'ERR_RELAY_NO_RESERVATION'), 'the dial should say ERR_RELAY_NO_RESERVATION', `${error.code}: ${error.message}`)
      return { note: `${error.code} › ERR_RELAY_NO_RESERVATION` }
    },
  },
]

/**
 * Over a circuit of 128 KiB: marked limited, closed to what does not ask for it, good for a little, cut by a lot, and made again after that.
 *
 * @param {import('./side.mjs').Side} dialer
 * @param {import('./side.mjs').Side} target
 */
const limited = async (dialer, target) => {
  const address = await addressOf(target, CIRCUIT)
  const { ms, limited, transport } = await dialer.dial(address)
  expect(limited === true && transport === 'relay', 'the connection should be relayed and limited', { limited, transport })
  const { rtt } = await dialer.ping(target.peerId)
  const closed = await failure('a stream that does not allow for limits', dialer.echo(target.peerId, { bytes: SMALL }))
  expect(closed.code === 'ERR_LIMITED_CONNECTION', 'it should say ERR_LIMITED_CONNECTION', closed.code)
  const echo = await dialer.echo(target.peerId, { bytes: SMALL, allowLimited: true })
  const cut = await failure('1 MB through 128 KiB', dialer.echo(target.peerId, { bytes: LARGE, allowLimited: true }))
  expect(typeof cut.code === 'string' && cut.code.startsWith('ERR_'), 'a cut circuit should have a code', cut.message)
  await Promise.all([parted(dialer, target), parted(target, dialer)])
  await dialer.dial(address)
  await dialer.echo(target.peerId, { bytes: SMALL, allowLimited: true })
  return { connect: ms, ping: rtt, echo: echo.ms, note: `16 KiB echo; 1 MB ends in ${cut.code}` }
}
