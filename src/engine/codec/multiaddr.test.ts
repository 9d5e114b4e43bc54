import { describe, expect, it } from 'vitest'
import { MULTIADDR_MAX_BYTES } from '../limits.ts'
import type { Prng } from '../testing/prng.ts'
import { codeOf, decodes, mutate, property } from '../testing/property.ts'
import {
  decodeMultiaddr,
  decodeMultiaddrs,
  encapsulate,
  equalMultiaddr,
  parseMultiaddr,
  peerIdOf,
  relayOf,
  sameEndpoint,
  withoutPeerId,
} from './multiaddr.ts'
import { protocolsByCode } from './multiaddr-protocols.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const A = '12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq'
const B = '16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY'
const C = 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC'
const a = '260024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e'
const b = '27002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99'
const c = '221220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b'
const certhash = '221220c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2'

describe('the specification', () => {
  // multiformats/multiaddr test/multiaddr.feature.
  it('simple string form', () => {
    const { bytes, parts } = parseMultiaddr('/ip4/192.0.2.42/tcp/443')
    expect(hex(bytes)).toBe('04c000022a0601bb')
    expect(parts.map((part) => [part.name, part.code, part.value, hex(part.bytes ?? new Uint8Array(0))])).toEqual([
      ['ip4', 4, '192.0.2.42', 'c000022a'],
      ['tcp', 6, '443', '01bb'],
    ])
  })

  it('simple packed form', () => {
    const { text, parts } = decodeMultiaddr(unhex('04c000022a0601bb'))
    expect(text).toBe('/ip4/192.0.2.42/tcp/443')
    expect(parts.map((part) => [part.name, part.code, part.value])).toEqual([
      ['ip4', 4, '192.0.2.42'],
      ['tcp', 6, '443'],
    ])
  })
})

