/**
 * What a page can tell of its network: that it went, that it is there again or another, and that this machine slept.
 *
 *   offline ─────────────────────────────────────────────────────────────▶ 'offline'
 *   online, navigator.connection `change`, pageshow, resume, visible again,
 *   a clock that went on without us ─────────────────────────────────────▶ 'online': look whether everything is still there
 *
 * None of them is sure, and some come together: the engine checks its connections and breaks nothing that answers.
 *
 * Bounds: one word in SETTLE milliseconds; one timer.
 */

import type { NetworkNews } from './port/messages.ts'

/** A page is told of one change several times within a moment. */
const SETTLE = 100
/** How often the clock is looked at, in milliseconds; hidden pages are let do so once a minute (Chromium), which is no sleep. */
const LOOK = 5_000
const SLEPT = 20_000
const HIDDEN_SLEPT = 90_000

/** Tells until the returned function is called. */
export const watchNetwork = (tell: (news: NetworkNews) => void): (() => void) => {
  if (typeof document === 'undefined' || typeof globalThis.addEventListener !== 'function') return () => {}
  let settling: ReturnType<typeof setTimeout> | undefined
  let away = false
  let hiddenSince: number | undefined
  const changed = (): void => {
    settling ??= setTimeout(() => {
      settling = undefined
      // What says that there is no network may be wrong, but then nothing needs to be looked at either.
      if (navigator.onLine === false) return
      away = false
      tell('online')
    }, SETTLE)
  }
  const offline = (): void => {
    away = true
    tell('offline')
  }
  const shown = (): void => {
    if (document.visibilityState === 'hidden') hiddenSince = Date.now()
    else if (hiddenSince !== undefined && Date.now() - hiddenSince > SLEPT) changed()
  }
  let lookedAt = Date.now()
  const timer = setInterval(() => {
    const gap = Date.now() - lookedAt
    lookedAt += gap
    // The event that says so may have been missed.
    if (away && navigator.onLine !== false) changed()
    if (gap > (document.visibilityState === 'hidden' ? HIDDEN_SLEPT : SLEPT)) changed()
  }, LOOK)
  const { connection } = navigator as { connection?: EventTarget }
  const listeners: [EventTarget, string, () => void][] = [
    [globalThis, 'online', changed],
    [globalThis, 'offline', offline],
    [globalThis, 'pageshow', changed],
    [document, 'resume', changed],
    [document, 'visibilitychange', shown],
    ...(connection === undefined ? [] : [[connection, 'change', changed] as [EventTarget, string, () => void]]),
  ]
  for (const [target, type, listener] of listeners) target.addEventListener(type, listener)
  return () => {
    clearTimeout(settling)
    clearInterval(timer)
    for (const [target, type, listener] of listeners) target.removeEventListener(type, listener)
  }
}
