/**
 * Multibase: https://github.com/multiformats/multibase. Text whose first character names its alphabet; here the
 * families that libp2p addresses and CIDs are written in: base16, base32, base36, base58btc, base64.
 *
 * Bounds. base36 and base58 take time with the square of the length: text over 256 characters is refused.
 */

import { base16, base16upper } from 'multiformats/bases/base16'
import { base32, base32upper } from 'multiformats/bases/base32'
import { base36, base36upper } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { base64, base64url } from 'multiformats/bases/base64'

const bases = new Map(
  [base16, base16upper, base32, base32upper, base36, base36upper, base58btc, base64, base64url].map((base) => [
    base.prefix as string,
    base,
  ]),
)

const MAX_TEXT = 256

/** The bytes, or undefined where the text is empty, too long, in another alphabet or not in its own. */
export const fromMultibase = (text: string): Uint8Array | undefined => decode(text, (own) => bases.get(own.charAt(0))?.decode(own))

/** Without a prefix. One text for one array of bytes, and the other way round. */
export const fromBase58 = (text: string): Uint8Array | undefined => decode(text, base58btc.baseDecode)

const decode = (text: string, decoder: (text: string) => Uint8Array | undefined): Uint8Array | undefined => {
  // The decoder takes characters beyond Latin-1 for zeros.
  if (text.length > MAX_TEXT || !/^[!-~]+$/.test(text)) return undefined
  try {
    return decoder(text)
  } catch {
    return undefined
  }
}

/** Without a prefix: peer ids. */
export const toBase58 = (bytes: Uint8Array): string => base58btc.baseEncode(bytes)

/** With its prefix, `b…`. */
export const toBase32 = (bytes: Uint8Array): string => base32.encode(bytes)

/** With its prefix, `k…`. */
export const toBase36 = (bytes: Uint8Array): string => base36.encode(bytes)

/** With its prefix, `u…`. */
export const toBase64Url = (bytes: Uint8Array): string => base64url.encode(bytes)
