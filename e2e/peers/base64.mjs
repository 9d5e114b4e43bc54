// Bytes as they cross the border of a process.

/** @param {string | Uint8Array} bytes */
export const toBase64 = (bytes) => Buffer.from(bytes).toString('base64')

/** @param {string | null} text */
export const fromBase64 = (text) => new Uint8Array(Buffer.from(text ?? '', 'base64'))
