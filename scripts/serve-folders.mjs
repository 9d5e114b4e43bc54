/** A server for pages of tests and benchmarks, on a free port of this machine. */

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'

const contentTypes = /** @type {Record<string, string>} */ ({ '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' })

/**
 * @param {Record<string, string>} folders what lies under which path: `{ '/dist/': '/home/…/dist' }`
 * @param {Record<string, string>} [pages] HTML that is no file
 * @returns {Promise<{ origin: string, close: () => void }>}
 */
export const serveFolders = async (folders, pages = {}) => {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname)
    if (pages[path] !== undefined) return response.writeHead(200, { 'content-type': 'text/html' }).end(pages[path])
    const prefix = Object.keys(folders).find((each) => path.startsWith(each))
    try {
      if (prefix === undefined) throw new Error('no such folder')
      const body = await readFile(join(/** @type {string} */ (folders[prefix]), path.slice(prefix.length)))
      return response.writeHead(200, { 'content-type': contentTypes[extname(path)] ?? 'application/octet-stream' }).end(body)
    } catch {
      return response.writeHead(404).end()
    }
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', () => resolve(undefined)))
  return {
    origin: `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
