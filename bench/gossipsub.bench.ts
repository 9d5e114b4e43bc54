/**
 * Messages of 100 B from one gossipsub router to another, through their bytes: publish, frame, cut, read, handle, deliver. Signing and
 * verifying are answered at once, so this is what the router and its codec cost. `npx vitest bench bench/gossipsub.bench.ts`; one operation is
 * 10,000 messages.
 */

import { bench, describe } from 'vitest'
import { publicKey } from '../src/engine/codec/keys.ts'
import { peerIdFromKey } from '../src/engine/codec/peer-id.ts'
import { Authors } from '../src/engine/protocols/gossipsub/authors.ts'
import { originMessageId } from '../src/engine/protocols/gossipsub/message-id.ts'
import { MESHSUB_12 } from '../src/engine/protocols/gossipsub/peer.ts'
import { Router } from '../src/engine/protocols/gossipsub/router.ts'
import { RpcReader } from '../src/engine/protocols/gossipsub/rpc-reader.ts'
import { frameRpc } from '../src/engine/protocols/gossipsub/rpc-writer.ts'
import { strictSign } from '../src/engine/protocols/gossipsub/signing.ts'
import { TopicNames } from '../src/engine/protocols/gossipsub/text.ts'
import { FrameReader } from '../src/engine/wire/frame.ts'

const COUNT = 10_000
const signature = new Uint8Array(64)
const key = (n: number) => publicKey('Ed25519', new Uint8Array(32).fill(n))

class End {
  readonly id
  readonly router: Router
  readonly #frames = new FrameReader(1 << 20)
  readonly #rpcs = new RpcReader(new TopicNames(), new Authors(), originMessageId)
  far!: End
  heard = 0

  constructor(n: number) {
    this.id = peerIdFromKey(key(n))
    this.router = new Router(
      { self: this.id, signing: strictSign(key(n)), random: (below) => Math.floor(Math.random() * below), seqno: 1n },
      0,
    )
  }

  drain(now: number): void {
    const { router } = this
    for (let output = router.poll(); output !== undefined; output = router.poll()) {
      if (output.t === 'sign') router.handle({ t: 'signed', ticket: output.ticket, signature }, now)
      else if (output.t === 'verify') router.handle({ t: 'verified', id: output.id, valid: true }, now)
      else if (output.t === 'message') this.heard += output.message.data.length
    }
  }

  flush(now: number): void {
    for (let rpc = this.router.take(this.far.id); rpc !== undefined; rpc = this.router.take(this.far.id))
      this.far.receive(frameRpc(rpc), now)
  }

  receive(bytes: Uint8Array, now: number): void {
    for (const frame of this.#frames.push(bytes)) this.router.handle({ t: 'rpc', peer: this.far.id, rpc: this.#rpcs.read(frame) }, now)
    this.drain(now)
  }
}

const pair = (): [End, End] => {
  const [a, b] = [new End(1), new End(2)]
  a.far = b
  b.far = a
  for (const end of [a, b]) {
    end.router.join('news', 0)
    end.router.handle({ t: 'connect', peer: end.far.id, protocol: MESHSUB_12, outbound: true, ips: [] }, 0)
  }
  for (let now = 0; now < 3_000; now += 100) {
    for (const end of [a, b]) {
      if (end.router.deadline <= now) end.router.handle({ t: 'time' }, now)
      end.drain(now)
      end.flush(now)
    }
  }
  return [a, b]
}

describe('10,000 messages of 100 B', () => {
  const data = new Uint8Array(100)
  for (const together of [1, 64]) {
    const [a, b] = pair()
    let now = 3_000
    bench(`${together} in an RPC`, () => {
      const before = b.heard
      for (let i = 0; i < COUNT; i++) {
        a.router.publish('news', data, now)
        a.drain(now)
        if (i % together === together - 1) a.flush(now)
      }
      a.flush(now)
      // A second for each ten thousand: a heartbeat of both.
      now += 1_000
      for (const end of [a, b]) {
        end.router.handle({ t: 'time' }, now)
        end.drain(now)
        end.flush(now)
      }
      if (b.heard - before !== COUNT * data.length) throw new Error(`${b.heard - before} bytes arrived`)
    })
  }
})
