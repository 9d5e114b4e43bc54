/** What the chat looks like. Nothing here knows of the network. */

import { TabmeshError } from 'tabmesh'

export interface Person {
  id: string
  path: 'relay' | 'direct'
  /** Milliseconds there and back, once measured. */
  rtt: number | undefined
}

let me = ''
/** What is shown of each of the others. */
const shown = new Map<string, Person>()

// ── Ourselves and the relay ─────────────────────────────────────────────────────────────────────────────────────

export const showMe = (id: string): void => {
  me = id
  drawPeople()
  for (const field of $('composer').querySelectorAll('input, button')) field.removeAttribute('disabled')
  // On a phone that would bring up the keyboard.
  if (matchMedia('(pointer: fine)').matches) $('text').focus()
  const hint =
    'Send the link to somebody, or open it in a second tab. You meet at the relay, and then your messages go from browser to browser.'
  append(element('li', 'empty', [element('b', '', 'Nobody else is here yet'), element('span', '', hint)]))
}

export const showRelay = (state: 'connecting' | 'reserved' | 'lost', url: string): void => {
  const says = { connecting: 'Connecting to the relay…', reserved: 'Reachable through the relay', lost: 'Relay lost, trying again…' }
  $('relay').dataset.state = state
  $('relay').textContent = says[state]
  $('relay').title = url
  if (state === 'reserved') clearErrors((code) => code.startsWith('ERR_RELAY'))
}

export const showLink = (url: string): void => {
  const link = $('link') as HTMLInputElement
  link.value = url
  // The end of it is what matters.
  link.scrollLeft = link.scrollWidth
  link.onfocus = () => link.select()
  const copy = $('copy') as HTMLButtonElement
  copy.disabled = false
  copy.onclick = async () => {
    link.select()
    // The clipboard is there on https and on localhost only.
    await navigator.clipboard?.writeText(url)
    copy.textContent = navigator.clipboard === undefined ? 'Press Ctrl+C' : 'Copied'
    setTimeout(() => (copy.textContent = 'Copy'), 2_000)
  }
  const open = $('open') as HTMLAnchorElement
  open.href = url
  open.hidden = false
}

// ── People ──────────────────────────────────────────────────────────────────────────────────────────────────────

export const showPeople = (people: readonly Person[]): void => {
  for (const person of people) {
    const { id, path } = person
    const before = shown.get(id)
    const way = path === 'relay' ? 'through the relay' : 'directly'
    if (before === undefined) {
      showNote(`${nameOf(id)} is here, ${way}`)
      $('log').querySelector('.empty')?.remove()
    } else if (before.path !== path) showNote(`${nameOf(id)} is now connected ${way}`)
    shown.set(id, person)
  }
  for (const id of shown.keys()) {
    if (people.some((person) => person.id === id)) continue
    shown.delete(id)
    showNote(`${nameOf(id)} has left`)
  }
  drawPeople()
}

const drawPeople = (): void => {
  const rows = [...shown].map(([id, { path, rtt }]) => row(id, path, path, rtt === undefined ? '' : round(rtt)))
  $('people').replaceChildren(...(me === '' ? [] : [row(me, 'me', 'you', '')]), ...rows)
}

const row = (id: string, kind: string, path: string, rtt: string): HTMLElement => {
  const item = element('li', `person ${kind}`, [
    avatar(id),
    element('span', 'who', [element('b', '', nameOf(id)), element('code', '', `…${id.slice(-8)}`)]),
    element('span', 'path', [element('span', 'badge', path), ...(rtt === '' ? [] : [element('span', 'rtt', rtt)])]),
  ])
  item.title = id
  return item
}

