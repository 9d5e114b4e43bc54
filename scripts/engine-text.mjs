/**
 * `virtual:tabmesh-engine` for Vite and Vitest: the worker's script as text, built when something first asks for it.
 * The SDK makes a Blob URL of it, so that a page needs one file only.
 *
 * @param {() => Promise<string>} [source] what the module holds; the freshly built worker where nothing is given
 * @returns {import('vite').Plugin}
 */
export const engineText = (source = async () => (await import('./bundle.mjs')).buildWorkerText()) => {
  /** @type {Promise<string> | undefined} */
  let text
  return {
    name: 'tabmesh:engine-text',
    resolveId: (id) => (id === 'virtual:tabmesh-engine' ? '\0virtual:tabmesh-engine' : undefined),
    load: async (id) => {
      if (id !== '\0virtual:tabmesh-engine') return undefined
      text ??= source()
      return `export const engineSource = ${JSON.stringify(await text)}`
    },
  }
}
