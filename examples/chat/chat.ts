/**
 * A chat between tabs. All that has to do with tabmesh is in this file; view.ts draws what it is told.
 *
 * The link holds the name of a room and its password: …#name/password. Whoever has it is in the chat; the relay, where they find each other,
 * learns neither, and carries what is said only until the direct connections stand.
 */

import { createPeer } from 'tabmesh'
import * as view from './view.ts'

/** `npm start` runs a relay on port 9090; `?relay=https://…` is another one. */
const relay = new URLSearchParams(location.search).get('relay') ?? `${location.protocol}//${location.hostname}:9090`

/** Without a link it is the chat that this browser was in last, or a new one. */
const secret = (): string => crypto.randomUUID().slice(0, 8)
const link = location.hash.slice(1) || localStorage.getItem('chat') || `${secret()}/${secret()}`
localStorage.setItem('chat', link)
history.replaceState(null, '', `#${link}`)

view.showRelay('connecting', relay)
const peer = await createPeer({ relays: [relay], name: 'chat' }).catch(view.showFailure)
view.showMe(peer.id)

// ── The relay, and what goes wrong ──────────────────────────────────────────────────────────────────────────────

peer.addEventListener('relay:reserved', () => view.showRelay('reserved', relay))
peer.addEventListener('relay:lost', () => view.showRelay('lost', relay))
peer.addEventListener('error', ({ detail: error }) => {
  // A second tab of this browser goes on with an id of its own, which is as good.
  if (error.code === 'ERR_IDENTITY_IN_USE') return
  view.showError(error, error.code.startsWith('ERR_RELAY') ? "The relay can't be used. Trying again…" : undefined)
})

// ── The room ────────────────────────────────────────────────────────────────────────────────────────────────────

const [name = '', password] = link.split('/')
const room = await peer.join(name, password === undefined ? {} : { password }).catch(view.showFailure)
view.showLink(location.href)

room.addEventListener('message', ({ detail }) => view.showMessage(detail.from, detail.text()))

view.onSend((text) => {
  view.showMessage(peer.id, text)
  room.send(text).catch(view.showError)
})

/** Who is here, which way we reach each of them, and how far it is. */
const showPeople = (): void => {
  view.showPeople([...room.peers].map(([id, { direct, rtt }]) => ({ id, path: direct ? 'direct' : 'relay', rtt })))
}
room.addEventListener('join', showPeople)
room.addEventListener('leave', showPeople)
// The way to somebody changes without a word.
setInterval(showPeople, 500)

// Another link was pasted into the address bar.
addEventListener('hashchange', () => location.reload())
