import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { engineText } from './scripts/engine-text.mjs'

export default defineConfig({
  plugins: [engineText()],
  test: {
    include: ['{src,workers,relay-server,scripts}/**/*.test.ts'],
    globalSetup: ['./scripts/generate.mjs'],
    environment: 'node',
    // Processes, because native modules (WebRTC, QUIC) are not made to be loaded by several threads of one.
    pool: 'forks',
    // By default two cores would run one at a time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 30_000,
    passWithNoTests: true,
  },
})