describe('what go-multiaddr 0.16 makes of it', () => {
  // text, bytes, and the text it prints where that is another one; http-path: `%20`, where go prints `+`.
  const vectors: readonly (readonly [string, string, string?])[] = [
    ['/ip4/127.0.0.1/udp/1234', '047f000001910204d2'],
    ['/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321', '047f000001910204d2047f0000010610e1'],
    ['/ip6/2001:db8::1/udp/4001/quic-v1', '2920010db800000000000000000000000191020fa1cd03'],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/80/ws', '2a046574683029fe800000000000000000000000000001060050dd03'],
    ['/ip6zone/x%y/ip6/::', '2a037825792900000000000000000000000000000000'],
    ['/ip6/::ffff:192.0.2.1/tcp/1', '2900000000000000000000ffffc0000201060001'],
    ['/ip6/2001:DB8:0:0:1:0:0:1', '2920010db8000000000001000000000001', '/ip6/2001:db8::1:0:0:1'],
    ['/ip4/192.0.2.0/ipcidr/24', '04c00002002b18'],
    ['/dns/example.com/tcp/443/wss', '350b6578616d706c652e636f6d0601bbde03'],
    ['/dns4/example.com/tcp/443/tls/ws', '360b6578616d706c652e636f6d0601bbc003dd03'],
    ['/dns6/example.com/tcp/443/tls/sni/example.com/ws', '370b6578616d706c652e636f6d0601bbc003c1030b6578616d706c652e636f6ddd03'],
    [`/dnsaddr/bootstrap.libp2p.io/p2p/${A}`, `3813626f6f7473747261702e6c69627032702e696fa503${a}`],
    [
      `/ip4/1.2.3.4/udp/4001/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/p2p/${A}`,
      `040102030491020fa19802d203${certhash}a503${a}`,
    ],
    [
      '/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/zQmbWTwYGcmdyK9CYfNBcfs9nhZs17a6FQ4Y8oea278xx41/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy',
      `040102030491020fa1cd03d103d203${certhash}d20313d501103858f62230ac3c915f300c664312c63f`,
      '/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw',
    ],
    [`/ip4/1.2.3.4/tcp/4001/p2p/${A}/p2p-circuit/webrtc/p2p/${B}`, `0401020304060fa1a503${a}a2029902a503${b}`],
    ['/ip4/1.2.3.4/tcp/443/tls/http/http-path/a%2Fb%20c', '04010203040601bbc003e003e10305612f622063'],
    ['/http-path/user', 'e1030475736572'],
    ['/memory/4', '89060000000000000004'],
    ['/memory/18446744073709551615', '8906ffffffffffffffff'],
    ['/memory/01', '89060000000000000001', '/memory/1'],
    ['/ip4/1.2.3.4/tcp/80/https', '0401020304060050bb03'],
    ['/ip4/1.2.3.4/tcp/1/noise', '0401020304060001c603'],
    ['/ip4/1.2.3.4/udp/1/quic', '040102030491020001cc03'],
    [`/ipfs/${C}`, `a503${c}`, `/p2p/${C}`],
    ['/p2p/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7', `a503${c}`, `/p2p/${C}`],
    ['/ip4/127.0.0.1/tcp/9090/http/p2p-webrtc-direct', '047f000001062382e0039402'],
    ['/p2p-circuit', 'a202'],
    ['/tcp/080', '060050', '/tcp/80'],
    ['/ip4/1.2.3.4/', '0401020304', '/ip4/1.2.3.4'],
    ['/tcp/65535/udp/0', '06ffff91020000'],
  ]
  for (const [text, bytes, printed = text] of vectors) {
    it(text, () => {
      const address = parseMultiaddr(text)
      expect(hex(address.bytes)).toBe(bytes)
      expect(address.text).toBe(printed)
      expect(decodeMultiaddr(unhex(bytes))).toEqual(address)
      expect(parseMultiaddr(printed)).toEqual(address)
    })
  }

  // multiaddr_test.go TestConstructFails, as far as it is about protocols that we know.
  const refused = [
    ...[
      '',
      '/',
      '//',
      'ip4/1.2.3.4',
      '/ip4',
      '/ip4/',
      '/ip4/::1',
      '/ip4/fdpsofodsajfdoisa',
      '/ip4/01.2.3.4',
      '/ip4/::/ipcidr/256',
      '/ip4/1.2.3.4//tcp/1',
    ],
    ...['/ip6', '/ip6/::/ipcidr/1026', '/ip6zone', '/ip6zone/', '/ip6zone//ip6/fe80::1', '/ip6/fe80::1%eth0'],
    ...['/udp', '/tcp', '/udp/65536', '/tcp/65536', '/tcp/-1', '/tcp/+1', '/tcp/1e3', '/tcp/0x10', '/tcp/ 80', '/tcp/1.0', '/tcp/000080'],
    ...['/ip4/127.0.0.1/quic/1234', '/quic-v1/65536', '/ip4/127.0.0.1/tcp/jfodsajfidosajfoidsa', '/tcp//'],
    ...[
      '/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash',
      '/certhash/',
      '/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp',
      '/certhash/?',
      '/certhash/u',
    ],
    ...[
      '/ip4/127.0.0.1/ipfs',
      '/ip4/127.0.0.1/ipfs/tcp',
      '/ip4/127.0.0.1/p2p',
      '/p2p/tcp',
      '/p2p/1111',
      '/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY',
    ],
    ...['/unix', '/memory/', '/memory/-1', '/memory/92233720368547758081', '/memory/99999999999999999999', '/memory/18446744073709551616'],
    ...[
      '/http-path',
      '/http-path/',
      '/http-path/%',
      '/http-path/%ff',
      '/dns/',
      '/dns4/a b',
      '/dns/a\u0000',
      '/sni/a\nb',
      '/ip4/127.0.0.1/tcp/9090/http/p2p-webcrt-direct',
    ],
    ...['/toString', '/__proto__/x', '/constructor'],
  ]
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(codeOf(() => parseMultiaddr(text))).toBe('ERR_INVALID_MULTIADDR')
    })
  }
})

