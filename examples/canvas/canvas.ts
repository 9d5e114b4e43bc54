/**
 * A canvas that everybody with the link draws on, with everybody's cursor. All that has to do with tabmesh is in this file; board.ts draws.
 *
 * Who somebody is, their name and colour, is their presence: whoever joins later is told of it. Where their pen is goes as five bytes, at most 60
 * times a second, to everybody, in order. What was drawn before a newcomer came is a picture that one of the others sends to them alone.
 */

import { createPeer } from 'tabmesh'
import * as board from './board.ts'

interface Painter {
  name: string
  colour: string
}

/** `npm start` runs a relay on port 9090; `?relay=https://…` is another one. */
const relay = new URLSearchParams(location.search).get('relay') ?? `${location.protocol}//${location.hostname}:9090`

/** The link holds the room's name and its password: …#name/password. */
const secret = (): string => crypto.randomUUID().slice(0, 8)
const link = location.hash.slice(1) || `${secret()}/${secret()}`
history.replaceState(null, '', `#${link}`)
addEventListener('hashchange', () => location.reload())

const peer = await createPeer({ relays: [relay], identity: 'ephemeral' }).catch(board.showFailure)
peer.addEventListener('relay:reserved', () => board.showState('Reachable through the relay'))
peer.addEventListener('relay:lost', () => board.showState('Relay lost, trying again…'))
peer.addEventListener('error', ({ detail }) => board.showState(`${detail.code}: ${detail.message}`))

let me: Painter = board.askWhoIAm(peer.id)
const [name = '', password] = link.split('/')
const room = await peer.join<Painter>(name, { presence: me, ...(password === undefined ? {} : { password }) }).catch(board.showFailure)
// Who comes takes another colour than those who are there.
const taken = [...room.peers.values()].map(({ presence }) => presence?.colour)
if (taken.includes(me.colour)) {
  me = board.askWhoIAm(peer.id, taken)
  room.presence = me
}
board.showLink(location.href)
board.onRename((changed) => {
  room.presence = changed
})

// ── What we do ──────────────────────────────────────────────────────────────────────────────────────────────────

const CLEAR = 2

/** Pen down or up, then where it is: two bytes each for x and y, of the canvas's width and height. */
board.onPen(({ x, y, down }) => {
  const message = new DataView(new ArrayBuffer(5))
  message.setUint8(0, down ? 1 : 0)
  message.setUint16(1, Math.round(x * board.GRID))
  message.setUint16(3, Math.round(y * board.GRID))
  room.send(new Uint8Array(message.buffer)).catch(board.showError)
})

board.onClear(() => room.send(Uint8Array.of(CLEAR)).catch(board.showError))

// ── What the others do ──────────────────────────────────────────────────────────────────────────────────────────

room.addEventListener('message', ({ detail: { from, data, private: forUs } }) => {
  // Only a picture is sent to one alone.
  if (forUs) return board.showPicture(data)
  if (data[0] === CLEAR) return board.clear()
  if (data.length !== 5) return
  const message = new DataView(data.buffer, data.byteOffset, data.length)
  board.showPen(from, { x: message.getUint16(1) / board.GRID, y: message.getUint16(3) / board.GRID, down: message.getUint8(0) === 1 })
})

room.addEventListener('join', async ({ detail: { peer: newcomer, presence } }) => {
  board.showPainter(newcomer, presence)
  // One picture is enough: of those who were here, the first by id sends it.
  const first = [peer.id, ...room.peers.keys()].filter((id) => id !== newcomer).sort()[0]
  if (first === peer.id) await room.sendTo(newcomer, await board.picture()).catch(() => {})
})
room.addEventListener('presence', ({ detail }) => board.showPainter(detail.peer, detail.presence))
room.addEventListener('leave', ({ detail }) => board.removePainter(detail.peer))
for (const [id, { presence }] of room.peers) board.showPainter(id, presence)
