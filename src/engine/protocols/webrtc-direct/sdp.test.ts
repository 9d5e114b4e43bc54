import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { toBase64Url } from '../../codec/multibase.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import {
  certhashOf,
  checkDataOnly,
  credentialsOfSdp,
  credentialsOfUsername,
  type DirectTarget,
  directAnswer,
  directOffer,
  directTarget,
  fingerprintOfCerthash,
  fingerprintOfSdp,
  isDirectAddress,
  parseFingerprint,
  printFingerprint,
  V1_PREFIX,
  V2_PREFIX,
  withCredentials,
} from './sdp.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))

// js-libp2p: packages/transport-webrtc/test/sdp.spec.ts
const JS_CERTHASH = 'uEiByaEfNSLBexWBNFZy_QB1vAKEj7JAXDizRs4_SnTflsQ'
const JS_FINGERPRINT = '72:68:47:CD:48:B0:5E:C5:60:4D:15:9C:BF:40:1D:6F:00:A1:23:EC:90:17:0E:2C:D1:B3:8F:D2:9D:37:E5:B1'
// go-libp2p: p2p/transport/webrtc/hex_test.go
const GO_FINGERPRINT = 'ba:78:16:bf:8f:01:cf:ea:41:41:40:de:5d:ae:22:23:b0:03:61:a3:96:17:7a:9c:b4:10:ff:61:f2:00:15:ad'
const GO_DIGEST = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

