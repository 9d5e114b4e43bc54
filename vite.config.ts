/** The examples, as `npm start` serves them: they see what a user sees, which is dist/. The library itself is built by scripts/build.mjs. */

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const path = (from: string): string => fileURLToPath(new URL(from, import.meta.url))

export default defineConfig({
  root: path('examples'),
  // For script tags: /tabmesh.global.js and /tabmesh.worker.js.
  publicDir: path('dist'),
  cacheDir: path('.cache/vite'),
  resolve: { alias: [{ find: /^tabmesh$/, replacement: path('dist/index.js') }] },
  optimizeDeps: { noDiscovery: true, include: [] },
  server: { port: 5173, strictPort: true, fs: { allow: [path('.')] } },
  build: { target: 'es2022' },
})
