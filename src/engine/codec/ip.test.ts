import { isIPv4, isIPv6 } from 'node:net'
import { describe, expect, it } from 'vitest'
import { property } from '../testing/property.ts'
import { formatIp4, formatIp6, parseIp4, parseIp6 } from './ip.ts'

const hex = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString('hex'))

describe('IPv4', () => {
  it('is four decimals', () => {
    expect(hex(parseIp4('192.0.2.42'))).toBe('c000022a')
    expect(hex(parseIp4('255.255.255.255'))).toBe('ffffffff')
    expect(formatIp4(Uint8Array.of(0, 0, 0, 0))).toBe('0.0.0.0')
  })

  it('is nothing else', () => {
    for (const text of ['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.-4', '01.2.3.4', '1.2.3.4 ', '0x1.2.3.4', '1..3.4', '1.2.3.٤']) {
      expect(parseIp4(text), text).toBeUndefined()
    }
  })
})

describe('IPv6', () => {
  // RFC 5952 §1, §2 and §4: what is written in many ways, and the one way to write it.
  const canonical = {
    '2001:0db8:0000:0000:0001:0000:0000:0001': '2001:db8::1:0:0:1',
    '2001:db8:0:0:1::1': '2001:db8::1:0:0:1',
    '2001:DB8::1': '2001:db8::1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:db8::1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '2001:0:0:0:1:0:0:1': '2001::1:0:0:1',
    '0:0:0:0:0:0:0:0': '::',
    '0:0:0:0:0:0:0:1': '::1',
    '1:0:0:0:0:0:0:0': '1::',
    '1:0:0:0:0:0:0:1': '1::1',
    '0:1:0:1:0:1:0:1': '0:1:0:1:0:1:0:1',
    '::ffff:192.0.2.1': '::ffff:192.0.2.1',
    '::ffff:c000:201': '::ffff:192.0.2.1',
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
    '1:2:3:4:5:6:1.2.3.4': '1:2:3:4:5:6:102:304',
    '::2:3:4:5:6:7:8': '0:2:3:4:5:6:7:8',
    'fe80::1': 'fe80::1',
  }
  for (const [text, expected] of Object.entries(canonical)) {
    it(`${text} is ${expected}`, () => {
      const bytes = parseIp6(text)
      expect(bytes).toHaveLength(16)
      expect(formatIp6(bytes ?? new Uint8Array(0))).toBe(expected)
    })
  }

  it('is nothing else', () => {
    const wrong = ['', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8', '12345::', 'g::', '::1%eth0']
    const ip4 = ['1.2.3.4', '1.2.3.4::', '::1.2.3', '::1.2.3.4:5', '1:2:3:4:5:6:7:1.2.3.4', '::ffff:01.2.3.4']
    for (const text of [...wrong, ...ip4, ' ::1', '::1 ', '1:', ':1', '::-1']) expect(parseIp6(text), text).toBeUndefined()
  })

  it('comes back as it went, and the platform takes it', () => {
    property(1_000, (random) => {
      const bytes = random.bytes(16).map((byte) => (random.below(2) === 0 ? 0 : byte))
      const text = formatIp6(bytes)
      expect(isIPv6(text)).toBe(true)
      expect(hex(parseIp6(text))).toBe(hex(bytes))
    })
  })

  it('agrees with the platform on what is an address', () => {
    property(5_000, (random) => {
      const text = Array.from({ length: 1 + random.below(18) }, () => '::::0f1.2'.charAt(random.below(9))).join('')
      expect(parseIp6(text) !== undefined, text).toBe(isIPv6(text))
      expect(parseIp4(text) !== undefined, text).toBe(isIPv4(text))
    })
  })
})
