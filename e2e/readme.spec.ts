/** The README's first lines, as they stand there. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'playwright/test'
import { test } from './harness.ts'

const readme = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8')
const [joins, listens, dials] = [...readme.matchAll(/```ts\n(import [\s\S]*?)```/g)].map((match) => match[1] ?? '')

const served = (code = '', relay: string): string => code.replace("'tabmesh'", "'/index.js'").replaceAll('http://localhost:9090', relay)

test("the README's three lines are a room", async ({ openPage, relay }) => {
  const [a, b] = await Promise.all([openPage(), openPage()])
  const told = a.waitForEvent('console', (message) => /^12D3KooW\w+ hello$/.test(message.text()))
  // Whoever is there first hears the other.
  await a.addScriptTag({ type: 'module', content: `${served(joins, relay.http)}\nconsole.log('joined')` })
  await a.waitForEvent('console', (message) => message.text() === 'joined')
  await b.addScriptTag({ type: 'module', content: served(joins, relay.http) })
  await told
})

test("the README's two pages meet", async ({ openPage, relay }) => {
  const asServed = (code?: string): string => served(code, relay.http)
  const [a, b] = await Promise.all([openPage(), openPage()])
  const announced = a.waitForEvent('console', (message) => message.text().startsWith('dial me at '))
  await a.addScriptTag({ type: 'module', content: asServed(listens) })
  const address = (await announced).text().slice('dial me at '.length)
  expect(address).toMatch(/\/p2p-circuit\/webrtc\/p2p\/12D3KooW\w+$/)

  const said = a.waitForEvent('console', (message) => message.text().endsWith(' says hello'))
  await b.addScriptTag({ type: 'module', content: `const address = '${address}'\n${asServed(dials)}` })
  await said
})
