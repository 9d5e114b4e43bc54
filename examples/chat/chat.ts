/**
 * A chat between tabs. All that has to do with tabmesh is in this file; view.ts draws what it is told.
 *
 * Everybody is connected to everybody. The link holds the peer id of somebody in the chat: who opens it dials them, is told
 * who else is there, and dials those too. Connections begin at the relay and move to direct ones by themselves.
 *
 * A message is one stream to each of the others: open, write, close. A stream costs no round trip, and takes the best
 * connection there is at that moment.
 */

import { createPeer, type PeerStream } from 'tabmesh'
import * as view from './view.ts'

const PROTOCOL = '/tabmesh-chat/1.0.0'

/** What a stream carries: one of these, as JSON. */
type Message = { text: string } | { people: string[] }
const MAX_LENGTH = 16_384

/** `npm start` runs a relay on port 9090; `?relay=https://…` is another one. */
const relay = new URLSearchParams(location.search).get('relay') ?? `${location.protocol}//${location.hostname}:9090`

view.showRelay('connecting', relay)
const peer = await createPeer({ relays: [relay], name: 'chat' }).catch(view.showFailure)
view.showMe(peer.id)

/** Who is in the chat, beside us. */
const people = new Set<string>()

/** Whose link this is: we go to them, and back to them when they were away. Our own if we opened the chat without one. */
let host = location.hash.slice(1)

// ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Resolves when the other side has read it. */
const send = async (to: string, message: Message): Promise<void> => {
  const stream = await peer.openStream(to, PROTOCOL, { allowLimited: true })
  await stream.writable.getWriter().write(JSON.stringify(message))
  await stream.close()
}

const receive = async (stream: PeerStream): Promise<void> => {
  const message = JSON.parse(await readAll(stream)) as Partial<{ text: unknown; people: unknown }>
  if (typeof message.text === 'string') view.showMessage(stream.remotePeer, message.text)
  if (Array.isArray(message.people)) for (const id of message.people.slice(0, 50)) meet(String(id))
  await stream.close()
}

const readAll = async ({ readable }: PeerStream): Promise<string> => {
  const reader = readable.getReader()
  const decoder = new TextDecoder()
  for (let text = ''; ; ) {
    const { value, done } = await reader.read()
    if (done) return text
    text += decoder.decode(value, { stream: true })
    if (text.length > MAX_LENGTH) throw new Error(`a message of over ${MAX_LENGTH} characters`)
  }
}

// `allowLimited`: until the direct connection stands, one that its relay limits will do. Our messages are small.
peer.handle(PROTOCOL, receive, { allowLimited: true }).catch(view.showFailure)

view.onSend((text) => {
  const shown = view.showMessage(peer.id, text)
  for (const id of people) send(id, { text }).catch((error) => shown.notDelivered(id, error))
})

// ── People ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** A peer has told what it speaks. The relay is a peer too, and does not speak our protocol. */
peer.addEventListener('peer:identify', ({ detail: { peer: id, protocols } }) => {
  if (!protocols.includes(PROTOCOL) || people.has(id)) return
  send(id, { people: [...people] }).catch(view.showError)
  people.add(id)
  showPeople()
})

peer.addEventListener('peer:disconnect', ({ detail: { peer: id } }) => {
  if (!people.delete(id)) return
  showPeople()
  if (id === host) stayWithHost()
})

const meet = (id: string): void => {
  if (id !== peer.id && !people.has(id)) peer.dial(id).catch(view.showError)
}

let trying = false
const stayWithHost = async (): Promise<void> => {
  if (trying || host === peer.id) return
  trying = true
  for (let wait = 500; !people.has(host); wait = Math.min(2 * wait, 8_000)) {
    await peer.dial(host).catch((error) => view.showHostAway(host, error))
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
  trying = false
}

/** Which way we reach each of them, and how far it is. */
const showPeople = (): void => {
  view.showPeople(
    [...people].map((id) => {
      const ways = peer.connections.filter(({ remotePeer }) => remotePeer === id)
      const best = ways.find(({ transport }) => transport !== 'relay') ?? ways[0]
      return { id, path: best?.transport === 'relay' ? 'relay' : 'direct', rtt: best?.rtt }
    }),
  )
}
setInterval(showPeople, 500)
setInterval(() => {
  for (const id of people) peer.ping(id).catch(() => {})
}, 3_000)

// ── The relay, and what goes wrong ──────────────────────────────────────────────────────────────────────────────

/** Now we can be dialled: the link is worth sharing, and we can dial others through the relay. */
peer.addEventListener('relay:reserved', () => {
  host ||= peer.id
  localStorage.setItem('chat', host)
  history.replaceState(null, '', `#${host}`)
  view.showLink(location.href)
  view.showRelay('reserved', relay)
  stayWithHost()
})

peer.addEventListener('relay:lost', () => view.showRelay('lost', relay))

peer.addEventListener('error', ({ detail: error }) => {
  // A second tab of this browser goes on with an id of its own; without a link, it joins the first one.
  if (error.code === 'ERR_IDENTITY_IN_USE') host ||= localStorage.getItem('chat') ?? ''
  else view.showError(error, error.code.startsWith('ERR_RELAY') ? "The relay can't be used. Trying again…" : undefined)
})

// Another link was pasted into the address bar.
addEventListener('hashchange', () => location.reload())
