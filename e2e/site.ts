/**
 * The web server of the pages under test: dist/ as it was built, and pages that load it in every way there is.
 */

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))

export interface Site {
  readonly url: string
  close(): Promise<void>
}

interface Answer {
  type?: string
  body: string | (() => Promise<Buffer>)
  policy?: string
}

const html = (head: string): string => `<!doctype html><html lang="en"><meta charset="utf-8"><title>tabmesh</title>${head}`
const script = 'text/javascript'

/** No blob, no inline, no eval and no WebAssembly: what a careful site sends. */
const STRICT = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self' ws://localhost:*"

const answers: Record<string, Answer> = {
  '/': { body: html('') },
  '/global.html': { body: html('<script src="/tabmesh.global.js"></script>') },
  '/module.html': { body: html('<script type="module">import * as tabmesh from "/index.js"; globalThis.imported = tabmesh</script>') },
  '/strict/': { body: html(''), policy: STRICT },
  '/strict/index.js': { type: script, body: () => readFile(`${dist}index.js`) },
  // A worker from the network has the policy it is served with, not its page's.
  '/strict/tabmesh.worker.js': { type: script, body: () => readFile(`${dist}tabmesh.worker.js`), policy: STRICT },
  '/broken.worker.js': { type: script, body: 'throw new Error("broken on purpose")' },
  '/crashing.worker.js': {
    type: script,
    body: `importScripts('/tabmesh.worker.js')
      addEventListener('message', ({ data }) => { if (data === 'crash') throw new Error('crashed on purpose') })`,
  },
}
for (const file of ['index.js', 'tabmesh.global.js', 'tabmesh.worker.js'])
  answers[`/${file}`] = { type: script, body: () => readFile(dist + file) }

export const startSite = async (): Promise<Site> => {
  const server = createServer((request, response) => {
    const answer = answers[(request.url ?? '/').split('?')[0] ?? '/']
    if (answer === undefined) {
      response.writeHead(404).end()
      return
    }
    const { type = 'text/html', policy, body } = answer
    response.setHeader('content-type', type)
    if (policy !== undefined) response.setHeader('content-security-policy', policy)
    Promise.resolve(typeof body === 'string' ? body : body()).then(
      (bytes) => response.end(bytes),
      (error) => response.writeHead(500).end(String(error)),
    )
  }).listen(0, 'localhost')
  await once(server, 'listening')
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
