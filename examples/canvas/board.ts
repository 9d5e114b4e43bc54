/** The canvas and the cursors over it. Nothing here knows of the network. */

export interface Pen {
  /** From 0 to 1, of the canvas's width and height. */
  x: number
  y: number
  down: boolean
}

interface Painter {
  name: string
  colour: string
}

/** Where a pen is, is told in this many steps. */
export const GRID = 65_535

const $ = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E

const canvas = $<HTMLCanvasElement>('canvas')
const context = canvas.getContext('2d') as CanvasRenderingContext2D
context.lineCap = 'round'
context.lineWidth = 3

const COLOURS = [
  '#d6336c',
  '#7048e8',
  '#1c7ed6',
  '#0c8599',
  '#2b8a3e',
  '#b35c00',
  '#c92a2a',
  '#862e9c',
  '#364fc7',
  '#5c940d',
  '#495057',
  '#a61e4d',
]
const NAMES = ['Ada', 'Brook', 'Cleo', 'Dara', 'Eli', 'Flo', 'Gus', 'Hana', 'Ivo', 'Juna', 'Kit', 'Lou']

// ── Painters ────────────────────────────────────────────────────────────────────────────────────────────────────

interface Shown extends Painter {
  cursor: HTMLElement
  pen: Pen | undefined
}
const painters = new Map<string, Shown>()
let me: Painter = { name: '', colour: '#000' }
/** Where our own pen was last drawn. */
let own: Pen | undefined

/** A name and a colour that go with an id, until our user says otherwise; the colour is none of those that others have. */
export const askWhoIAm = (id: string, taken: readonly unknown[] = []): Painter => {
  const number = [...id].reduce((sum, letter) => Math.imul(sum ^ letter.charCodeAt(0), 16_777_619) >>> 0, 7)
  const free = COLOURS.filter((colour) => !taken.includes(colour))
  me = { name: pick(NAMES, number >>> 8), colour: pick(free.length > 0 ? free : COLOURS, number >>> 16) }
  $<HTMLInputElement>('name').value = me.name
  $<HTMLInputElement>('name').disabled = false
  $<HTMLInputElement>('colour').value = me.colour
  $<HTMLInputElement>('colour').disabled = false
  count()
  return me
}

export const onRename = (tell: (me: Painter) => void): void => {
  const changed = (): void => {
    me = { name: $<HTMLInputElement>('name').value.trim().slice(0, 20), colour: $<HTMLInputElement>('colour').value }
    tell(me)
  }
  $('name').addEventListener('change', changed)
  $('colour').addEventListener('change', changed)
}

/** What somebody tells of themselves is theirs to say: it is drawn as text, and as a colour only if it is one. */
export const showPainter = (id: string, told: Partial<Painter> | undefined): void => {
  const name = typeof told?.name === 'string' && told.name !== '' ? told.name.slice(0, 20) : 'Somebody'
  const colour = typeof told?.colour === 'string' && /^#[\da-f]{6}$/i.test(told.colour) ? told.colour : '#888888'
  const before = painters.get(id)
  const cursor = before?.cursor ?? $('cursors').appendChild(newCursor())
  cursor.style.setProperty('--colour', colour)
  ;(cursor.lastElementChild as HTMLElement).textContent = name
  cursor.dataset.peer = id
  painters.set(id, { name, colour, cursor, pen: before?.pen })
  count()
}

export const removePainter = (id: string): void => {
  painters.get(id)?.cursor.remove()
  painters.delete(id)
  count()
}

const newCursor = (): HTMLElement => {
  const cursor = document.createElement('div')
  cursor.className = 'cursor'
  cursor.hidden = true
  cursor.append(document.createElement('i'), document.createElement('span'))
  return cursor
}

const count = (): void => {
  const others = painters.size
  $('count').textContent = others === 0 ? 'Nobody else is here' : others === 1 ? 'One other is here' : `${others} others are here`
}

// ── Pens ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Milliseconds between two updates; how much of that a page that was held up makes good, with what it has missed. */
const UPDATE = 1_000 / 60
const HELD_UP = 1_000

