import { describe, expect, it } from 'vitest'
import { concat } from '../../codec/bytes.ts'
import { privateKey } from '../../codec/keys.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { KAD_MAX_VALUE } from '../../limits.ts'
import { makeIpns } from '../../testing/kad/ipns.ts'
import { bothVersions, ecdsaRecord, expired, ipnsKeyHex, secondVersion } from '../../testing/kad/ipns-vectors.ts'
import { answering, type Member, Net } from '../../testing/kad/net.ts'
import { frameMessage, kadMessage } from './messages.ts'
import { ipnsKey } from './records.ts'
import { KAD } from './service.ts'

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const hour = 3_600_000
/** Where the vectors, which boxo made, are found. */
const key = fromHex(ipnsKeyHex)
const owner = privateKey('Ed25519', new Uint8Array(32).fill(7))
const stranger = privateKey('Ed25519', new Uint8Array(32).fill(8))
const good = fromHex(bothVersions)

const bad = ({ date }: { date(): number }): Record<string, Uint8Array> => ({
  'is over': fromHex(expired),
  'is over by a millisecond': makeIpns(owner, { sequence: 99, expires: Math.floor(date()) - 1 }),
  'is not signed': makeIpns(owner, { sequence: 99, expires: date() + hour, by: false }),
  'is signed by a stranger': makeIpns(owner, { sequence: 99, expires: date() + hour, by: stranger }),
  'is of another key': fromHex(ecdsaRecord),
  'had a bit turned': fromHex(secondVersion).map((byte, at) => (at === 20 ? byte ^ 1 : byte)),
  'is too large': concat([fromHex(secondVersion), fromHex('a206'), Uint8Array.of(0x80, 0x50), new Uint8Array(KAD_MAX_VALUE)]),
})
const names = Object.keys(bad({ date: () => 0 }))

const held = (member: Member, at = key): Uint8Array | undefined => member.kad.records.get(at, member.node.host.date())?.value
const put = (net: Net, by: Member, value: Uint8Array, at = key) => net.outcome<number>((done) => by.kad.put(at, value, done))
const get = (net: Net, by: Member, quorum = 0, at = key) => net.value<Uint8Array | undefined>((done) => by.kad.get(at, { quorum }, done))

describe('an IPNS record', () => {
  it.each(names)('that %s is sent to nobody, kept by no server, and believed of nobody', (name) => {
    const net = new Net(40, 3)
    const [a, b] = [net.join({}), net.join({})]
    const value = bad(a.node.host)[name] as Uint8Array
    // One who sends it all the same, whatever he is asked.
    let asked = 0
    const liar = net.liar(
      answering((request) => {
        asked += 1
        return kadMessage(request.type, request.key, request.type === 'GET_VALUE' ? { record: { key, value } } : {})
      }),
    )
    const before = asked
    expect(put(net, a, value)).toMatchObject({ ok: false, fault: { code: 'ERR_INVALID_RECORD', remote: false } })
    expect(asked).toBe(before)

    const stream = liar.node.connections(net.first.node.self)[0]?.openStream([KAD])
    const heard: (string | undefined)[] = []
    stream?.attach({ onData: () => heard.push('answered'), onEnd() {}, onClose: (fault) => heard.push(fault?.code) })
    stream?.write(frameMessage(kadMessage('PUT_VALUE', key, { record: { key, value } })))
    net.world.run(1_000)
    expect([heard, net.servers.map((each) => held(each))]).toEqual([['ERR_STREAM_RESET'], [undefined, undefined, undefined]])

    expect(get(net, b)).toBeUndefined()
    expect(put(net, a, good)).toMatchObject({ ok: true })
    expect([get(net, b), get(net, b, 1)]).toEqual([good, good])
    expect(net.servers.map((each) => held(each))).toEqual([good, good, good])
  })

  it('of several valid ones is the one of the highest sequence, which all have then; an older one does not come back', () => {
    const net = new Net(41, 5)
    const [a, b] = [net.join({}), net.join({})]
    const name = ipnsKey(peerIdFromKey(stranger.publicKey))
    const expires = a.node.host.date() + hour
    const [first, second, longer] = [
      makeIpns(stranger, { sequence: 1, expires }),
      makeIpns(stranger, { sequence: 2, expires }),
      makeIpns(stranger, { sequence: 2, expires: expires + hour }),
    ]
    expect(put(net, a, first, name)).toEqual({ ok: true, value: 5 })
    // Only two have heard of the second.
    for (const server of net.servers.slice(3)) server.kad.records.put(name, second, a.node.host.date())
    const heard: Uint8Array[] = []
    const best = net.value<Uint8Array | undefined>((done) => b.kad.get(name, { quorum: 0, onValue: (value) => heard.push(value) }, done))
    expect([best, heard.at(-1)]).toEqual([second, second])
    net.world.run(1_000)
    expect(net.servers.map((each) => held(each, name))).toEqual(net.servers.map(() => second))
    expect(put(net, a, first, name)).toMatchObject({ ok: false, fault: { code: 'ERR_STREAM_RESET' } })
    expect(get(net, b, 3, name)).toEqual(second)
    expect(put(net, a, longer, name)).toEqual({ ok: true, value: 5 })
    expect(get(net, b, 3, name)).toEqual(longer)
  })

  it('is enough when as many have sent the same as the quorum says, and not before', () => {
    const net = new Net(42, 0)
    // Each answers 100 ms after the one before, all of them the same but for the first.
    const older = makeIpns(owner, { sequence: 1, expires: 1_800_000_000_000 })
    let turn = 0
    let isSlow = false
    const servers = Array.from({ length: 6 }, () =>
      net.liar(
        answering((request, stream) => {
          if (!isSlow || request.type !== 'GET_VALUE') return kadMessage(request.type, request.key)
          const record = { key, value: turn === 0 ? older : good }
          turn += 1
          net.world.after(100 * turn, () => stream.write(frameMessage(kadMessage('GET_VALUE', key, { record }))))
          return undefined
        }),
      ),
    )
    const a = net.join({})
    for (const { address } of servers) a.node.dial({ addresses: [address] }, () => {})
    net.world.run(5_000)
    isSlow = true
    const ending = (quorum: number): [number, Uint8Array | undefined] => {
      turn = 0
      const began = net.world.now
      const value = get(net, a, quorum)
      return [Math.floor((net.world.now - began) / 100), value]
    }
    expect([ending(1), ending(2), ending(4), ending(0)]).toEqual([
      [1, older],
      [3, good],
      [5, good],
      [6, good],
    ])
  })

  it('that ran out at a server is handed out no more, and keeps out no valid one', () => {
    const net = new Net(43, 3)
    const [a, b] = [net.join({}), net.join({})]
    const soon = makeIpns(owner, { sequence: 50, expires: a.node.host.date() + hour })
    expect(put(net, a, soon)).toEqual({ ok: true, value: 3 })
    net.world.run(hour)
    expect(net.servers.map((each) => held(each))).toEqual([soon, soon, soon])
    expect(get(net, b)).toBeUndefined()
    // The server itself has let it go, and did not wait for somebody else to find out.
    expect(net.servers.map((each) => held(each))).toEqual([undefined, undefined, undefined])
    for (const { kad } of net.servers) kad.records.put(key, soon, a.node.host.date())
    // Of a lower sequence, but it counts.
    expect(put(net, a, good)).toEqual({ ok: true, value: 3 })
    expect(get(net, b)).toEqual(good)
  })
})