describe('paths', () => {
  // multiformats/multiaddr protocols/unix.md and protocols/httppath.md.
  const paths = [
    ['/unix/%2F', 'unix', '/'],
    ['/unix/%2Fdir%2Ffile.socket', 'unix', '/dir/file.socket'],
    ['/unix/%2Ftmp%2Ffoo%2F..%2Fbar', 'unix', '/tmp/foo/../bar'],
    ['/unix/%252F', 'unix', '%2F'],
    ['/unix/%2Fa%2520space', 'unix', '/a%20space'],
    ['/unix/socket', 'unix', 'socket'],
    ['/http-path/api%2Fv0%2Flogin', 'http-path', 'api/v0/login'],
    ['/http-path/a%252Fslash', 'http-path', 'a%2Fslash'],
    ['/http-path/%E6%97%A5', 'http-path', '日'],
  ] as const
  it('are one escaped piece of the text, and plain in the part and in the bytes', () => {
    for (const [text, name, value] of paths) {
      const address = parseMultiaddr(text)
      expect(address.text).toBe(text)
      expect(address.parts).toEqual([{ code: name === 'unix' ? 400 : 481, name, value, bytes: new Uint8Array(Buffer.from(value)) }])
      expect(decodeMultiaddr(address.bytes)).toEqual(address)
    }
  })

  it('may stand before other parts', () => {
    const address = parseMultiaddr(`/unix/%2Fdir%2Ffile.socket/p2p/${A}`)
    expect(address.parts.map(({ name }) => name)).toEqual(['unix', 'p2p'])
    expect(peerIdOf(address)).toBe(A)
  })

  it('read either case of an escape, and print one', () => {
    expect(parseMultiaddr('/http-path/a%2fb').text).toBe('/http-path/a%2Fb')
  })
})

describe('every protocol', () => {
  const samples: Record<string, string> = {
    ip4: '1.2.3.4',
    ip6: '::1',
    ip6zone: 'eth0',
    ipcidr: '24',
    tcp: '1',
    udp: '1',
    dns: 'a.example',
    dns4: 'a.example',
    dns6: 'a.example',
    dnsaddr: 'a.example',
    sni: 'a.example',
    unix: 'a',
    'http-path': 'a',
    p2p: A,
    certhash: 'uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g',
    memory: '1',
  }
  for (const { code, name, kind } of protocolsByCode.values()) {
    it(`/${name} goes both ways, is refused when cut at any byte, and wants ${kind === undefined ? 'no' : 'its'} value`, () => {
      const text = kind === undefined ? `/${name}` : `/${name}/${samples[name]}`
      const address = parseMultiaddr(text)
      expect(address.text).toBe(text)
      expect(address.parts[0]?.code).toBe(code)
      expect(decodeMultiaddr(address.bytes)).toEqual(address)
      for (let cut = 0; cut < address.bytes.length; cut++)
        expect(codeOf(() => decodeMultiaddr(address.bytes.subarray(0, cut)))).toBe('ERR_INVALID_MULTIADDR')
      expect(codeOf(() => parseMultiaddr(kind === undefined ? `/${name}/1` : `/${name}`))).toBe('ERR_INVALID_MULTIADDR')
    })
  }

  it('of the list that libp2p exchanges is there', () => {
    const names = [...protocolsByCode.values()].map(({ name }) => name)
    for (const name of ['quic-v1', 'ws', 'wss', 'tls', 'http', 'webtransport', 'webrtc', 'webrtc-direct', 'p2p-circuit'])
      expect(names).toContain(name)
    expect([275, 276, 277, 479].every((code) => protocolsByCode.has(code))).toBe(true)
  })
})

