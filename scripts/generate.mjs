/**
 * Generates the sources that are built and not committed: today the WebAssembly modules, compiled from AssemblyScript to WebAssembly.
 * Every command that needs them runs this first (Vitest as its globalSetup), and it does nothing where they are newer than their sources.
 */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const setup = async () => {
  // A process of its own would cost every command its start-up; the script builds when it is imported or exports `build`.
  const script = fileURLToPath(new URL('./build-wasm.mjs', import.meta.url))
  if (!existsSync(script)) return
  const { buildWasm } = await import('./build-wasm.mjs')
  await buildWasm()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup()
