import { afterEach, describe, expect, it } from 'vitest'
import { concat, fromUtf8, utf8 } from './engine/codec/bytes.ts'
import { PIPE_CREDIT } from './engine/limits.ts'
import { TabmeshError } from './errors.ts'
import { type PeerStream, peerStream } from './peer-stream.ts'
import { Pipe } from './port/pipe.ts'

const ports: MessagePort[] = []
afterEach(() => {
  for (const port of ports.splice(0)) port.close()
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** A stream, and the engine's end of its pipe. */
const make = (): { stream: PeerStream; engine: Pipe; heard: { text: string; size: number; log: string[] }; over: () => number } => {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  let over = 0
  const stream = peerStream({ id: 'c1/1', protocol: '/test/1', remotePeer: 'x', direction: 'outbound' }, port1, () => {
    over += 1
  })
  const engine = new Pipe(port2)
  const heard = { text: '', size: 0, log: [] as string[] }
  engine.attach({
    onData(bytes) {
      heard.size += bytes.length
      if (bytes.length < 1_000) heard.text += fromUtf8(bytes)
      engine.release(bytes.length)
    },
    onDrain: () => heard.log.push('drain'),
    onEnd: () => heard.log.push('end'),
    onClose: (fault) => heard.log.push(fault?.code ?? 'close'),
  })
  return { stream, engine, heard, over: () => over }
}

const codeOf = (error: unknown): string => (error instanceof TabmeshError ? error.code : String(error))

const readAll = async (stream: PeerStream): Promise<string> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream.readable as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return fromUtf8(concat(chunks))
}

describe('what is written', () => {
  it('arrives in order, text as UTF-8, and then the end', async () => {
    const { stream, heard } = make()
    const writer = stream.writable.getWriter()
    await writer.write('h€llo ')
    await writer.write(utf8('world'))
    await writer.write('')
    await writer.close()
    await until(() => heard.log.includes('end'))
    expect(heard.text).toBe('h€llo world')
  })

  it('stays the caller’s: no buffer is emptied, also not that of a Buffer or of a view', async () => {
    const { stream, heard } = make()
    const writer = stream.writable.getWriter()
    const own = new Uint8Array(50_000).fill(1)
    const view = new Uint8Array(60_000).subarray(0, 50_000)
    const buffer = Buffer.from(new ArrayBuffer(50_000))
    for (const chunk of [own, view, buffer]) await writer.write(chunk)
    own.fill(9)
    await until(() => heard.size === 150_000)
    expect([own.length, view.length, buffer.length]).toEqual([50_000, 50_000, 50_000])
  })

  it('waits while the engine takes no more', async () => {
    const { port1, port2 } = new MessageChannel()
    ports.push(port1, port2)
    const stream = peerStream({ id: '1', protocol: '/test/1', remotePeer: 'x', direction: 'outbound' }, port1)
    const engine = new Pipe(port2)
    let size = 0
    engine.attach({
      onData: (bytes) => {
        size += bytes.length
      },
      onEnd: () => {},
      onClose: () => {},
    })
    const writer = stream.writable.getWriter()
    let written = false
    const writing = writer.write(new Uint8Array(3 * PIPE_CREDIT)).then(() => {
      written = true
    })
    await until(() => size === PIPE_CREDIT)
    expect(written).toBe(false)
    engine.release(PIPE_CREDIT)
    await until(() => size === 2 * PIPE_CREDIT)
    engine.release(PIPE_CREDIT)
    await writing
  })

  it('of another type breaks the stream both ways, rather than leaving the remote waiting', async () => {
    const { stream, heard, over } = make()
    const writer = stream.writable.getWriter()
    writer.closed.catch(() => {})
    expect(codeOf(await writer.write(42 as unknown as string).catch((error: unknown) => error))).toBe('ERR_INVALID_ARGUMENT')
    await until(() => heard.log.length > 0)
    expect([heard.log, over()]).toEqual([['ERR_INVALID_ARGUMENT'], 1])
    await stream.close()
  })
})

describe('what is read', () => {
  it('comes in order, and then the end', async () => {
    const { stream, engine } = make()
    engine.write(utf8('one '))
    engine.write(utf8('two'))
    engine.end()
    expect(await readAll(stream)).toBe('one two')
  })

  it('is released to the remote only as it is read', async () => {
    const { stream, engine } = make()
    const chunk = 16_384
    for (let size = 0; size < PIPE_CREDIT; size += chunk) engine.write(new Uint8Array(chunk))
    expect(engine.credit).toBe(0)
    const reader = stream.readable.getReader()
    await until(() => ports.length > 0)
    await reader.read()
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(engine.credit).toBe(0)
    for (let i = 1; i < 8; i += 1) await reader.read()
    await until(() => engine.credit > 0)
    expect(engine.credit).toBeLessThanOrEqual(8 * chunk)
    let size = 8 * chunk
    while (size < PIPE_CREDIT) size += (await reader.read()).value?.length ?? 0
    await until(() => engine.credit === PIPE_CREDIT)
  })

  it('and cancelled resets the stream, which its writer hears', async () => {
    const { stream, heard, over } = make()
    await stream.readable.cancel(new Error('enough'))
    await until(() => heard.log.length > 0)
    expect([heard.log, over()]).toEqual([['ERR_STREAM_RESET'], 1])
    const error = await stream.writable.getWriter().closed.catch((why: unknown) => why)
    expect([codeOf(error), ((error as Error).cause as Error).message]).toEqual(['ERR_STREAM_RESET', 'enough'])
  })

  it('fails where the remote resets, what was not read yet included', async () => {
    const { stream, engine } = make()
    engine.write(utf8('one'))
    await new Promise((resolve) => setImmediate(resolve))
    engine.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'a test'))
    expect(await readAll(stream).catch(codeOf)).toBe('ERR_CONNECTION_CLOSED')
    expect(await stream.writable.getWriter().closed.catch(codeOf)).toBe('ERR_CONNECTION_CLOSED')
  })
})