describe('bytes that are refused', () => {
  const refused = {
    nothing: '',
    'a slash in a name, which would print as another part': '3503612f62',
    'a name of nothing': '3500',
    'a name that is not UTF-8': '3501ff',
    'a blank in a name': '35026120',
    'a zone of nothing': '2a00',
    'a path of nothing': 'e10300',
    'a path that is not UTF-8': 'e10303ff2f61',
    'a certhash that is no multihash': 'd2030101',
    'a certhash shorter than it says': 'd203031220aa',
    'a certhash of a longer length than needed': 'd20304128100aa',
    'a peer id that is no multihash': 'a503020101',
    'a peer id longer than it says': `a503${a}00`.replace('a50326', 'a50327'),
    'a peer id of 20 bytes of SHA-256': `a503161214${'11'.repeat(20)}`,
    'a code in more bytes than needed': '8600 0050'.replace(' ', ''),
    'a code over 2^53': 'ffffffffffffffff7f',
    'a code of ten bytes': '80808080808080808001',
    'half a code': '91',
    'a length past the end': '350961',
    'a length without end': '35ffffffffffffff0f61',
    'half an IPv4 address': '040102',
    'half a port': '0601',
  }
  for (const [what, bytes] of Object.entries(refused)) {
    it(what, () => {
      expect(codeOf(() => decodeMultiaddr(unhex(bytes)))).toBe('ERR_INVALID_MULTIADDR')
    })
  }

  it('more than the bound, in text or bytes', () => {
    const longest = unhex('dd03'.repeat(MULTIADDR_MAX_BYTES / 2))
    expect(decodeMultiaddr(longest).parts).toHaveLength(MULTIADDR_MAX_BYTES / 2)
    expect(codeOf(() => decodeMultiaddr(Uint8Array.of(...longest, 0xdd, 0x03)))).toBe('ERR_INVALID_MULTIADDR')
    expect(codeOf(() => parseMultiaddr('/ws'.repeat(MULTIADDR_MAX_BYTES / 2 + 1)))).toBe('ERR_INVALID_MULTIADDR')
    expect(codeOf(() => parseMultiaddr(`/dns/${'a'.repeat(10_000_000)}`))).toBe('ERR_INVALID_MULTIADDR')
    const half = parseMultiaddr('/ws'.repeat(MULTIADDR_MAX_BYTES / 4 + 1))
    expect(codeOf(() => encapsulate(half, half))).toBe('ERR_INVALID_MULTIADDR')
    expect(parseMultiaddr('/p2p-websocket-star'.repeat(MULTIADDR_MAX_BYTES / 2)).bytes).toHaveLength(MULTIADDR_MAX_BYTES)
  })
})

describe('an unknown code', () => {
  // 16383 is assigned to nothing; behind it, what would be /tcp/80 if its size were known to be nothing.
  const bytes = unhex('0401020304ff7f060050')
  const address = decodeMultiaddr(bytes)

  it('is kept, with all behind it', () => {
    expect(address.parts).toEqual([
      { code: 4, name: 'ip4', value: '1.2.3.4', bytes: unhex('01020304') },
      { code: 16383, name: 'unknown', bytes: unhex('060050') },
    ])
    expect(hex(address.bytes)).toBe(hex(bytes))
  })

  it('has a text that nobody takes for an address', () => {
    expect(address.text).toBe('/ip4/1.2.3.4/unknown/16383:uBgBQ')
    expect(codeOf(() => parseMultiaddr(address.text))).toBe('ERR_INVALID_MULTIADDR')
  })

  it('may hold anything: no peer is known, nothing goes behind it', () => {
    expect(peerIdOf(decodeMultiaddr(unhex(`a503${a}ff7f`)))).toBeUndefined()
    expect(withoutPeerId(address)).toBe(address)
    expect(codeOf(() => encapsulate(address, '/ws'))).toBe('ERR_INVALID_MULTIADDR')
    expect(encapsulate(parseMultiaddr('/ip4/1.2.3.4'), decodeMultiaddr(unhex('ff7f060050')))).toEqual(address)
  })

  it('survives taking an address apart', () => {
    const relayed = relayOf(decodeMultiaddr(unhex(`0401020304a503${a}a202ff7f060050`)))
    expect(relayed?.relay?.text).toBe(`/ip4/1.2.3.4/p2p/${A}`)
    expect(hex(relayed?.target?.bytes ?? new Uint8Array(0))).toBe('ff7f060050')
  })

  it('costs a list nothing but, if malformed, itself', () => {
    const list = decodeMultiaddrs([unhex('0401020304'), unhex('040102'), new Uint8Array(0), bytes, unhex('060050')])
    expect(list.map(({ text }) => text)).toEqual(['/ip4/1.2.3.4', address.text, '/tcp/80'])
  })
})

describe('immutability', () => {
  it('what is decoded does not change with the buffer it came in', () => {
    const buffer = unhex('04010203040601bb')
    const address = decodeMultiaddr(buffer)
    buffer.fill(0)
    expect(hex(address.bytes)).toBe('04010203040601bb')
    expect(hex(address.parts[0]?.bytes ?? new Uint8Array(0))).toBe('01020304')
  })
})

