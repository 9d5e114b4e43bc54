import { createHash, X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { selfSigned } from '../certificate.ts'
import { dtlsCertificates } from './certificates.ts'

const day = 86_400_000
const now = Date.UTC(2026, 6, 1)

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tabmesh-dtls-'))
})
afterEach(() => rm(directory, { recursive: true }))

const file = (): string => join(directory, 'webrtc.pem')

describe('the certificate of a WebRTC-direct listener', () => {
  it('has the hash of its DER for its fingerprint', async () => {
    const { pem, fingerprint } = await dtlsCertificates().current(now)
    expect(Buffer.from(fingerprint)).toEqual(createHash('sha256').update(new X509Certificate(pem).raw).digest())
  })

  it('is the same after a restart, and nobody else may read it', async () => {
    const made = await dtlsCertificates(directory).current(now)
    expect(await dtlsCertificates(directory).current(now + 300 * day)).toEqual(made)
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    expect(await readdir(directory)).toEqual(['webrtc.pem'])
  })

  it('is one for listeners that start together', async () => {
    const certificates = dtlsCertificates(directory)
    const [one, other] = await Promise.all([certificates.current(now), certificates.current(now)])
    expect(one).toEqual(other)
  })

  it('is renewed a month before its end', async () => {
    const certificates = dtlsCertificates(directory)
    const made = await certificates.current(now)
    const end = Date.parse(new X509Certificate(made.pem).validTo)
    expect(await certificates.current(end - 31 * day)).toEqual(made)
    const renewed = await certificates.current(end - 29 * day)
    expect(renewed.fingerprint).not.toEqual(made.fingerprint)
    expect(await dtlsCertificates(directory).current(end)).toEqual(renewed)
  })

  it('is made anew where the file is damaged or of another kind', async () => {
    const { pem, keyPem } = selfSigned({ notBefore: now - day, notAfter: now + 100 * day })
    const other = selfSigned({ notBefore: now - day, notAfter: now + 100 * day })
    for (const text of ['', 'nonsense', pem, keyPem, other.keyPem + pem]) {
      await writeFile(file(), text)
      await dtlsCertificates(directory).current(now)
      expect(await readFile(file(), 'utf8')).not.toBe(text)
    }
    await writeFile(file(), keyPem + pem)
    expect((await dtlsCertificates(directory).current(now)).pem).toBe(pem)
  })

  it('says where it can not be kept', async () => {
    await writeFile(join(directory, 'a file'), '')
    const kept = dtlsCertificates(join(directory, 'a file', 'inside')).current(now)
    await expect(kept).rejects.toMatchObject({ code: 'ERR_STORE' })
  })
})
