// How long the main thread could not be had: the longest gap in a chain of 4 ms timers, and the browser's own list of long tasks.

/** What browsers make of a nested setTimeout(0). */
const TICK = 4

let running = 0
let last = 0
let stall = 0
let longTask = 0

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longTask = Math.max(longTask, duration)
}).observe({ type: 'longtask' })

const look = () => {
  const now = performance.now()
  stall = Math.max(stall, now - last - TICK)
  last = now
}

/** Starts to watch. */
export const begin = () => {
  const run = ++running
  stall = 0
  longTask = 0
  last = performance.now()
  const tick = () => {
    if (run !== running) return
    look()
    setTimeout(tick, 0)
  }
  setTimeout(tick, 0)
}

/** Milliseconds of the longest stall since `begin`, and of the longest task of 50 ms or more (0 if there was none). */
export const end = async () => {
  look()
  running++
  // Long tasks are told a moment later.
  await new Promise((resolve) => setTimeout(resolve, 20))
  return { stall: Math.max(0, stall), longTask }
}
