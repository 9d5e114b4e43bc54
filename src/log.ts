/**
 * Logging to the console, switched on as is the custom of the web: `localStorage.debug = 'tabmesh:*'`.
 */

import type { LogEntry } from './types.ts'

/** A logger for what `localStorage.debug` asks for when it is made; silent otherwise. */
export const consoleLogger = (): ((entry: LogEntry) => void) => {
  const patterns = wanted()
  if (patterns.length === 0) return () => {}
  return (entry) => {
    if (patterns.some((pattern) => pattern.test(entry.scope))) console.debug(entry.scope, entry.message, entry.detail ?? '')
  }
}

const wanted = (): RegExp[] => {
  let setting: string | null = null
  try {
    setting = globalThis.localStorage?.getItem('debug') ?? null
  } catch {
    // Sandboxed frames may not look.
  }
  return (setting ?? '')
    .split(/[\s,]+/)
    .filter((each) => each.startsWith('tabmesh') || each === '*')
    .map((each) => new RegExp(`^${each.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`))
}