const round = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`)

// ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────

export const onSend = (send: (text: string) => void): void => {
  const input = $('text') as HTMLInputElement
  ;($('composer') as HTMLFormElement).onsubmit = (event) => {
    event.preventDefault()
    const text = input.value.trim()
    input.value = ''
    if (text !== '') send(text)
  }
}

export const showMessage = (from: string, text: string): void => {
  const time = new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  const body = element('div', 'body', [
    element('p', 'from', [element('b', '', from === me ? 'You' : nameOf(from)), element('time', '', time)]),
    element('p', 'text', text),
  ])
  append(element('li', from === me ? 'message mine' : 'message', [avatar(from), body]))
}

const showNote = (text: string): void => append(element('li', 'note', text))

const append = (item: HTMLElement): void => {
  const log = $('log')
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80
  log.append(item)
  if (atEnd) log.scrollTop = log.scrollHeight
}

// ── Errors: each code once, the latest ──────────────────────────────────────────────────────────────────────────

export const showError = (error: unknown, title = 'Something went wrong'): void => {
  const code = codeOf(error)
  const close = element('button', 'close', '×')
  close.ariaLabel = 'Dismiss'
  const lines = new Set([...reasonsOf(error), error instanceof Error ? error.message : String(error)])
  const box = element('div', 'error', [
    element('p', '', [element('b', '', title), element('code', '', code)]),
    element('details', '', [element('summary', '', 'What happened'), ...[...lines].map((line) => element('p', '', line))]),
    close,
  ])
  box.dataset.code = code
  close.onclick = () => box.remove()
  clearErrors((before) => before === code)
  $('errors').append(box)
}

/** A failed dial holds one error for each address, and each of those its cause. */
const reasonsOf = (error: unknown): string[] => {
  if (error instanceof TabmeshError && error.errors.length > 0) return error.errors.flatMap(reasonsOf)
  if (!(error instanceof Error)) return []
  return error.cause === undefined ? [error.message] : reasonsOf(error.cause)
}

/** The chat can't start at all. */
export const showFailure = (error: unknown): never => {
  $('relay').dataset.state = 'lost'
  $('relay').textContent = 'Not started'
  showError(error, 'The chat could not start')
  throw error
}

const clearErrors = (match: (code: string) => boolean): void => {
  for (const box of [...$('errors').children]) if (match((box as HTMLElement).dataset.code ?? '')) box.remove()
}

const codeOf = (error: unknown): string => (error instanceof TabmeshError ? error.code : error instanceof Error ? error.name : 'Error')

// ── Names and elements ──────────────────────────────────────────────────────────────────────────────────────────

const COLOURS = [
  'Amber',
  'Azure',
  'Coral',
  'Golden',
  'Hazel',
  'Indigo',
  'Ivory',
  'Jade',
  'Lilac',
  'Mint',
  'Olive',
  'Ruby',
  'Sandy',
  'Silver',
  'Teal',
  'Violet',
]
const ANIMALS = [
  'Badger',
  'Crane',
  'Dolphin',
  'Falcon',
  'Fox',
  'Gecko',
  'Heron',
  'Ibis',
  'Koala',
  'Lynx',
  'Marten',
  'Otter',
  'Puffin',
  'Raven',
  'Seal',
  'Wren',
]

/** A peer id is a public key, and everybody makes the same name of it: names need no message. (The hash is FNV-1a.) */
const numberOf = (id: string, salt: string): number => {
  let hash = 0x811c9dc5
  for (const char of id + salt) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
const nameOf = (id: string): string => `${COLOURS[numberOf(id, 'colour') % 16]} ${ANIMALS[numberOf(id, 'animal') % 16]}`

const avatar = (id: string): HTMLElement => {
  const face = element('span', 'avatar', nameOf(id).replace(/[^A-Z]/g, ''))
  face.ariaHidden = 'true'
  face.style.setProperty('--hue', `${numberOf(id, 'hue') % 360}`)
  return face
}

/** Text goes in as text: what others write is never HTML. */
const element = (tag: string, className: string, content: string | HTMLElement[]): HTMLElement => {
  const made = document.createElement(tag)
  made.className = className
  made.append(...(typeof content === 'string' ? [content] : content))
  return made
}

const $ = (id: string): HTMLElement => document.getElementById(id) as HTMLElement
