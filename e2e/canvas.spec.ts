/** The canvas example: eight people draw at once, and what each of them sees is the same. */

import { type Browser, expect, type Page } from 'playwright/test'
import { longestTask } from './main-thread.ts'
import { test } from './started.ts'

const PAINTERS = 8
/** Of one stroke, from left to right; and milliseconds from one to the next, a little less than an update has. */
const MOVES = 375
const EACH = 16
/** Eight pages that start at once on a busy machine. */
const UNTIL_TOGETHER = 60_000

// What it records of a page, it has the page draw once more.
test.use({ trace: 'off' })

/** In a window of its own: the pages of one window are not all drawn. */
const open = async (browser: Browser, url: string): Promise<Page> => {
  const page = await browser.newPage({ viewport: { width: 800, height: 520 } })
  page.on('pageerror', (error) => {
    throw error
  })
  await page.addInitScript(() => {
    const drawn = { lines: 0, frames: 0 }
    const lineTo = CanvasRenderingContext2D.prototype.lineTo
    CanvasRenderingContext2D.prototype.lineTo = function (x, y) {
      drawn.lines += 1
      lineTo.call(this, x, y)
    }
    const request = requestAnimationFrame
    globalThis.requestAnimationFrame = (draw) => {
      drawn.frames += 1
      return request(draw)
    }
    Object.assign(globalThis, { drawn })
  })
  await page.goto(url)
  return page
}

const others = (page: Page, count: number) =>
  expect(page.locator('#count')).toHaveText(count === 1 ? 'One other is here' : `${count} others are here`, { timeout: UNTIL_TOGETHER })

/** Each in a row of its own, one stroke of `moves`. Returns how long it took, in milliseconds. */
const draw = (page: Page, row: number, moves: number): Promise<number> =>
  page.evaluate(
    async ([at, steps, each]) => {
      const canvas = document.getElementById('canvas') as HTMLCanvasElement
      const box = canvas.getBoundingClientRect()
      const began = performance.now()
      for (let step = 0; step <= steps; step += 1) {
        // A browser as well is late with what it could not tell in time.
        const due = began + step * each
        while (performance.now() < due) await new Promise((next) => setTimeout(next, due - performance.now()))
        const clientX = box.left + (0.05 + (0.9 * step) / steps) * box.width
        const clientY = box.top + ((at + 0.5 + 0.3 * Math.sin(step / 9)) / 8) * box.height
        canvas.dispatchEvent(new PointerEvent('pointermove', { clientX, clientY, buttons: step < steps ? 1 : 0 }))
      }
      return performance.now() - began
    },
    [row, moves, EACH] as const,
  )

/** A number that stands for all pixels. */
const pixels = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const canvas = document.getElementById('canvas') as HTMLCanvasElement
    const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(0, 0, canvas.width, canvas.height)
    return data.reduce((sum, value) => (Math.imul(sum, 31) + value) >>> 0, 7)
  })

interface Drawn {
  /** Of all painters together. */
  lines: number
  frames: number
}

/** Since the last call. */
const drawn = (page: Page): Promise<Drawn> =>
  page.evaluate(() => {
    const { drawn } = globalThis as unknown as { drawn: Drawn }
    const { lines, frames } = drawn
    Object.assign(drawn, { lines: 0, frames: 0 })
    return { lines, frames }
  })

test('eight people draw at once, sixty updates a second of each: no page is held up, and all end with the same picture', async ({
  browser,
  started,
  shot,
}) => {
  test.setTimeout(4 * UNTIL_TOGETHER)
  const first = await open(browser, started.canvas)
  await expect(first.getByRole('button', { name: 'Copy the link' })).toBeEnabled({ timeout: UNTIL_TOGETHER })
  const pages = [first, ...(await Promise.all(Array.from({ length: PAINTERS - 1 }, () => open(browser, first.url()))))]
  for (const page of pages) await others(page, PAINTERS - 1)
  const name = (page: Page): Promise<string> => page.getByLabel('Name').inputValue()
  const names = await Promise.all(pages.map(name))

  await Promise.all(pages.map(drawn))
  await browser.startTracing(undefined, { categories: ['toplevel', '__metadata'] })
  const took = await Promise.all(pages.map((page, row) => draw(page, row, MOVES)))
  const longest = longestTask(await browser.stopTracing())
  const rates = took.map((ms) => Math.round((10_000 * (MOVES + 1)) / ms) / 10)
  // Nothing is lost on the way, and nothing was left out before it was sent: the first and the last move draw no line.
  for (const page of pages)
    await expect
      .poll(() => page.evaluate(() => (globalThis as unknown as { drawn: Drawn }).drawn.lines), { timeout: 10_000 })
      .toBe(PAINTERS * (MOVES - 1))
  const same = await pixels(first)
  for (const page of pages.slice(1)) expect(await pixels(page)).toBe(same)
  const frames = (await Promise.all(pages.map(drawn))).map((each, at) => Math.round((1_000 * each.frames) / (took[at] as number)))
  console.log(`  ${rates.join(' ')} updates a second, ${frames.join(' ')} frames, longest task of a page: ${longest} ms`)
  await shot(first, 'eight-painters')
  for (const rate of rates) expect(rate).toBeGreaterThanOrEqual(60)
  expect(longest).toBeLessThanOrEqual(50)
  for (const [at, page] of pages.entries()) {
    const shown = await page.locator('.cursor span').allTextContents()
    expect(shown.sort()).toEqual(names.filter((_, other) => other !== at).sort())
    await expect(page.locator('.cursor:visible')).toHaveCount(PAINTERS - 1)
    await page.close()
  }
})

test('a newcomer gets the picture; names, colours and what is cleared are told to all', async ({ browser, started, shot }) => {
  const first = await open(browser, started.canvas)
  await expect(first.getByRole('button', { name: 'Copy the link' })).toBeEnabled({ timeout: UNTIL_TOGETHER })
  await first.getByLabel('Name').fill('Ada <b>L</b>')
  await first.getByLabel('Name').press('Enter')
  await draw(first, 3, 30)

  const second = await open(browser, first.url())
  for (const page of [first, second]) await others(page, 1)
  const inked = (page: Page): Promise<number> =>
    page.evaluate(() => {
      const canvas = document.getElementById('canvas') as HTMLCanvasElement
      const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(0, 0, canvas.width, canvas.height)
      return data.filter((value, at) => at % 4 === 3 && value > 128).length
    })
  const all = await inked(first)
  expect(all).toBeGreaterThan(300)
  await expect.poll(() => inked(second), { timeout: 10_000 }).toBeGreaterThan(0.9 * all)
  await draw(first, 5, 5)
  await expect(second.locator('.cursor span')).toHaveText('Ada <b>L</b>')
  await expect(second.locator('.cursor')).toBeVisible()
  await shot(second, 'a-newcomer')

  await second.getByRole('button', { name: 'Clear' }).click()
  for (const page of [first, second]) await expect.poll(() => inked(page)).toBe(0)
  await first.close()
  await expect(second.locator('.cursor')).toHaveCount(0, { timeout: UNTIL_TOGETHER })
  await second.close()
})