/** Ours, 60 times a second, whether the page draws as often or not. */
export const onPen = (tell: (pen: Pen) => void): void => {
  let latest: Pen | undefined
  let due = 0
  let waits = false
  const next = (): void => {
    if (latest === undefined) return
    if (own?.down && latest.down) lines.push({ from: own, to: latest, colour: me.colour })
    own = latest
    latest = undefined
    due += UPDATE
    tell(own)
    drawSoon()
  }
  const moved = (event: PointerEvent): void => {
    const box = canvas.getBoundingClientRect()
    const all = event.getCoalescedEvents()
    for (const { clientX, clientY, buttons } of all.length > 0 ? all : [event]) {
      // As finely as others are told: all see the same.
      const within = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * GRID) / GRID
      latest = { x: within((clientX - box.left) / box.width), y: within((clientY - box.top) / box.height), down: buttons === 1 }
      const now = performance.now()
      due = Math.max(due, now - HELD_UP)
      if (due <= now) {
        next()
      } else if (!waits) {
        waits = true
        setTimeout(() => {
          waits = false
          next()
        }, due - now)
      }
    }
  }
  canvas.addEventListener('pointermove', moved)
  canvas.addEventListener('pointerup', moved)
  canvas.addEventListener('pointerdown', (event) => {
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId)
    moved(event)
  })
}

export const showPen = (id: string, pen: Pen): void => {
  const painter = painters.get(id)
  if (painter === undefined) return
  if (painter.pen?.down && pen.down) lines.push({ from: painter.pen, to: pen, colour: painter.colour })
  painter.pen = pen
  drawSoon()
}

// ── Frames ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface Line {
  from: Pen
  to: Pen
  colour: string
}

/** What came since the last frame. A page that nobody looks at has no frames: then it is drawn when there are many. */
const lines: Line[] = []
const MANY = 5_000

/** Milliseconds without a frame after each. Where timers come late the machine has too much to do: fewer frames leave time for updates. */
let pause = 8
let drawing = false

/** Once a frame at most, however many updates come: 60 a second, or as many as the machine can beside them. */
const drawSoon = (): void => {
  if (lines.length > MANY) drawLines()
  if (drawing) return
  drawing = true
  const due = performance.now() + pause
  setTimeout(() => {
    pause = performance.now() - due > 8 ? Math.min(pause + 8, 50) : Math.max(pause - 1, 8)
    requestAnimationFrame(() => {
      drawing = false
      drawLines()
      for (const { pen, cursor } of painters.values()) {
        if (pen === undefined) continue
        cursor.hidden = false
        cursor.style.translate = `${pen.x * 100}cqw ${pen.y * 100}cqh`
        // The name stays on the sheet.
        cursor.classList.toggle('left', pen.x > 0.85)
        cursor.classList.toggle('above', pen.y > 0.92)
      }
    })
  }, pause)
}

const drawLines = (): void => {
  for (const { from, to, colour } of lines) {
    context.strokeStyle = colour
    context.beginPath()
    context.moveTo(from.x * canvas.width, from.y * canvas.height)
    context.lineTo(to.x * canvas.width, to.y * canvas.height)
    context.stroke()
  }
  lines.length = 0
}

// ── The picture ─────────────────────────────────────────────────────────────────────────────────────────────────

export const clear = (): void => {
  lines.length = 0
  context.clearRect(0, 0, canvas.width, canvas.height)
}

export const onClear = (tell: () => void): void => {
  $('clear').addEventListener('click', () => {
    clear()
    tell()
  })
}

export const picture = async (): Promise<Uint8Array> => {
  drawLines()
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/webp', 0.9))
  return new Uint8Array((await blob?.arrayBuffer()) ?? [])
}

/** Under what has been drawn since. */
export const showPicture = async (bytes: Uint8Array): Promise<void> => {
  // Whoever sends no picture draws nothing.
  const image = await createImageBitmap(new Blob([bytes.slice()])).catch(() => undefined)
  if (image === undefined || image.width !== canvas.width || image.height !== canvas.height) return
  context.globalCompositeOperation = 'destination-over'
  context.drawImage(image, 0, 0)
  context.globalCompositeOperation = 'source-over'
}

// ── The frame around it ─────────────────────────────────────────────────────────────────────────────────────────

export const showState = (text: string): void => {
  $('state').textContent = text
}

export const showError = (error: unknown): void => showState(error instanceof Error ? error.message : String(error))

/** It can't start at all. */
export const showFailure = (error: unknown): never => {
  showError(error)
  throw error
}

export const showLink = (url: string): void => {
  const copy = $<HTMLButtonElement>('copy')
  copy.disabled = false
  copy.onclick = async () => {
    // The clipboard is there on https and on localhost only.
    await navigator.clipboard?.writeText(url)
    copy.textContent = navigator.clipboard === undefined ? 'It is in the address bar' : 'Copied'
    setTimeout(() => {
      copy.textContent = 'Copy the link'
    }, 2_000)
  }
}

const pick = <T>(from: readonly T[], number: number): T => from[number % from.length] as T
