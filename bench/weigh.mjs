// Bytes of the bundles that a page loads. js-libp2p is given what our one bundle has, as far as its packages are there: see hello.js.

import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { weighJsHello } from '../e2e/peers/js/page/build.mjs'

/** @typedef {{ min: number, gzip: number, brotli: number }} Weight */

/** @param {string | Buffer} text @returns {Promise<Weight>} */
const weigh = async (text) => {
  const code = Buffer.from(text)
  const [gzipped, brotlied] = await Promise.all([
    promisify(gzip)(code, { level: 9 }),
    promisify(brotliCompress)(code, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: code.length } }),
  ])
  return { min: code.length, gzip: gzipped.length, brotli: brotlied.length }
}

/** @param {string} dist @returns {Promise<{ all: Weight, worker: Weight }>} what createPeer takes, and the worker's part of it */
export const weighOurs = async (dist) => {
  const files = await Promise.all(['index.js', 'tabmesh.worker.js'].map((file) => readFile(`${dist}/${file}`, 'utf8')))
  const [all, worker] = await Promise.all(files.map((text) => weigh(text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n'))))
  return { all: /** @type {Weight} */ (all), worker: /** @type {Weight} */ (worker) }
}

export { weighJsHello as weighJs }
