/** The chat example, as a newcomer meets it. */

import { type BrowserContext, expect, type Page } from 'playwright/test'
import { test } from './started.ts'

/** A page that is gone without a word is missed by WebRTC after some 15 s. */
const UNTIL_MISSED = 40_000

/** Opens the chat in `context`; anything that the page throws fails the test. */
const open = async (context: BrowserContext, url: string): Promise<Page> => {
  const page = await context.newPage()
  page.on('pageerror', (error) => {
    throw error
  })
  await page.goto(url)
  await expect(page.getByRole('status')).toHaveText('Reachable through the relay')
  return page
}

/** Shown once the page is in the room. */
const linkOf = async (page: Page): Promise<string> => {
  const link = page.getByLabel('Whoever opens this link')
  await expect(link).not.toHaveValue('')
  return link.inputValue()
}

const say = async (page: Page, text: string): Promise<void> => {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
}

const messages = (page: Page) => page.getByRole('log').locator('.text')
const direct = (page: Page) => page.locator('.person.direct')

test('two tabs meet through the link, move to a direct connection and chat', async ({ context, started, shot }) => {
  const first = await open(context, started.chat)
  await shot(first, 'first-tab-alone')
  const link = await linkOf(first)
  expect(link).toMatch(/#[\da-f]{8}\/[\da-f]{8}$/)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await first.getByRole('button', { name: 'Copy' }).click()
  expect(await first.evaluate(() => navigator.clipboard.readText())).toBe(link)

  const second = await open(context, link)
  for (const page of [first, second]) {
    await expect(direct(page)).toHaveCount(1)
    await expect(direct(page).locator('.rtt')).toHaveText(/^\d+(\.\d)? ms$/)
    // At once, or when it has left the relay.
    await expect(page.getByRole('log')).toContainText('directly')
  }
  await say(second, 'Hello from the second tab')
  await expect(messages(first)).toHaveText(['Hello from the second tab'])
  await say(first, '<b>Hello</b> from the first, with "quotes" & ümlauts 🎈')
  const both = ['Hello from the second tab', '<b>Hello</b> from the first, with "quotes" & ümlauts 🎈']
  await expect(messages(first)).toHaveText(both)
  await expect(messages(second)).toHaveText(both)
  // That the second tab has an id of its own is no news for its user.
  await expect(second.getByRole('alert')).toBeEmpty()
  await shot(first, 'first-tab')
  await second.emulateMedia({ colorScheme: 'dark' })
  await shot(second, 'second-tab-dark')
})

test('more people open the link: everybody is connected to everybody', async ({ browser, context, started, shot }) => {
  const first = await open(context, started.chat)
  const link = await linkOf(first)
  const elsewhere = await browser.newContext({ viewport: { width: 390, height: 780 } })
  const others = await Promise.all([open(context, link), open(elsewhere, link), open(elsewhere, link)])
  const everybody = [first, ...others]
  for (const page of everybody) await expect(direct(page)).toHaveCount(3)
  for (const [at, page] of everybody.entries()) {
    await say(page, `I am number ${at}`)
    for (const each of everybody) await expect(messages(each).last()).toHaveText(`I am number ${at}`)
  }
  await shot(others[1] as Page, 'on-a-phone')
  await elsewhere.close()
})

test('a reload of either side ends in the same chat', async ({ context, started }) => {
  test.setTimeout(3 * UNTIL_MISSED)
  const first = await open(context, started.chat)
  const second = await open(context, await linkOf(first))
  await expect(direct(second)).toHaveCount(1)

  const link = await linkOf(first)
  await first.reload()
  await expect(first.getByRole('status')).toHaveText('Reachable through the relay')
  expect(await linkOf(first)).toBe(link)
  await expect(direct(first)).toHaveCount(1, { timeout: UNTIL_MISSED })
  await say(second, 'welcome back')
  await expect(messages(first)).toHaveText(['welcome back'])

  await second.reload()
  await expect(direct(second)).toHaveCount(1)
  await say(second, 'and I am back too')
  await expect(messages(first)).toHaveText(['welcome back', 'and I am back too'])
  // The first one misses the id that the second had before the reload.
  const newId = (await second.locator('.person.me').getAttribute('title')) as string
  await expect(first.locator('.person:not(.me)')).toHaveCount(1, { timeout: UNTIL_MISSED })
  await expect(first.locator('.person:not(.me)')).toHaveAttribute('title', newId)
})

test('a second tab without a link joins the first; whoever came first leaves, and the rest go on', async ({
  browser,
  context,
  started,
}) => {
  test.setTimeout(3 * UNTIL_MISSED)
  const first = await open(context, started.chat)
  const second = await open(context, started.chat)
  await expect(direct(second)).toHaveCount(1)
  expect(await linkOf(second)).toBe(await linkOf(first))
  const elsewhere = await browser.newContext()
  const third = await open(elsewhere, await linkOf(second))
  await expect(direct(third)).toHaveCount(2)

  await first.close()
  for (const page of [second, third]) await expect(page.locator('.person:not(.me)')).toHaveCount(1, { timeout: UNTIL_MISSED })
  await say(third, 'we are still here')
  await expect(messages(second)).toHaveText(['we are still here'])
  await elsewhere.close()
})

test('whoever has another link hears nothing of it', async ({ browser, context, started }) => {
  const first = await open(context, started.chat)
  const link = await linkOf(first)
  const second = await open(context, link)
  await expect(direct(second)).toHaveCount(1)
  const elsewhere = await browser.newContext()
  const stranger = await open(elsewhere, `${link}1`)
  await say(first, 'for us alone')
  await expect(messages(second)).toHaveText(['for us alone'])
  await expect(stranger.locator('.person:not(.me)')).toHaveCount(0)
  await expect(messages(stranger)).toHaveCount(0)
  await elsewhere.close()
})

test('without its relay a page says so, with code and message', async ({ context, started, shot }) => {
  const url = new URL(started.chat)
  url.searchParams.set('relay', 'http://localhost:1')
  const page = await context.newPage()
  await page.goto(url.href)
  await expect(page.getByRole('alert')).toContainText('ERR_RELAY_UNREACHABLE')
  await page.getByText('What happened', { exact: true }).click()
  await expect(page.getByRole('alert')).toContainText('ws://localhost:1/')
  await shot(page, 'no-relay')
})
