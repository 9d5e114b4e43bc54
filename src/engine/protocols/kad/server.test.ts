import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdToBytes } from '../../codec/peer-id.ts'
import { KAD_K, KAD_MAX_CONTENT_KEY, KAD_MAX_KEY, KAD_MAX_VALIDATING, KAD_MAX_VALUE, KAD_PROVIDER_LIFE } from '../../limits.ts'
import { byDistance, peerKeys, peerOf, someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { keyOf } from './keys.ts'
import { frameMessage, type KadMessage, kadMessage, type MessageType } from './messages.ts'
import { admitFor } from './network.ts'
import { Server, type ServerOutput } from './server.ts'
import { ProviderStore, RecordStore } from './stores.ts'
import { Table } from './table.ts'

const DATE = 1_750_000_000_000
const content = Uint8Array.of(0x12, 32, ...new Uint8Array(32).fill(5))

const lab = () => {
  const random = prng(1)
  const [self, client, remote] = [someContact(random), someContact(random), someContact(random)]
  const admit = admitFor('public', () => true)
  const table = new Table({ self: self.key, keyOf: peerKeys.of, admit, diverse: false, random: () => 0 })
  const there = Array.from({ length: 50 }, () => someContact(random))
  for (const { peer, addresses } of [...there, remote]) table.handle({ t: 'speaks', peer, addresses }, 0)
  const records = new RecordStore()
  const providers = new ProviderStore()
  const known = new Map([self, client].map((each) => [each.peer, each.addresses]))
  const server = new Server({ table, records, providers, admit, addressesOf: (peer) => known.get(peer) ?? [] })
  let ticket = 0
  const outputs = (): ServerOutput[] => {
    const all: ServerOutput[] = []
    for (let output = server.poll(); output !== undefined; output = server.poll()) all.push(output)
    return all
  }
  const request = (message: KadMessage, from = remote.peer, date = DATE): ServerOutput => {
    ticket += 1
    server.handle({ t: 'request', ticket, from, message }, date)
    const [output, ...more] = outputs()
    expect(more).toEqual([])
    return output as ServerOutput
  }
  const answer = (message: KadMessage, from?: string, date?: number): KadMessage | undefined => {
    const output = request(message, from, date)
    if (output.t !== 'answer') throw new Error(output.t)
    return output.message
  }
  const nearest = (key: Uint8Array, except = remote.peer): string[] =>
    byDistance(keyOf(key), table.contacts())
      .flatMap(({ peer }) => (peer === except ? [] : [peer]))
      .slice(0, KAD_K)
  return { random, self, client, remote, table, records, providers, server, outputs, request, answer, nearest, there }
}

describe('a server', () => {
  it('names the k nearest, not whoever asks, and not itself', () => {
    const { answer, nearest } = lab()
    expect(answer(kadMessage('FIND_NODE', utf8('anything')))?.closer.map(({ id }) => id)).toEqual(nearest(utf8('anything')))
  })

  it('puts whom it is asked for in front, be it a client that it knows, or itself', () => {
    const { answer, client, self, nearest } = lab()
    for (const { peer, addresses } of [client, self]) {
      const bytes = peerIdToBytes(peer)
      const read = answer(kadMessage('FIND_NODE', bytes))
      expect(read?.closer[0]).toMatchObject({ id: peer, addresses })
      expect(read?.closer.slice(1).map(({ id }) => id)).toEqual(nearest(bytes).slice(0, KAD_K - 1))
    }
  })

  it('answers PING with the same, and does not repeat whom it named', () => {
    const { answer, there } = lab()
    const crowd = there.map(peerOf)
    expect(answer(kadMessage('PING', utf8('x'), { closer: crowd, providers: crowd }))).toEqual(kadMessage('PING', utf8('x')))
  })

  it('keeps its sender as a provider, and tells of it until it is over', () => {
    const { answer, remote, nearest, client } = lab()
    expect(answer(kadMessage('ADD_PROVIDER', content, { providers: [peerOf(client), peerOf(remote)] }))).toBeUndefined()
    const read = answer(kadMessage('GET_PROVIDERS', content), client.peer)
    expect(read?.providers.map(({ id, addresses }) => ({ id, addresses }))).toEqual([peerOf(remote)])
    expect(read?.closer.map(({ id }) => id)).toEqual(nearest(content, client.peer))
    expect(answer(kadMessage('GET_PROVIDERS', content), client.peer, DATE + KAD_PROVIDER_LIFE)?.providers).toEqual([])
  })

  it.each<[string, (l: ReturnType<typeof lab>) => KadMessage]>([
    ['a provider who is somebody else', ({ client }) => kadMessage('ADD_PROVIDER', content, { providers: [peerOf(client)] })],
    [
      'a provider without an address',
      ({ remote }) => kadMessage('ADD_PROVIDER', content, { providers: [{ id: remote.peer, addresses: [] }] }),
    ],
    ['no provider', () => kadMessage('ADD_PROVIDER', content)],
    ['a content key that is too long', () => kadMessage('GET_PROVIDERS', new Uint8Array(KAD_MAX_CONTENT_KEY + 1).fill(1))],
    ['a key that is too long', () => kadMessage('GET_VALUE', new Uint8Array(KAD_MAX_KEY + 1).fill(1))],
    ...(['FIND_NODE', 'GET_VALUE', 'PUT_VALUE', 'GET_PROVIDERS', 'ADD_PROVIDER'] as MessageType[]).map(
      (type): [string, () => KadMessage] => [`${type} without a key`, () => kadMessage(type, new Uint8Array(0))],
    ),
    ['PUT_VALUE without a record', () => kadMessage('PUT_VALUE', utf8('/v/k'))],
    ['PUT_VALUE of another key', () => kadMessage('PUT_VALUE', utf8('/v/k'), { record: { key: utf8('/v/other'), value: utf8('v') } })],
    [
      'PUT_VALUE of a record that is too large',
      () => kadMessage('PUT_VALUE', utf8('/v/k'), { record: { key: utf8('/v/k'), value: new Uint8Array(KAD_MAX_VALUE + 1) } }),
    ],
  ])('refuses %s, and keeps nothing', (_what, make) => {
    const all = lab()
    expect(all.request(make(all))).toMatchObject({ t: 'refuse', fault: { code: 'ERR_PROTOCOL', remote: true } })
    expect([all.records.size, all.providers.size]).toEqual([0, 0])
  })

  const put = (value: string): KadMessage =>
    kadMessage('PUT_VALUE', utf8('/v/k'), { record: { key: utf8('/v/k'), value: utf8(value), timeReceived: 'never' } })

  it('stores a record when it has been found valid, echoes it, and says itself when it came', () => {
    const { request, server, outputs, answer } = lab()
    const asked = request(put('one'))
    expect(asked).toMatchObject({ t: 'validate', key: utf8('/v/k'), value: utf8('one') })
    expect(answer(kadMessage('GET_VALUE', utf8('/v/k')))?.record).toBeUndefined()
    server.handle({ t: 'validated', ticket: asked.ticket, fault: undefined }, DATE)
    expect(outputs()).toMatchObject([{ t: 'answer', message: { type: 'PUT_VALUE', record: { value: utf8('one') } } }])
    expect(answer(kadMessage('GET_VALUE', utf8('/v/k')))?.record).toEqual({
      key: utf8('/v/k'),
      value: utf8('one'),
      timeReceived: new Date(DATE).toISOString(),
    })
  })

  it('refuses an invalid record, and one that is worse than what it has', () => {
    const { request, server, outputs, records } = lab()
    const bad = request(put('bad'))
    server.handle({ t: 'validated', ticket: bad.ticket, fault: new TabmeshError('ERR_PROTOCOL', 'no') }, DATE)
    expect(outputs()).toMatchObject([{ t: 'refuse', ticket: bad.ticket }])
    records.put(utf8('/v/k'), utf8('good'), DATE)
    for (const [value, best, result] of [
      ['worse', 0, 'refuse'],
      ['better', 1, 'answer'],
    ] as const) {
      const { ticket } = request(put(value))
      server.handle({ t: 'validated', ticket, fault: undefined }, DATE)
      expect(outputs()).toMatchObject([{ t: 'select', values: [utf8('good'), utf8(value)] }])
      server.handle({ t: 'selected', ticket, best }, DATE)
      expect(outputs()).toMatchObject([{ t: result, ticket }])
      // What nobody asked about does nothing.
      server.handle({ t: 'selected', ticket, best }, DATE)
      server.handle({ t: 'validated', ticket, fault: undefined }, DATE)
      expect(outputs()).toEqual([])
    }
    expect(Buffer.from(records.get(utf8('/v/k'), DATE)?.value ?? []).toString()).toBe('better')
  })

  it('has so many records validated at a time', () => {
    const { request } = lab()
    for (let i = 0; i < KAD_MAX_VALIDATING; i++) expect(request(put(`${i}`)).t).toBe('validate')
    expect(request(put('one more'))).toMatchObject({ t: 'refuse', fault: { code: 'ERR_STREAM_LIMIT' } })
  })

  it('answers in what every implementation reads, whatever addresses its peers have', () => {
    const { table, random, answer } = lab()
    for (let i = 0; i < 200; i++) {
      const { peer } = someContact(random)
      const addresses = Array.from({ length: 16 }, (_, at) => parseMultiaddr(`/dns4/${'long-name'.repeat(6)}.example.com/tcp/${at}/wss`))
      table.handle({ t: 'speaks', peer, addresses }, 0)
    }
    const read = answer(kadMessage('FIND_NODE', utf8('x'))) as KadMessage
    expect(frameMessage(read).length).toBeLessThan(12 * 1024)
    expect(read.closer.length).toBe(KAD_K)
  })
})
