/**
 * TXT records over HTTPS, for pages, which have no DNS of their own: https://www.rfc-editor.org/rfc/rfc8484 §4.1 (GET)
 *
 * There is no resolver unless the application names one: whoever it asks learns what it looks for.
 *
 * Bounds: DNS_TIMEOUT for an answer, DNS_MAX_MESSAGE bytes of it.
 */

import { decodeTxtAnswer, encodeTxtQuery } from '../engine/codec/dns.ts'
import { DNS_MAX_MESSAGE, DNS_TIMEOUT } from '../engine/limits.ts'
import type { LookUpTxt } from '../engine/net/dnsaddr.ts'
import { asTabmeshError, TabmeshError } from '../errors.ts'

/** Asks the resolver at `url`. Throws ERR_INVALID_ARGUMENT where that is no http(s) URL. */
export const dnsOverHttps = (url: string): LookUpTxt => {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`dnsOverHttps\` is ${JSON.stringify(url)}, not the URL of a resolver`)
  return (name, done) => {
    const given = new AbortController()
    const signal = AbortSignal.any([given.signal, AbortSignal.timeout(DNS_TIMEOUT)])
    ask(url, name, signal).then(
      (value) => done({ ok: true, value }),
      (cause: unknown) => {
        if (!given.signal.aborted) done({ ok: false, fault: asTabmeshError(cause, 'ERR_DNS', `the resolver at ${url} gives no answer`) })
      },
    )
    return () => given.abort()
  }
}

const ask = async (url: string, name: string, signal: AbortSignal): Promise<string[]> => {
  const asked = new URL(url)
  const query = btoa(String.fromCharCode(...encodeTxtQuery(name)))
  asked.searchParams.set('dns', query.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''))
  const response = await fetch(asked, { headers: { accept: 'application/dns-message' }, signal, credentials: 'omit' })
  if (!response.ok || response.body === null) throw new TabmeshError('ERR_DNS', `the resolver at ${url} answers HTTP ${response.status}`)
  const chunks: Uint8Array[] = []
  let size = 0
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size > DNS_MAX_MESSAGE) {
      await reader.cancel()
      throw new TabmeshError('ERR_DNS', `the resolver at ${url} answers with over ${DNS_MAX_MESSAGE} bytes`)
    }
    chunks.push(value)
  }
  return decodeTxtAnswer(new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer()))
}
