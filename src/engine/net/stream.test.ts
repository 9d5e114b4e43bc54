import { describe, expect, it } from 'vitest'
import { channelPair } from '../testing/channel-pair.ts'
import { World } from '../testing/world.ts'
import { frameLine, HEADER, lazyHead } from '../wire/multistream.ts'
import type { Connection } from './connection.ts'
import { Stream } from './stream.ts'

const PROTOCOL = '/question/1'
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

/** A lazily opened stream to a remote of which `agent` is known, and what the remote hears. */
const opened = (agent: string | undefined) => {
  const [near, far] = channelPair()
  const connection = { identified: agent === undefined ? undefined : { agent } } as Connection
  const stream = new Stream('1', connection, 'outbound', PROTOCOL, near, () => {})
  stream.negotiate([PROTOCOL], true, new World(1).host())
  const heard: string[] = []
  far.attach({
    onData(bytes) {
      heard.push(text(bytes))
      far.release(bytes.length)
    },
    onEnd: () => void heard.push('end'),
    onClose: () => void heard.push('close'),
  })
  const answer = () => {
    far.write(HEADER)
    far.write(frameLine(PROTOCOL))
    far.flush()
  }
  return { stream, heard, answer, flush: () => far.flush() }
}

describe('the end of a lazily opened stream', () => {
  it.each([undefined, 'js-libp2p/3.1.3'])('waits for the answer of %s, and the data does not', (agent) => {
    const { stream, heard, answer, flush } = opened(agent)
    stream.write(Buffer.from('why?'))
    stream.end()
    flush()
    expect(heard).toEqual([text(lazyHead(PROTOCOL)), 'why?'])
    answer()
    expect(heard).toEqual([text(lazyHead(PROTOCOL)), 'why?', 'end'])
  })

  it('waits for nothing where the remote is one of us', () => {
    const { stream, heard, flush } = opened('tabmesh/0.1.0')
    stream.write(Buffer.from('why?'))
    stream.end()
    flush()
    expect(heard).toEqual([text(lazyHead(PROTOCOL)), 'why?', 'end'])
  })
})