/** The shape of what Chromium 156 offers for a data channel. */
const OFFER = [
  'v=0',
  'o=- 3546004397921447048 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'a=extmap-allow-mixed',
  'a=msid-semantic: WMS',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:RhpO',
  'a=ice-pwd:Lk04sAoNa7VRYzY6oVC7BEXa',
  'a=ice-options:trickle',
  `a=fingerprint:sha-256 ${JS_FINGERPRINT}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=sctp-port:5000',
  'a=max-message-size:262144',
  '',
].join('\r\n')

const target = (text: string): DirectTarget => directTarget(parseMultiaddr(text))

describe('fingerprints', () => {
  it('go between a certificate hash, the lines of an SDP and bytes', () => {
    const { fingerprint } = target(`/ip4/0.0.0.0/udp/56093/webrtc-direct/certhash/${JS_CERTHASH}`)
    expect(printFingerprint(fingerprint)).toBe(JS_FINGERPRINT)
    expect(parseFingerprint(JS_FINGERPRINT)).toEqual(fingerprint)
    expect(toBase64Url(certhashOf(fingerprint))).toBe(JS_CERTHASH)
    expect(fingerprintOfSdp(OFFER)).toEqual(fingerprint)
    expect(parseFingerprint(GO_FINGERPRINT)).toEqual(hex(GO_DIGEST))
  })

  it('of any case are the same, of another length or alphabet none', () => {
    expect(parseFingerprint(GO_FINGERPRINT.toUpperCase())).toEqual(hex(GO_DIGEST))
    for (const text of ['', 'ba', GO_DIGEST, `${GO_FINGERPRINT}:00`, GO_FINGERPRINT.slice(3), GO_FINGERPRINT.replace('ba', 'bg')])
      expect(parseFingerprint(text), text).toBeUndefined()
  })

  it('print and parse to the same bytes', () => {
    property(200, (random) => {
      const fingerprint = random.bytes(32)
      expect(parseFingerprint(printFingerprint(fingerprint))).toEqual(fingerprint)
      expect(fingerprintOfCerthash(certhashOf(fingerprint))).toEqual(fingerprint)
    })
  })

  it('are sha2-256 in a certificate hash, or there are none', () => {
    const digest = hex(GO_DIGEST)
    // Codes of multihash: sha1 0x11, sha2-512 0x13, blake2b-256 0xb220.
    for (const other of [[0x11, 0x20], [0x13, 0x20], [0x12, 0x1f], [0xa0, 0xe4, 0x02, 0x20], []])
      expect(fingerprintOfCerthash(Uint8Array.of(...other, ...digest))).toBeUndefined()
    expect(fingerprintOfCerthash(certhashOf(digest).subarray(1))).toBeUndefined()
  })
})

describe('an address', () => {
  it.each([
    [`/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/${JS_CERTHASH}`, '192.0.2.1', 4],
    [
      `/ip6/2001:db8::1/udp/4001/webrtc-direct/certhash/${JS_CERTHASH}/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp`,
      '2001:db8::1',
      6,
    ],
  ])('%s leads to %s', (text, host, family) => {
    expect(isDirectAddress(parseMultiaddr(text))).toBe(true)
    expect(target(text)).toMatchObject({ host, family, port: 4001 })
  })

  it.each([
    '/ip4/192.0.2.1/udp/4001/quic-v1/webtransport',
    '/ip4/192.0.2.1/tcp/4001/webrtc-direct',
    '/ip4/192.0.2.1/udp/4001/webrtc-direct/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit',
    '/udp/4001/webrtc-direct',
    `/dns4/example.com/udp/4001/webrtc-direct/certhash/${JS_CERTHASH}`,
    '/ip4/192.0.2.1/udp/4001/p2p-webrtc-direct',
    '/ip6zone/eth0/ip6/fe80::1/udp/4001/webrtc-direct',
  ])('%s is for somebody else', (text) => {
    expect(isDirectAddress(parseMultiaddr(text))).toBe(false)
  })

  it('without a certificate hash is ours to refuse', () => {
    const text = '/ip4/192.0.2.1/udp/4001/webrtc-direct'
    expect(isDirectAddress(parseMultiaddr(text))).toBe(true)
    expect(codeOf(() => target(text))).toBe('ERR_INVALID_MULTIADDR')
  })

  it('of whose certificate hashes none is sha2-256 is not supported, and of several the first that is counts', () => {
    const sha512 = toBase64Url(Uint8Array.of(0x13, 0x40, ...new Uint8Array(64)))
    const base = '/ip4/192.0.2.1/udp/4001/webrtc-direct'
    expect(codeOf(() => target(`${base}/certhash/${sha512}`))).toBe('ERR_UNSUPPORTED')
    const other = toBase64Url(certhashOf(hex(GO_DIGEST)))
    expect(target(`${base}/certhash/${sha512}/certhash/${JS_CERTHASH}/certhash/${other}`).fingerprint).toEqual(
      parseFingerprint(JS_FINGERPRINT),
    )
  })
})

describe('the answer that a listener would give', () => {
  it('has all that the address says, in both families', () => {
    const ip4 = directAnswer(target(`/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/${JS_CERTHASH}`), `${V1_PREFIX}abcdefgh`)
    expect(ip4.split('\r\n')).toEqual([
      'v=0',
      'o=- 0 0 IN IP4 192.0.2.1',
      's=-',
      'c=IN IP4 192.0.2.1',
      't=0 0',
      'a=ice-lite',
      'm=application 4001 UDP/DTLS/SCTP webrtc-datachannel',
      'a=mid:0',
      'a=ice-ufrag:libp2p+webrtc+v1/abcdefgh',
      'a=ice-pwd:libp2p+webrtc+v1/abcdefgh',
      `a=fingerprint:sha-256 ${JS_FINGERPRINT}`,
      'a=setup:passive',
      'a=sctp-port:5000',
      'a=max-message-size:16384',
      'a=candidate:1 1 udp 2130706431 192.0.2.1 4001 typ host',
      'a=end-of-candidates',
      '',
    ])
    const ip6 = directAnswer(target(`/ip6/2001:db8::1/udp/4001/webrtc-direct/certhash/${JS_CERTHASH}`), `${V2_PREFIX}abcdefgh`)
    expect(ip6).toContain('\r\nc=IN IP6 2001:db8::1\r\n')
    expect(ip6).toContain('\r\na=candidate:1 1 udp 2130706431 2001:db8::1 4001 typ host\r\n')
    expect(ip6).toContain('\r\na=ice-pwd:libp2p+webrtc+v2/abcdefgh\r\n')
  })

  it('is one of data channels, whose credentials and fingerprint can be read back', () => {
    property(100, (random) => {
      const fingerprint = random.bytes(32)
      const ufrag = V2_PREFIX + Buffer.from(random.bytes(18)).toString('base64')
      const answer = directAnswer({ host: '192.0.2.1', family: 4, port: random.below(65_536), fingerprint }, ufrag)
      checkDataOnly(answer)
      expect(fingerprintOfSdp(answer)).toEqual(fingerprint)
      expect(credentialsOfSdp(answer)).toEqual({ ufrag, pwd: ufrag })
    })
  })
})

describe('the offer that a dialer must have made', () => {
  it('has where it was seen and what STUN told', () => {
    const offer = directOffer('2001:db8::7', 50_000, { ufrag: 'RhpO', pwd: 'Lk04sAoNa7VRYzY6oVC7BEXa' })
    checkDataOnly(offer)
    expect(credentialsOfSdp(offer)).toEqual({ ufrag: 'RhpO', pwd: 'Lk04sAoNa7VRYzY6oVC7BEXa' })
    expect(fingerprintOfSdp(offer)).toEqual(new Uint8Array(32))
    // The answerer is then the passive one, as the dialer takes for granted.
    expect(offer).toContain('\r\na=setup:active\r\n')
    expect(offer).toContain('\r\na=candidate:1 1 udp 2130706431 2001:db8::7 50000 typ host\r\n')
    expect(offer).toContain('\r\na=max-message-size:16384\r\n')
  })
})

describe('credentials', () => {
  it('of an offer are read, and replaced, and nothing else in it is', () => {
    expect(credentialsOfSdp(OFFER)).toEqual({ ufrag: 'RhpO', pwd: 'Lk04sAoNa7VRYzY6oVC7BEXa' })
    // `$&` and the like mean something to String.replace.
    const ufrag = `${V1_PREFIX}abcdefghijklmnopqrstuvwxyz012345`
    const replaced = withCredentials(OFFER, ufrag)
    expect(credentialsOfSdp(replaced)).toEqual({ ufrag, pwd: ufrag })
    expect(replaced.split('\r\n').filter((line) => !line.includes(ufrag))).toEqual(
      OFFER.split('\r\n').filter((line) => !/^a=ice-(ufrag|pwd):/.test(line)),
    )
    expect(withCredentials(OFFER.replaceAll('\r\n', '\n'), ufrag)).toBe(replaced.replaceAll('\r\n', '\n'))
  })

  // go-libp2p: p2p/transport/webrtc/udpmux/mux.go credentialsFromSTUNMessage, js-libp2p: packages/transport-webrtc/test/util.spec.ts
  it('in STUN tell the version and the password', () => {
    const v1 = `${V1_PREFIX}abcdefghijklmnopqrstuvwxyz012345`
    expect(credentialsOfUsername(v1, v1)).toEqual({ ufrag: v1, pwd: v1 })
    expect(credentialsOfUsername(`${V2_PREFIX}Lk04sAoNa7VRYzY6oVC7BEXa`, 'RhpO')).toEqual({
      ufrag: 'RhpO',
      pwd: 'Lk04sAoNa7VRYzY6oVC7BEXa',
    })
  })

  it.each([
    ['an unknown version', 'libp2p+webrtc+v3/Lk04sAoNa7VRYzY6oVC7BEXa', 'RhpO'],
    ['no version', 'Lk04sAoNa7VRYzY6oVC7BEXa', 'Lk04sAoNa7VRYzY6oVC7BEXa'],
    ['a password that is too short', `${V2_PREFIX}Lk04sAoNa7VRYzY6oVC7B`, 'RhpO'],
    ['a ufrag that is too short', `${V2_PREFIX}Lk04sAoNa7VRYzY6oVC7BEXa`, 'Rhp'],
    ['version 1 with a ufrag that makes no password', `${V1_PREFIX}abcdefgh`, 'controlled'],
    ['a line end', `${V2_PREFIX}Lk04sAoNa7VRYzY6oVC7BEXa`, 'RhpO\r\na=x'],
    ['a last line end', `${V2_PREFIX}Lk04sAoNa7VRYzY6oVC7BEXa`, 'RhpO\n'],
    ['what is no ice-char', `${V2_PREFIX}Lk04sAoNa7VRYzY6oVC7BEX=`, 'RhpO'],
    ['more than 256 characters', V2_PREFIX + 'a'.repeat(240), 'RhpO'],
    ['nothing', '', ''],
  ])('in STUN with %s are dropped', (_what, server, client) => {
    expect(credentialsOfUsername(server, client)).toBeUndefined()
  })
})

describe('a description that is not ours', () => {
  it.each([
    ['empty', ''],
    ['no SDP', 'GET / HTTP/1.1\r\n\r\n'],
    ['JSON', '{"type":"offer","sdp":"v=0"}'],
    ['with sound', OFFER.replace('m=application', 'm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=application')],
    ['with sound instead', OFFER.replace(/m=application.*/, 'm=audio 9 UDP/TLS/RTP/SAVPF 111')],
    ['of two sections', OFFER + OFFER.slice(OFFER.indexOf('m=application'))],
    ['of the old SCTP', OFFER.replace('UDP/DTLS/SCTP webrtc-datachannel', 'DTLS/SCTP 5000')],
  ])('is refused: %s', (_what, sdp) => {
    expect(codeOf(() => checkDataOnly(sdp))).toBe('ERR_PROTOCOL')
  })

  it.each([
    ['no fingerprint', OFFER.replace(/a=fingerprint.*\r\n/, '')],
    ['one of SHA-1 only', OFFER.replace('sha-256', 'sha-1')],
    ['two that differ', OFFER.replace('a=setup', `a=fingerprint:sha-256 ${GO_FINGERPRINT}\r\na=setup`)],
    ['half a one', OFFER.replace(JS_FINGERPRINT, JS_FINGERPRINT.slice(0, 47))],
  ])('with %s names no certificate', (_what, sdp) => {
    expect(codeOf(() => fingerprintOfSdp(sdp))).toBe('ERR_WEBRTC_FAILED')
  })

  it('may repeat the fingerprint, as sessions with a section of their own do', () => {
    expect(fingerprintOfSdp(`a=fingerprint:sha-256 ${JS_FINGERPRINT.toLowerCase()}\r\n${OFFER}`)).toEqual(parseFingerprint(JS_FINGERPRINT))
  })

  it.each([
    ['none', OFFER.replace(/a=ice-ufrag.*\r\n/, '')],
    ['half of them', OFFER.replace(/a=ice-pwd.*\r\n/, '')],
    ['two pairs', `${OFFER}a=ice-ufrag:abcd\r\n`],
    ['what is no ice-char', OFFER.replace('RhpO', 'Rh O')],
  ])('with %s for credentials has none', (_what, sdp) => {
    expect(codeOf(() => credentialsOfSdp(sdp))).toBe('ERR_WEBRTC_FAILED')
  })

  it('is read or refused with a code, whatever it is', () => {
    property(500, (random) => {
      const sdp = Buffer.from(mutate(random, random.below(4) === 0 ? random.bytes(random.below(300)) : utf8(OFFER))).toString('latin1')
      decodes(() => fingerprintOfSdp(sdp))
      decodes(() => credentialsOfSdp(sdp))
      decodes(() => checkDataOnly(sdp))
    })
  })
})
