import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { concat, utf8 } from '../codec/bytes.ts'
import { XSalsa20 } from '../crypto/xsalsa20.ts'
import { PNET_TIMEOUT } from '../limits.ts'
import { channelPair } from '../testing/channel-pair.ts'
import { property } from '../testing/property.ts'
import { World } from '../testing/world.ts'
import type { Channel, Sink } from './channel.ts'
import { HEADER } from './multistream.ts'
import { parseSwarmKey, pnetShield } from './pnet.ts'

const key = Uint8Array.from({ length: 32 }, (_, i) => i)
const otherKey = Uint8Array.from({ length: 32 }, (_, i) => 255 - i)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('parseSwarmKey', () => {
  // The key of libp2p/js-libp2p packages/pnet/README.md.
  const digits = 'dffb7e3135399a8b1612b2aaca1c36a3a8ac2cd0cca51ceeb2ced87d308cac6d'
  const file = `/key/swarm/psk/1.0.0/\n/base16/\n${digits}`
  const base64 = Buffer.from(digits, 'hex').toString('base64')

  it.each([
    ['the file of js-libp2p', file],
    ['with a newline at its end, as go-ipfs-swarm-key-gen writes it', `${file}\n`],
    ['with the newlines of Windows', `${file}\n`.replaceAll('\n', '\r\n')],
    ['with blanks around', ` ${file.replaceAll('\n', ' \n')} \n\n`],
    ['in capitals', `/key/swarm/psk/1.0.0/\n/base16/\n${digits.toUpperCase()}`],
    ['in base64', `/key/swarm/psk/1.0.0/\n/base64/\n${base64}\n`],
    ['in base64 without padding', `/key/swarm/psk/1.0.0/\n/base64/\n${base64.replace('=', '')}`],
    ['as bytes', utf8(file)],
    ['as the key itself', Uint8Array.from(Buffer.from(digits, 'hex'))],
  ])('reads it %s', (_, text) => {
    expect(hex(parseSwarmKey(text))).toBe(digits)
  })

  it.each([
    ['nothing', ''],
    ['no key, as js refuses it', utf8('not-a-key')],
    ['a short key, as js refuses it', '/key/swarm/psk/1.0.0/\n/base16/\ndffb7e'],
    ['a long key', `${file}00`],
    ['an odd digit', file.slice(0, -1)],
    ['what is no digit', file.replace('dffb', 'dffx')],
    ['what is not of its alphabet', `/key/swarm/psk/1.0.0/\n/base64/\n%${base64.slice(1)}`],
    ['base64 where base16 is announced', `/key/swarm/psk/1.0.0/\n/base16/\n${base64}`],
    ['another version', file.replace('1.0.0', '2.0.0')],
    ['another encoding', file.replace('base16', 'base58')],
    ['no encoding', `/key/swarm/psk/1.0.0/\n${digits}`],
    ['the digits alone', digits],
    ['a fourth line', `${file}\nmore`],
    ['31 bytes', new Uint8Array(31).fill(200)],
    ['a book', 'a'.repeat(10_000)],
  ])('refuses %s, and does not tell the key', (_, text) => {
    let fault: unknown
    try {
      parseSwarmKey(text)
    } catch (error) {
      fault = error
    }
    expect(fault).toBeInstanceOf(TabmeshError)
    expect((fault as TabmeshError).code).toBe('ERR_NETWORK_KEY')
    expect((fault as TabmeshError).message).not.toMatch(/[0-9a-f]{6}/)
  })

  it('hands out a key of its own', () => {
    const bytes = key.slice()
    expect(parseSwarmKey(bytes)).not.toBe(bytes)
  })
})

class Reader implements Sink {
  readonly chunks: Uint8Array[] = []
  readonly log: string[] = []
  readonly channel: Channel

  constructor(channel: Channel) {
    this.channel = channel
    channel.attach(this)
  }

  get bytes(): Uint8Array {
    return concat(this.chunks)
  }

  onData(bytes: Uint8Array): void {
    this.chunks.push(bytes)
    this.channel.release(bytes.length)
  }

  onEnd(): void {
    this.log.push('end')
  }

  onClose(fault?: TabmeshError): void {
    this.log.push(fault === undefined ? 'close' : `close ${fault.code}${fault.remote ? ' remote' : ''}`)
  }
}

/** What it says comes out of nonce and key. */
const ciphered = (by: Uint8Array, nonce: Uint8Array, ...plain: Uint8Array[]): Uint8Array => {
  const bytes = concat(plain)
  new XSalsa20(by, nonce).xor(bytes)
  return bytes
}

/** A shielded channel whose remote is the test. */
const alone = () => {
  const world = new World(1)
  const [near, far] = world.pipe()
  const reader = new Reader(pnetShield(key)(near, world.host()))
  const remote = new Reader(far)
  const send = (...chunks: Uint8Array[]): void => {
    for (const chunk of chunks) far.write(chunk)
    world.run(100)
  }
  return { world, reader, remote, far, send }
}

const nonce = new Uint8Array(24).fill(7)

