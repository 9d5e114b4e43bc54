/**
 * The DTLS certificate of a WebRTC-direct listener. Its hash is part of the listener's address, so it is kept on the disk beside
 * the identity key, in one PEM file of its owner only, and the address outlives the process.
 *
 *   read ─┬─▶ good for RENEW_AHEAD at least: used
 *         └─▶ not there, damaged, or near its end: made and put in its place; the address changes
 *
 * Nobody checks how long it is valid: the address names it, and Noise says whose it is. It lasts ten years all the same and not
 * for ever, as X.509 wants a date. A damaged one is replaced, unlike a key of identity: what is lost is an address.
 */

import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { TabmeshError } from '../../errors.ts'
import { selfSigned } from '../certificate.ts'

const DAY = 86_400_000
const LIFETIME = 3_650 * DAY
/** Long enough that addresses handed out today work for a month. */
const RENEW_AHEAD = 30 * DAY
/** Clocks differ. */
const BACKDATED = DAY

export interface DtlsCertificate {
  readonly pem: string
  readonly keyPem: string
  /** SHA-256 of its DER. */
  readonly fingerprint: Uint8Array
}

/** Where listeners get their certificate from: the same for all until it has to be renewed. */
export interface DtlsCertificates {
  /** `now`: unix milliseconds. Throws ERR_STORE where the file can't be read or written. */
  current(now: number): Promise<DtlsCertificate>
}

/** Kept in `webrtc.pem` in `directory`, or, without one, in memory. */
export const dtlsCertificates = (directory?: string): DtlsCertificates => {
  let held: string | undefined
  let pending: Promise<DtlsCertificate> | undefined
  const find = async (now: number): Promise<DtlsCertificate> => {
    const file = directory === undefined ? undefined : join(directory, 'webrtc.pem')
    held ??= file === undefined ? undefined : await refusing(file, () => readOrNothing(file))
    const good = held === undefined ? undefined : readPem(held, now)
    if (good !== undefined) return good
    const { pem, keyPem } = selfSigned({ notBefore: now - BACKDATED, notAfter: now + LIFETIME })
    const made = keyPem + pem
    if (file !== undefined) await refusing(file, () => replace(file, made))
    held = made
    return readPem(made, now) as DtlsCertificate
  }
  return {
    async current(now) {
      // Listeners that start together must not make one each.
      while (pending !== undefined) await pending.catch(() => {})
      pending = find(now)
      try {
        return await pending
      } finally {
        pending = undefined
      }
    },
  }
}

/** Undefined where it is damaged, of another kind, or near its end. */
const readPem = (text: string, now: number): DtlsCertificate | undefined => {
  try {
    const certificate = new X509Certificate(text)
    const key = createPrivateKey(text)
    const { namedCurve } = key.asymmetricKeyDetails ?? {}
    if (namedCurve !== 'prime256v1' || !certificate.checkPrivateKey(key)) return undefined
    if (Date.parse(certificate.validTo) < now + RENEW_AHEAD || Date.parse(certificate.validFrom) > now) return undefined
    const fingerprint = Uint8Array.from(certificate.fingerprint256.split(':'), (hex) => Number.parseInt(hex, 16))
    return { pem: certificate.toString(), keyPem: key.export({ type: 'pkcs8', format: 'pem' }) as string, fingerprint }
  } catch {
    return undefined
  }
}

const readOrNothing = (file: string): Promise<string | undefined> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : Promise.reject(error)))

/** What has the name is always whole. */
const replace = async (file: string, text: string): Promise<void> => {
  await mkdir(join(file, '..'), { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, file)
  } finally {
    await unlink(draft).catch(() => {})
  }
}

const refusing = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    throw new TabmeshError('ERR_STORE', `${file}: ${(error as Error).message}`, { cause: error })
  }
}
