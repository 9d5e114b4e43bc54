import { expect, it } from 'vitest'
import type { Rtc, RtcPeer } from '../engine/protocols/webrtc-signaling/rtc.ts'
import { TabmeshError } from '../errors.ts'
import { isInstalled, lazyRtc } from './lazy-rtc.ts'

const missing = new TabmeshError('ERR_UNSUPPORTED', 'no binary')
const signals = (refused: (cause: unknown) => void) => ({
  onDescription: () => {},
  onCandidate: () => {},
  onState: () => {},
  onRefused: refused,
})

it('loads once, with the first peer connection', () => {
  let loads = 0
  const made = {} as RtcPeer
  const rtc = lazyRtc((): Rtc => {
    loads += 1
    return { create: () => made }
  })
  expect(loads).toBe(0)
  expect(rtc.create(signals(() => {}))).toBe(made)
  rtc.create(signals(() => {}))
  expect(loads).toBe(1)
})

it.each(['makeOffer', 'makeAnswer', 'makeDirectOffer'] as const)('tells %s why there is none', async (ask) => {
  const rtc = lazyRtc(() => {
    throw missing
  })
  const cause = await new Promise((refused) => {
    let returned = false
    const peer = rtc.create(
      signals((why) => {
        expect(returned).toBe(true)
        refused(why)
      }),
    )
    peer[ask]('')
    returned = true
  })
  expect(cause).toBe(missing)
})

it('tells nothing to who has closed it', async () => {
  const heard: unknown[] = []
  const peer = lazyRtc(() => {
    throw missing
  }).create(signals((cause) => heard.push(cause)))
  peer.makeOffer()
  peer.close()
  await Promise.resolve()
  const closed = await new Promise((done) => peer.openChannel().attach({ onData: () => {}, onEnd: () => {}, onClose: done }))
  expect([heard, closed]).toEqual([[], missing])
})

it('knows what is installed', () => expect([isInstalled('ws'), isInstalled('tabmesh-no-such-package')]).toEqual([true, false]))
