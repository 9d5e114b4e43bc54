/** The canvas example: eight people draw at once, and what each of them sees is the same. */

import { type BrowserContext, expect, type Page } from 'playwright/test'
import { test } from './started.ts'

const PAINTERS = 8
/** Of one stroke, from left to right. */
const MOVES = 300
/** Eight pages that start at once on a busy machine. */
const UNTIL_TOGETHER = 60_000

const open = async (context: BrowserContext, url: string): Promise<Page> => {
  const page = await context.newPage()
  page.on('pageerror', (error) => {
    throw error
  })
  await page.addInitScript(() => {
    const tasks: number[] = []
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })
    const drawn = { tasks, lines: 0 }
    const lineTo = CanvasRenderingContext2D.prototype.lineTo
    CanvasRenderingContext2D.prototype.lineTo = function (x, y) {
      drawn.lines += 1
      lineTo.call(this, x, y)
    }
    Object.assign(globalThis, { drawn })
  })
  await page.goto(url)
  return page
}

const others = (page: Page, count: number) =>
  expect(page.locator('#count')).toHaveText(count === 1 ? 'One other is here' : `${count} others are here`, { timeout: UNTIL_TOGETHER })

/** Each in a row of its own, `moves` times, 60 times a second. Returns how long it took, in milliseconds. */
const draw = (page: Page, row: number, moves: number): Promise<number> =>
  page.evaluate(
    async ([at, steps]) => {
      const canvas = document.getElementById('canvas') as HTMLCanvasElement
      const box = canvas.getBoundingClientRect()
      const began = performance.now()
      for (let step = 0; step <= steps; step += 1) {
        const clientX = box.left + (0.05 + (0.9 * step) / steps) * box.width
        const clientY = box.top + ((at + 0.5 + 0.3 * Math.sin(step / 9)) / 8) * box.height
        canvas.dispatchEvent(new PointerEvent('pointermove', { clientX, clientY, buttons: step < steps ? 1 : 0 }))
        // A turn more than the page waits: each move is told.
        const due = began + (step + 1) * (1_000 / 60)
        while (performance.now() < due) await new Promise((next) => setTimeout(next, due - performance.now()))
      }
      return performance.now() - began
    },
    [row, moves] as const,
  )

/** A number that stands for all pixels. */
const pixels = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const canvas = document.getElementById('canvas') as HTMLCanvasElement
    const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(0, 0, canvas.width, canvas.height)
    return data.reduce((sum, value) => (Math.imul(sum, 31) + value) >>> 0, 7)
  })

/** The longest task since the last call, in milliseconds, and how many lines were drawn, of all painters together. */
const measure = (page: Page): Promise<{ longest: number; lines: number }> =>
  page.evaluate(() => {
    const { drawn } = globalThis as unknown as { drawn: { tasks: number[]; lines: number } }
    const { lines } = drawn
    drawn.lines = 0
    return { longest: Math.max(0, ...drawn.tasks.splice(0)), lines }
  })

test('eight people draw at once, see each other move, and end with the same picture', async ({ browser, started, shot }) => {
  test.setTimeout(4 * UNTIL_TOGETHER)
  const context = await browser.newContext({ viewport: { width: 800, height: 520 } })
  const first = await open(context, started.canvas)
  await expect(first.getByRole('button', { name: 'Copy the link' })).toBeEnabled({ timeout: UNTIL_TOGETHER })
  const pages = [first, ...(await Promise.all(Array.from({ length: PAINTERS - 1 }, () => open(context, first.url()))))]
  for (const page of pages) await others(page, PAINTERS - 1)

  await Promise.all(pages.map(measure))
  const took = Math.max(...(await Promise.all(pages.map((page, row) => draw(page, row, MOVES)))))
  const drawn = await pixels(first)
  for (const page of pages.slice(1)) await expect.poll(() => pixels(page), { timeout: 10_000 }).toBe(drawn)
  const measured = await Promise.all(pages.map(measure))
  const { lines } = measured[0] as { lines: number }
  expect(measured.map((each) => each.lines)).toEqual(pages.map(() => lines))
  const tasks = measured.map(({ longest }) => Math.round(longest)).join(' ')
  console.log(`  ${Math.round((lines / PAINTERS / took) * 1_000)} updates a second of each, longest tasks of ${tasks} ms`)
  await shot(first, 'eight-painters')
  await context.close()
})

test('a newcomer gets the picture; names, colours and what is cleared are told to all', async ({ browser, started, shot }) => {
  const context = await browser.newContext({ viewport: { width: 800, height: 520 } })
  const first = await open(context, started.canvas)
  await expect(first.getByRole('button', { name: 'Copy the link' })).toBeEnabled({ timeout: UNTIL_TOGETHER })
  await first.getByLabel('Name').fill('Ada <b>L</b>')
  await first.getByLabel('Name').press('Enter')
  await draw(first, 3, 30)

  const second = await open(context, first.url())
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
  await context.close()
})
