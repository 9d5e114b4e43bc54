/** `npm run relay -- …`: the relay from the checkout, built anew, with the flags of `tabmesh-relay`. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bundle, bundles } from './bundle.mjs'
import { setup as generate } from './generate.mjs'

const file = 'relay/cli.js'
const outDir = fileURLToPath(new URL('../dist', import.meta.url))
const relay = bundles.find((one) => one.file === file)
if (relay === undefined) throw new Error(`${file} is not among the bundles`)
await generate()
await bundle(relay, { outDir })
const cli = `${outDir}/${file}`
if (!existsSync(cli)) throw new Error(`${cli} was not built`)
// In this process, so that signals and the terminal are the relay's own.
process.argv[1] = cli
await import(cli)