describe('comparing', () => {
  const equal = (left: string, right: string) => equalMultiaddr(parseMultiaddr(left), parseMultiaddr(right))
  const same = (left: string, right: string) => sameEndpoint(parseMultiaddr(left), parseMultiaddr(right))

  it('by bytes', () => {
    expect(equal('/ip6/::1/tcp/1', '/ip6/0:0::1/tcp/01/')).toBe(true)
    expect(equal('/ip4/1.2.3.4/tcp/1', '/ip4/1.2.3.4/udp/1')).toBe(false)
    expect(equal('/tcp/443/wss', '/tcp/443/tls/ws')).toBe(false)
  })

  it('by endpoint: /wss is /tls/ws', () => {
    expect(same('/dns/a/tcp/443/wss', '/dns/a/tcp/443/tls/ws')).toBe(true)
    expect(same(`/dns/a/tcp/443/wss/p2p/${A}/p2p-circuit`, `/dns/a/tcp/443/tls/ws/p2p/${A}/p2p-circuit`)).toBe(true)
    expect(same('/dns/a/tcp/443/https', '/dns/a/tcp/443/tls/http')).toBe(true)
    expect(same('/dns/a/tcp/443/wss', '/dns/a/tcp/443/ws')).toBe(false)
    expect(same('/dns/a/tcp/443/wss', '/dns/a/tcp/443/tls/sni/b/ws')).toBe(false)
    expect(same('/dns/a/tcp/443/wss', '/dns/b/tcp/443/tls/ws')).toBe(false)
  })
})

describe('encapsulating', () => {
  it('puts text or an address behind another', () => {
    const address = parseMultiaddr('/ip4/1.2.3.4/tcp/1')
    const suffix = `/ws/p2p/${A}`
    const whole = parseMultiaddr(`/ip4/1.2.3.4/tcp/1/ws/p2p/${A}`)
    expect(encapsulate(address, suffix)).toEqual(whole)
    expect(encapsulate(address, parseMultiaddr(suffix))).toEqual(whole)
    expect(address.text).toBe('/ip4/1.2.3.4/tcp/1')
  })
})

describe('peers in an address', () => {
  const peers: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ['/ip4/1.2.3.4/tcp/1', undefined, '/ip4/1.2.3.4/tcp/1'],
    [`/ip4/1.2.3.4/tcp/1/p2p/${A}`, A, '/ip4/1.2.3.4/tcp/1'],
    [`/p2p/${A}`, A, undefined],
    [`/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit`, undefined, `/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit`],
    [`/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit/p2p/${B}`, B, `/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit`],
    [`/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit/webrtc/p2p/${B}`, B, `/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit/webrtc`],
    [`/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit/webrtc`, undefined, `/ip4/1.2.3.4/tcp/1/p2p/${A}/p2p-circuit/webrtc`],
    // protocols/httppath.md: behind the peer.
    [`/ip4/1.2.3.4/tcp/1/http/p2p/${A}/http-path/x`, A, '/ip4/1.2.3.4/tcp/1/http/http-path/x'],
    [`/ipfs/${C}`, C, undefined],
  ]
  for (const [text, target, rest] of peers) {
    it(`${text}: to ${target ?? 'nobody named'}`, () => {
      const address = parseMultiaddr(text)
      expect(peerIdOf(address)).toBe(target)
      expect(withoutPeerId(address)?.text).toBe(rest)
      expect(withoutPeerId(address)).toEqual(rest === undefined ? undefined : parseMultiaddr(rest))
    })
  }
})

