// Waiting, but not for ever.

/**
 * Rejects when `work` takes longer than `ms`.
 *
 * @template T
 * @param {number} ms
 * @param {string} what
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
export const within = async (ms, what, work) => {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, /** @type {Promise<never>} */ (late)])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Waits until `look` returns something that is not undefined.
 *
 * @template T
 * @param {number} ms
 * @param {() => string} what
 * @param {() => Promise<T | undefined>} look
 * @returns {Promise<T>}
 */
export const until = async (ms, what, look) => {
  const end = performance.now() + ms
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`${what()} (waited ${ms} ms)`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
