// Our Node peer as a process of its own, serving echo and perf: `node our-node.mjs DIST`. Its first line on stdout is
// { peerId, addresses }. Ends with its stdin.

import { pathToFileURL } from 'node:url'
import { startOurPeer } from '../e2e/interop/our-peer.mjs'

const { createPeer } = await import(pathToFileURL(`${process.argv[2]}/node.js`).href)
const peer = await startOurPeer(createPeer, { listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
console.log(JSON.stringify({ peerId: peer.peerId, addresses: peer.addresses() }))
process.stdin.on('end', () => process.exit()).resume()
