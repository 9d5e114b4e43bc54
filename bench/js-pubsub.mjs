// Bundles js-libp2p's pubsub page with the repository's Vite and the packages of e2e/peers/js.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const here = fileURLToPath(new URL('.', import.meta.url))
const owner = fileURLToPath(new URL('../e2e/peers/js/page/page.js', import.meta.url))

/** @param {string} outDir @returns {Promise<string>} the script's name in it */
export const buildJsPubsub = async (outDir) => {
  await build({
    root: here,
    configFile: false,
    logLevel: 'warn',
    plugins: [
      {
        name: 'packages-of-the-js-peer',
        enforce: 'pre',
        resolveId(id, importer) {
          const ours = importer?.startsWith(here) === true && !id.startsWith('.') && !id.startsWith('/')
          return ours ? this.resolve(id, owner, { skipSelf: true }) : undefined
        },
      },
    ],
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      lib: { entry: join(here, 'js-pubsub-page.js'), formats: ['es'], fileName: 'page' },
    },
  })
  return 'page.js'
}
