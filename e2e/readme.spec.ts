/** The README's ten lines, as they stand there. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'playwright/test'
import { test } from './harness.ts'

const readme = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8')
const [listens, dials] = [...readme.matchAll(/```ts\n(import [\s\S]*?)```/g)].map((match) => match[1] ?? '')

test("the README's two pages meet", async ({ openPage, relay }) => {
  const asServed = (code = ''): string => code.replace("'tabmesh'", "'/index.js'").replaceAll('http://localhost:9090', relay.http)
  const [a, b] = await Promise.all([openPage(), openPage()])
  const announced = a.waitForEvent('console', (message) => message.text().startsWith('dial me at '))
  await a.addScriptTag({ type: 'module', content: asServed(listens) })
  const address = (await announced).text().slice('dial me at '.length)
  expect(address).toMatch(/\/p2p-circuit\/webrtc\/p2p\/12D3KooW\w+$/)

  const said = a.waitForEvent('console', (message) => message.text().endsWith(' says hello'))
  await b.addScriptTag({ type: 'module', content: `const address = '${address}'\n${asServed(dials)}` })
  await said
})