describe('a shielded channel', () => {
  it('says its nonce at once, and ciphers all that follows', () => {
    const { world, reader, remote } = alone()
    world.run(100)
    expect(remote.bytes).toHaveLength(24)
    reader.channel.write(utf8('hello '))
    reader.channel.write(utf8('world'))
    world.run(100)
    const [ours, rest] = [remote.bytes.slice(0, 24), remote.bytes.slice(24)]
    expect(Buffer.from(ciphered(key, ours, rest)).toString()).toBe('hello world')
    expect(Buffer.from(remote.bytes).includes('hello')).toBe(false)
  })

  it('reads whatever the remote says after its nonce and its greeting, however it is cut', () => {
    property(100, (random) => {
      const [near, far] = channelPair({ seed: random.u32() })
      const reader = new Reader(pnetShield(key)(near, { random: (size) => random.bytes(size), after: () => () => {} }))
      const other = new Reader(pnetShield(key)(far, { random: (size) => random.bytes(size), after: () => () => {} }))
      const said = [HEADER.slice(), ...Array.from({ length: 20 }, () => random.bytes(random.below(3_000)))]
      const expected = hex(concat(said))
      for (const bytes of said) {
        reader.channel.write(bytes.slice())
        other.channel.write(bytes.slice())
        if (random.below(2) === 0) near.flush()
      }
      reader.channel.end()
      other.channel.end()
      near.flush()
      expect(hex(reader.bytes)).toBe(expected)
      expect(hex(other.bytes)).toBe(expected)
      expect([reader.log, other.log]).toEqual([
        ['end', 'close'],
        ['end', 'close'],
      ])
      // All was released: nonces too.
      expect(near.credit).toBe(256 * 1024)
    })
  })

  it('differs each time: the nonces do', () => {
    const world = new World(1)
    const host = world.host()
    const seen = [1, 2].map(() => {
      const [near, far] = world.pipe()
      const remote = new Reader(far)
      pnetShield(key)(near, host).write(utf8('the same words'))
      world.run(100)
      return hex(remote.bytes)
    })
    expect(seen[0]).not.toBe(seen[1])
  })

  it('takes nonce and greeting byte by byte', () => {
    const { reader, send, world } = alone()
    send(...[...concat([nonce, ciphered(key, nonce, HEADER, utf8('more'))])].map((byte) => Uint8Array.of(byte)))
    expect(Buffer.from(reader.bytes).toString()).toBe('\u0013/multistream/1.0.0\nmore')
    world.run(10 * PNET_TIMEOUT)
    expect(reader.log).toEqual([])
  })

  it.each([
    ['another key', (send: (...chunks: Uint8Array[]) => void) => send(nonce, ciphered(otherKey, nonce, HEADER))],
    ['no key at all', (send: (...chunks: Uint8Array[]) => void) => send(concat([HEADER, utf8('\u0007/noise\n')]))],
    [
      'a greeting with one bit wrong',
      (send: (...chunks: Uint8Array[]) => void) => {
        const greeting = HEADER.slice()
        greeting[19] = (greeting[19] as number) ^ 1
        send(nonce, ciphered(key, nonce, greeting))
      },
    ],
  ])('ends at the first word of a remote with %s, and says why', (_, speak) => {
    const { world, reader, remote, send } = alone()
    speak(send)
    expect(reader.log).toEqual(['close ERR_NETWORK_KEY remote'])
    expect(remote.log).toEqual(['close ERR_CONNECTION_CLOSED'])
    expect(world.waiting).toBe(0)
  })

  it.each([0, 1, 23, 24, 30, 43])('says why when the remote hangs up after %i bytes, be it in order or not', (size) => {
    for (const orderly of [true, false]) {
      const { world, reader, far, send } = alone()
      send(concat([nonce, ciphered(key, nonce, HEADER)]).slice(0, size))
      if (orderly) far.end()
      else far.abort(new TabmeshError('ERR_PROTOCOL', 'noise'))
      world.run(100)
      expect(reader.log).toEqual(['close ERR_NETWORK_KEY remote'])
      expect(world.waiting).toBe(0)
    }
  })

  it('says why when the remote waits for more of what is noise to it', () => {
    const { world, reader, send } = alone()
    send(nonce)
    world.run(PNET_TIMEOUT - 200)
    expect(reader.log).toEqual([])
    world.run(200)
    expect(reader.log).toEqual(['close ERR_NETWORK_KEY remote'])
  })

  it('that we give up ourselves says what we said', () => {
    const { world, reader } = alone()
    reader.channel.abort(new TabmeshError('ERR_STOPPED', 'enough'))
    world.run(100)
    expect([reader.log, world.waiting]).toEqual([['close ERR_STOPPED'], 0])
  })

  it('that is lost later says how', () => {
    const { world, reader, far, send } = alone()
    send(nonce, ciphered(key, nonce, HEADER))
    far.abort(new TabmeshError('ERR_PROTOCOL', 'over'))
    world.run(100)
    expect(reader.log).toEqual(['close ERR_CONNECTION_CLOSED'])
  })
})