describe('relayed addresses', () => {
  const split = (text: string) => {
    const relayed = relayOf(parseMultiaddr(text))
    return relayed && { relay: relayed.relay?.text, target: relayed.target?.text }
  }
  const R = `/ip4/1.2.3.4/tcp/1/ws/p2p/${A}`

  it('come apart at /p2p-circuit', () => {
    expect(split(`${R}/p2p-circuit/p2p/${B}`)).toEqual({ relay: R, target: `/p2p/${B}` })
    expect(split(`${R}/p2p-circuit/webrtc/p2p/${B}`)).toEqual({ relay: R, target: `/webrtc/p2p/${B}` })
    expect(split(`${R}/p2p-circuit`)).toEqual({ relay: R, target: undefined })
    expect(split('/p2p-circuit')).toEqual({ relay: undefined, target: undefined })
    expect(split(`/p2p-circuit/p2p/${B}`)).toEqual({ relay: undefined, target: `/p2p/${B}` })
    expect(split(R)).toBeUndefined()
  })

  it('are whole addresses then', () => {
    const relayed = relayOf(parseMultiaddr(`${R}/p2p-circuit/p2p/${B}`))
    expect(relayed).toEqual({ relay: parseMultiaddr(R), target: parseMultiaddr(`/p2p/${B}`) })
  })

  it('name their relay once', () => {
    expect(split(`${R}/p2p/${A}/p2p-circuit/p2p/${B}`)).toEqual({ relay: R, target: `/p2p/${B}` })
    expect(split(`${R}/p2p/${A}/p2p/${A}/p2p-circuit`)?.relay).toBe(R)
    expect(split(`${R}/p2p/${B}/p2p-circuit`)?.relay).toBe(`${R}/p2p/${B}`)
  })

  it('over two relays come apart at the last', () => {
    expect(split(`${R}/p2p-circuit/p2p/${C}/p2p-circuit/p2p/${B}`)).toEqual({ relay: `${R}/p2p-circuit/p2p/${C}`, target: `/p2p/${B}` })
  })
})

describe('any address', () => {
  const values: Record<string, (random: Prng) => string> = {
    ip4: (random) => [...random.bytes(4)].join('.'),
    ip6: (random) => Array.from({ length: 8 }, () => random.below(random.below(2) === 0 ? 1 : 65_536).toString(16)).join(':'),
    ipcidr: (random) => String(random.below(256)),
    tcp: (random) => String(random.below(65_536)),
    udp: (random) => String(random.below(65_536)),
    p2p: (random) => [A, B, C][random.below(3)] ?? A,
    certhash: (random) => `f1220${hex(random.bytes(32))}`,
    memory: (random) => String((BigInt(random.u32()) << 32n) | BigInt(random.u32())),
    unix: (random) => encodeURIComponent(`/日本 ${random.u32()}/%`),
    'http-path': (random) => encodeURIComponent(`a/b?c=${random.u32()}`),
  }
  const all = [...protocolsByCode.values()]
  const randomText = (random: Prng): string =>
    Array.from({ length: 1 + random.below(6) }, () => {
      const { name, kind } = all[random.below(all.length)] ?? { name: 'ws', kind: undefined }
      return kind === undefined ? `/${name}` : `/${name}/${values[name]?.(random) ?? `n${random.u32()}.example`}`
    }).join('')

  it('comes back as it went, by text and by bytes', () => {
    property(1_000, (random) => {
      const address = parseMultiaddr(randomText(random))
      expect(parseMultiaddr(address.text)).toEqual(address)
      expect(decodeMultiaddr(address.bytes)).toEqual(address)
    })
  })

  it('gives a coded error, or an address that comes back, on noise', () => {
    property(3_000, (random) => {
      const bytes = random.below(2) === 0 ? random.bytes(1 + random.below(40)) : mutate(random, parseMultiaddr(randomText(random)).bytes)
      decodes(() => {
        const address = decodeMultiaddr(bytes)
        expect(hex(address.bytes)).toBe(hex(bytes))
        const known = address.parts.every(({ name }) => name !== 'unknown')
        expect(decodes(() => expect(hex(parseMultiaddr(address.text).bytes)).toBe(hex(bytes)))).toBe(known)
        relayOf(address)
        withoutPeerId(address)
      })
    })
  })

  it('gives a coded error or an address on any text', () => {
    const pieces = ['/', 'ip4', 'tcp', 'p2p', 'dns', 'unknown', 'http-path', '%', '%2F', ':', '1', '::', A, '日', '\ud800', ' ']
    property(3_000, (random) => {
      const text = Array.from({ length: random.below(12) }, () => pieces[random.below(pieces.length)]).join('')
      decodes(() => {
        const address = parseMultiaddr(text)
        expect(parseMultiaddr(address.text)).toEqual(address)
      })
    })
  })
})
