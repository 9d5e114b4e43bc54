import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { concat, fromUtf8, utf8 } from '../codec/bytes.ts'
import { property } from '../testing/property.ts'
import { Inlet, type Sink } from './channel.ts'

const fault = new TabmeshError('ERR_STREAM_RESET', 'a test')

/** A reader that writes down what it is told; `during` is called inside each call. */
const reader = (log: string[], during: (heard: string) => void = () => {}, name = ''): Sink => {
  const hear = (heard: string): void => {
    log.push(`${name}${heard}`)
    during(heard)
  }
  return {
    onData: (bytes) => hear(fromUtf8(bytes)),
    onDrain: () => hear('drain'),
    onEnd: () => hear('end'),
    onClose: (why) => hear(why === undefined ? 'close' : `close ${why.code}`),
  }
}

describe('an inlet', () => {
  it('passes on what comes, in order, to its close', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(reader(log))
    inlet.push(utf8('a'))
    inlet.push(utf8('b'))
    inlet.drain()
    inlet.end()
    inlet.close()
    expect(log).toEqual(['a', 'b', 'drain', 'end', 'close'])
  })

  it('keeps what comes while nobody reads, and what follows behind it', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.push(utf8('a'))
    inlet.end()
    inlet.close()
    expect(inlet.closed).toBe(true)
    inlet.attach(reader(log))
    expect(log).toEqual(['a', 'end', 'close'])
  })

  it('drops what is kept when it closes with a fault', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.push(utf8('a'))
    inlet.end()
    inlet.close(fault)
    inlet.attach(reader(log))
    expect(log).toEqual(['close ERR_STREAM_RESET'])
  })

  it('tells nothing after the end or the close, whatever still comes', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(reader(log))
    inlet.end()
    inlet.push(utf8('late'))
    inlet.end()
    inlet.close()
    inlet.push(utf8('later'))
    inlet.end()
    inlet.drain()
    inlet.close(fault)
    expect(log).toEqual(['end', 'close'])
  })

  it('drops empty pieces', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(reader(log))
    inlet.push(new Uint8Array(0))
    expect(log).toEqual([])
  })

  it('has one reader at a time', () => {
    const inlet = new Inlet()
    inlet.attach(reader([]))
    expect(() => inlet.attach(reader([]))).toThrow()
    inlet.detach()
    inlet.attach(reader([]))
    expect(inlet.attached).toBe(true)
  })

  it('puts the rest in front of what was kept', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(reader([]))
    inlet.detach(utf8('a'))
    inlet.push(utf8('b'))
    inlet.attach(reader(log))
    expect(log.join('')).toBe('ab')
  })
})

describe('the next reader', () => {
  it('is told the end that an earlier one was told, behind the rest', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(reader([]))
    inlet.push(utf8('request and more'))
    inlet.end()
    inlet.detach(utf8('more'))
    inlet.attach(reader(log))
    inlet.close()
    expect(log).toEqual(['more', 'end', 'close'])
  })

  it('is told of the close that an earlier one was told', () => {
    for (const [why, told] of [
      [undefined, 'close'],
      [fault, 'close ERR_STREAM_RESET'],
    ] as const) {
      const inlet = new Inlet()
      const [first, second]: [string[], string[]] = [[], []]
      inlet.attach(reader(first))
      inlet.close(why)
      inlet.attach(reader(second))
      expect(first).toEqual([told])
      expect(second).toEqual([told])
    }
  })
})

