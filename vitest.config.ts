import { defineConfig } from 'vitest/config'
import { engineText } from './scripts/engine-text.mjs'

export default defineConfig({
  plugins: [engineText()],
  test: {
    include: ['{src,workers,relay-server,scripts}/**/*.test.ts'],
    globalSetup: ['./scripts/generate.mjs'],
    environment: 'node',
    pool: 'threads',
    testTimeout: 30_000,
    passWithNoTests: true,
  },
})
