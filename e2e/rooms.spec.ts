/** Rooms, in real pages. */

import { expect, type Page } from 'playwright/test'
import type { PeerOptions, Room } from 'tabmesh'
import { start, test } from './harness.ts'

interface RoomLog {
  room: Room<unknown>
  heard: string[]
  happened: string[]
}

declare global {
  var rooms: Record<string, RoomLog>
}

/** Starts a peer and joins; resolves with the peer's id. */
const enter = async (page: Page, name: string, options: PeerOptions, password?: string): Promise<string> => {
  const id = await start(page, options)
  await join(page, name, password)
  return id
}

const join = (page: Page, name: string, password?: string): Promise<void> =>
  page.evaluate(
    async ([name, password]) => {
      const room = await peer.join(name, password === undefined ? {} : { password })
      globalThis.rooms ??= {}
      const log: RoomLog = { room, heard: [], happened: [] }
      rooms[password ?? name] = log
      room.addEventListener('message', ({ detail }) => log.heard.push(`${detail.from.slice(-6)} ${detail.text()}`))
      for (const type of ['join', 'leave', 'presence'] as const) {
        room.addEventListener(type, ({ detail }) => log.happened.push(`${type} ${detail.peer.slice(-6)}`))
      }
    },
    [name, password] as const,
  )

const untilMembers = (page: Page, key: string, count: number, timeout = 60_000): Promise<unknown> =>
  page.waitForFunction(([key, count]) => rooms[key]?.room.peers.size === count, [key, count] as const, { timeout })

test('eight pages, each a thousand messages: all in order, once', async ({ openPage, relay }) => {
  test.setTimeout(240_000)
  const pages = await Promise.all(Array.from({ length: 8 }, () => openPage()))
  const ids: string[] = []
  for (const page of pages) ids.push(await enter(page, 'eight', { relays: [relay.http] }))
  await Promise.all(pages.map((page) => untilMembers(page, 'eight', 7)))
  const began = Date.now()
  await Promise.all(
    pages.map((page) =>
      page.evaluate(() => {
        for (let n = 0; n < 1_000; n++) void rooms.eight?.room.send(`${n}`)
      }),
    ),
  )
  await Promise.all(pages.map((page) => page.waitForFunction(() => (rooms.eight?.heard.length ?? 0) >= 7_000, null, { timeout: 180_000 })))
  const took = Date.now() - began
  const expected = Array.from({ length: 1_000 }, (_, n) => `${n}`)
  for (const page of pages) {
    const { heard, happened } = await page.evaluate(() => rooms.eight as RoomLog)
    expect(heard.length).toBe(7_000)
    for (const id of ids) {
      const own = id === (await page.evaluate(() => peer.id))
      const from = heard.filter((each) => each.startsWith(id.slice(-6))).map((each) => each.slice(7))
      expect(from).toEqual(own ? [] : expected)
    }
    expect(happened.filter((each) => each.startsWith('leave'))).toEqual([])
  }
  console.log(`56,000 messages delivered in ${took} ms`)
})