describe('abort', () => {
  it('of the writable resets the stream, which its reader hears', async () => {
    const { stream, heard } = make()
    const reading = readAll(stream).catch(codeOf)
    await stream.writable.abort(new TabmeshError('ERR_STREAM_LIMIT', 'a test'))
    expect(await reading).toBe('ERR_STREAM_LIMIT')
    await until(() => heard.log.length > 0)
    expect(heard.log).toEqual(['ERR_STREAM_LIMIT'])
  })

  it('of the stream fails a write that waits, and a second one changes nothing', async () => {
    const { port1, port2 } = new MessageChannel()
    ports.push(port1, port2)
    const stream = peerStream({ id: '1', protocol: '/test/1', remotePeer: 'x', direction: 'outbound' }, port1)
    const writer = stream.writable.getWriter()
    writer.closed.catch(() => {})
    const writing = writer.write(new Uint8Array(2 * PIPE_CREDIT)).catch(codeOf)
    await new Promise((resolve) => setImmediate(resolve))
    stream.abort('enough')
    stream.abort('again')
    expect(await writing).toBe('ERR_STREAM_RESET')
    expect(await readAll(stream).catch(codeOf)).toBe('ERR_STREAM_RESET')
  })

  it('after the stream is over does nothing', async () => {
    const { stream, engine, over } = make()
    engine.end()
    await stream.close()
    stream.abort()
    await stream.close()
    expect(over()).toBe(1)
  })
})

describe('close', () => {
  it('sends what was written, and resolves when the remote has ended too', async () => {
    const { stream, engine, heard, over } = make()
    const writer = stream.writable.getWriter()
    void writer.write('last words')
    writer.releaseLock()
    let closed = false
    const closing = stream.close().then(() => {
      closed = true
    })
    await until(() => heard.log.includes('end'))
    expect([heard.text, closed, over()]).toEqual(['last words', false, 0])
    engine.end()
    await closing
    expect(over()).toBe(1)
  })

  it('with unread data: it is dropped, and the remote can finish however much it has', async () => {
    for (const locked of [false, true]) {
      const { stream, engine } = make()
      if (locked) stream.readable.getReader()
      for (let size = 0; size < PIPE_CREDIT; size += 65_536) engine.write(new Uint8Array(65_536))
      await new Promise((resolve) => setImmediate(resolve))
      const closing = stream.close()
      let sent = 0
      await until(() => {
        if (engine.credit > 0) {
          engine.write(new Uint8Array(65_536))
          sent += 65_536
        }
        return sent > 4 * PIPE_CREDIT
      })
      engine.end()
      await closing
    }
  })

  it('what waits for a reader can still be read, up to the close', async () => {
    const { stream, engine } = make()
    const reading = stream.readable.getReader()
    // Two chunks in one message: with the first, the second is there.
    for (const byte of [1, 2]) engine.write(new Uint8Array(5_000).fill(byte))
    expect((await reading.read()).value?.[0]).toBe(1)
    const closing = stream.close()
    engine.end()
    expect((await reading.read()).value?.[0]).toBe(2)
    expect((await reading.read()).done).toBe(true)
    await closing
  })

  it('while somebody else writes: what was written before is sent whole, what comes after fails', async () => {
    const { stream, engine, heard } = make()
    const writer = stream.writable.getWriter()
    writer.closed.catch(() => {})
    const before = [writer.write(new Uint8Array(3 * PIPE_CREDIT)), writer.write('last words')]
    const closing = stream.close()
    const late = writer.write('late').catch(codeOf)
    await Promise.all(before)
    expect(await late).toBe('ERR_STREAM_CLOSED')
    await until(() => heard.log.includes('end'))
    expect([heard.size, heard.text]).toEqual([3 * PIPE_CREDIT + 10, 'last words'])
    engine.end()
    await closing
  })

  it('after the writable was closed, or while it is', async () => {
    const { stream, engine } = make()
    const writer = stream.writable.getWriter()
    await writer.close()
    writer.releaseLock()
    engine.end()
    await stream.close()
  })

  it('rejects where the stream fails before it is over', async () => {
    const { stream, engine } = make()
    const closing = stream.close().catch(codeOf)
    engine.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'a test'))
    expect(await closing).toBe('ERR_CONNECTION_CLOSED')
  })
})
