// js-libp2p in a page, behind the calls of ours.js. What it does is in e2e/peers/js/page/page.js, bundled.

export const load = async (url) => {
  const began = performance.now()
  await import(url)
  return performance.now() - began
}

export const start = async (options) => {
  const { startMs } = await window.jsPeer.start(options)
  return startMs
}

export const webrtcAddress = async () => {
  for (;;) {
    const address = window.jsPeer.addresses().find((each) => each.includes('/p2p-circuit/webrtc/'))
    if (address !== undefined) return address
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Its ping service may wait for ever, so it is given a limit. */
export const ping = (target) => window.jsPeer.servicePing(target, { timeout: 5_000 })

export const hangUp = async (id) => {
  await window.jsPeer.hangUp(id)
  while (connected(id)) await new Promise((resolve) => setTimeout(resolve, 1))
}

export const connected = (id) => window.jsPeer.connections().some(({ remotePeer }) => remotePeer === id)

export const dialEcho = async (address, id, timeout) => {
  const { ms } = await window.jsPeer.dial(address, { timeout })
  return ms + (await window.jsPeer.echo(id, { bytes: 32, timeout })).ms
}

export const way = (id) =>
  window.jsPeer
    .connections()
    .filter(({ remotePeer }) => remotePeer === id)
    .map(({ remoteAddr }) => (remoteAddr.includes('/webrtc') ? 'webrtc' : remoteAddr.includes('/p2p-circuit') ? 'relay' : 'websocket'))
    .join('+')

/**
 * What a download sends first: more than a first window. A js-libp2p remote loses a request that comes in one piece with the stream's
 * proposal and its end (its reader is closed before the handler has it).
 */
const FIRST = 384 * 1024

export const upload = async (target, bytes) => (await window.jsPeer.perf(target, { upload: bytes })).uploadMs
export const download = async (target, bytes) => (await window.jsPeer.perf(target, { upload: FIRST, download: bytes })).downloadMs
export const echo = async (target, bytes) => (await window.jsPeer.echo(target, { bytes })).ms