describe('inside a call', () => {
  it('what comes waits until the call returns', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach({
      onData(bytes) {
        const text = fromUtf8(bytes)
        log.push(`(${text}`)
        if (text === 'a') {
          inlet.push(utf8('b'))
          inlet.push(utf8('c'))
          inlet.end()
          inlet.close()
        }
        log.push(`${text})`)
      },
      onEnd: () => log.push('end'),
      onClose: () => log.push('close'),
    })
    inlet.push(utf8('a'))
    expect(log.join(' ')).toBe('(a a) (b b) (c c) end close')
  })

  it('a reader that gives way keeps nothing from the next one', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.push(utf8('a1'))
    const second = reader(log, () => {}, 'second ')
    inlet.attach(
      reader(
        log,
        (heard) => {
          if (heard !== 'a1') return
          inlet.push(utf8('b'))
          inlet.detach(utf8('1'))
          inlet.attach(second)
          log.push('first returns')
        },
        'first ',
      ),
    )
    inlet.push(utf8('c'))
    inlet.end()
    expect(log).toEqual(['first a1', 'second 1', 'second b', 'first returns', 'second c', 'second end'])
  })

  it('the same reader may detach and attach again', () => {
    const inlet = new Inlet()
    const log: string[] = []
    const again = reader(log, (heard) => {
      if (heard !== 'ab') return
      inlet.detach(utf8('b'))
      inlet.attach(again)
    })
    inlet.attach(again)
    inlet.push(utf8('ab'))
    inlet.end()
    expect(log).toEqual(['ab', 'b', 'end'])
  })

  it('a reader that detaches is told nothing more', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.push(utf8('a'))
    inlet.end()
    inlet.attach(reader(log, (heard) => heard === 'a' && inlet.detach()))
    inlet.close()
    expect(log).toEqual(['a'])
  })

  it('of the end a reader may detach: the next one is told the end and the close', () => {
    const inlet = new Inlet()
    const [first, second]: [string[], string[]] = [[], []]
    inlet.attach(reader(first, (heard) => heard === 'end' && inlet.detach()))
    inlet.end()
    inlet.close()
    inlet.attach(reader(second))
    expect(first).toEqual(['end'])
    expect(second).toEqual(['end', 'close'])
  })

  it('an abort is told at once, and nothing after it', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.push(utf8('a'))
    inlet.push(new Uint8Array(600))
    inlet.end()
    inlet.attach(
      reader(log, (heard) => {
        if (heard !== 'a') return
        inlet.close(fault)
        log.push('after abort')
      }),
    )
    expect(log).toEqual(['a', 'close ERR_STREAM_RESET', 'after abort'])
  })

  it('of the close a reader may attach another one', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(reader(log, () => inlet.attach(reader(log, () => {}, 'second ')), 'first '))
    inlet.close(fault)
    expect(log).toEqual(['first close ERR_STREAM_RESET', 'second close ERR_STREAM_RESET'])
  })

  it('a reader that throws does not stop the channel for ever', () => {
    const inlet = new Inlet()
    const log: string[] = []
    inlet.attach(
      reader(log, (heard) => {
        if (heard === 'a') throw new Error('a defect')
      }),
    )
    expect(() => inlet.push(utf8('a'))).toThrow('a defect')
    inlet.push(utf8('b'))
    expect(log).toEqual(['a', 'b'])
  })
})

it('whatever readers do, bytes come once and in order, then the end, then the close', () => {
  property(80, (random) => {
    const inlet = new Inlet()
    const sent = random.bytes(1 + random.below(2_000))
    const got: Uint8Array[] = []
    const ends: string[] = []
    let at = 0
    let depth = 0
    const write = (): void => {
      const size = Math.min(1 + random.below(700), sent.length - at)
      const chunk = sent.slice(at, at + size)
      at += size
      inlet.push(chunk)
    }
    const attach = (): void => {
      let over = false
      let inside = 0
      const call = (act: () => void): void => {
        if (over) throw new Error('called after it gave way')
        if (inside > 0) throw new Error('called inside a call')
        inside += 1
        act()
        inside -= 1
      }
      inlet.attach({
        onData: (bytes) =>
          call(() => {
            const used = random.below(bytes.length + 1)
            got.push(bytes.slice(0, used))
            if (used < bytes.length || random.below(4) === 0) {
              over = true
              inlet.detach(bytes.subarray(used))
              if (random.below(2) === 0 && depth < 50) {
                depth += 1
                attach()
                depth -= 1
              }
            } else if (random.below(3) === 0 && at < sent.length) write()
          }),
        onEnd: () => call(() => ends.push('end')),
        onClose: () => call(() => ends.push('close')),
      })
    }
    while (at < sent.length) {
      if (random.below(2) === 0) write()
      if (!inlet.attached && random.below(2) === 0) attach()
    }
    inlet.end()
    inlet.close()
    while (ends.at(-1) !== 'close') if (!inlet.attached) attach()
    expect(concat(got)).toEqual(sent)
    expect(ends.slice(-2)).toEqual(['end', 'close'])
  })
})
