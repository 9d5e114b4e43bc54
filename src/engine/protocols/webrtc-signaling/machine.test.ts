import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { SIGNALING_MAX_CANDIDATES, SIGNALING_TIMEOUT } from '../../limits.ts'
import { property } from '../../testing/property.ts'
import { Signaling, type SignalingInput, type SignalingOutput } from './machine.ts'

type Step = SignalingInput | { readonly t: 'wait'; readonly ms: number }

/** Feeds a machine and answers with all that it put out, failures by their code. */
const play = (role: 'offerer' | 'answerer', ...steps: Step[]): string[] => {
  const machine = new Signaling(role, 0)
  const said: string[] = []
  let now = 0
  const poll = (): void => {
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) said.push(tell(output))
  }
  poll()
  for (const step of steps) {
    if (step.t === 'wait') now += step.ms
    else machine.handle(step, now)
    poll()
  }
  expect(machine.deadline === undefined).toBe(machine.over)
  return said
}

const tell = (output: SignalingOutput): string => {
  switch (output.t) {
    case 'send':
      return `send ${output.signal.t} ${output.signal.t === 'candidate' ? output.signal.json : output.signal.sdp}`
    case 'makeAnswer':
      return `makeAnswer ${output.offer}`
    case 'setAnswer':
      return `setAnswer ${output.answer}`
    case 'addCandidate':
      return `addCandidate ${output.json}`
    case 'failed':
      return `failed ${output.fault.code}${output.fault.remote ? ' by the remote' : ''}`
    default:
      return output.t
  }
}

const offer: SignalingInput = { t: 'signal', signal: { t: 'offer', sdp: 'O' } }
const answer: SignalingInput = { t: 'signal', signal: { t: 'answer', sdp: 'A' } }
const candidate = (json: string): SignalingInput => ({ t: 'signal', signal: { t: 'candidate', json } })
const described: SignalingInput = { t: 'description', sdp: 'D' }
const gathered: SignalingInput = { t: 'gathered', json: '{}' }
const connected: SignalingInput = { t: 'state', state: 'connected' }
const ended: SignalingInput = { t: 'ended', fault: undefined }

describe('the offerer', () => {
  it('offers, takes the answer and connects', () => {
    expect(play('offerer', described, gathered, answer, candidate('{"c":1}'), gathered, connected)).toEqual([
      'makeOffer',
      'send offer D',
      'send candidate {}',
      'setAnswer A',
      'addCandidate {"c":1}',
      'send candidate {}',
      'connected',
    ])
  })

  it.each([
    ['an answer before its offer is out', [answer]],
    ['an offer instead of an answer', [described, offer]],
    ['a second answer', [described, answer, answer]],
    ['an offer after the answer', [described, answer, offer]],
  ])('refuses %s', (_what, steps) => {
    expect(play('offerer', ...steps).at(-1)).toBe('failed ERR_PROTOCOL by the remote')
  })

  it('goes on when the stream ends after the answer, and fails when it ends before', () => {
    expect(play('offerer', described, answer, ended, connected).at(-1)).toBe('connected')
    expect(play('offerer', ended).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
    expect(play('offerer', described, ended).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
    expect(play('offerer', described, answer, ended, { t: 'wait', ms: SIGNALING_TIMEOUT }, { t: 'tick' }).at(-1)).toBe(
      'failed ERR_WEBRTC_FAILED',
    )
  })
})

describe('the answerer', () => {
  it('answers the offer and connects', () => {
    expect(play('answerer', offer, candidate('{"c":1}'), described, gathered, connected)).toEqual([
      'makeAnswer O',
      'addCandidate {"c":1}',
      'send answer D',
      'send candidate {}',
      'connected',
    ])
  })

  it.each([
    ['an answer', [answer]],
    ['a second offer', [offer, offer]],
    ['a second offer after its answer', [offer, described, offer]],
    ['an answer after its own', [offer, described, answer]],
  ])('refuses %s', (_what, steps) => {
    expect(play('answerer', ...steps).at(-1)).toBe('failed ERR_PROTOCOL by the remote')
  })

  it('fails when the stream ends before it has answered', () => {
    expect(play('answerer', ended).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
    expect(play('answerer', offer, ended).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
    expect(play('answerer', offer, described, ended, connected).at(-1)).toBe('connected')
  })
})

describe('either', () => {
  it('does not pass on the end of candidates, in any of its spellings', () => {
    expect(play('answerer', candidate(''), candidate('null'), candidate('""'))).toEqual([])
  })

  it('takes so many candidates and no more', () => {
    const flood = Array.from({ length: SIGNALING_MAX_CANDIDATES }, (_, at) => candidate(`{"c":${at}}`))
    expect(play('answerer', offer, ...flood).length).toBe(1 + SIGNALING_MAX_CANDIDATES)
    expect(play('answerer', offer, ...flood, candidate('null')).at(-1)).toBe('failed ERR_PROTOCOL by the remote')
  })

  it.each(['failed', 'closed'] as const)('fails when the connection becomes %s', (state) => {
    expect(play('offerer', described, answer, { t: 'state', state }).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
  })

  it('waits where the connection is merely disconnected', () => {
    expect(play('offerer', described, answer, { t: 'state', state: 'disconnected' }).at(-1)).toBe('setAnswer A')
  })

  it('fails when the browser refuses, or it is given up', () => {
    expect(play('answerer', offer, { t: 'refused', cause: new Error('bad SDP') }).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
    expect(play('offerer', { t: 'giveUp', fault: new TabmeshError('ERR_STOPPED', 'a test') }).at(-1)).toBe('failed ERR_STOPPED')
  })

  it('fails at its deadline in every state, and not before', () => {
    const states: [('offerer' | 'answerer')?, ...Step[]][] = [
      ['offerer'],
      ['offerer', described],
      ['offerer', described, answer],
      ['answerer'],
      ['answerer', offer],
      ['answerer', offer, described],
    ]
    for (const [role = 'offerer', ...steps] of states) {
      const early = play(role, ...steps, { t: 'wait', ms: SIGNALING_TIMEOUT - 1 }, { t: 'tick' })
      expect(early.some((each) => each.startsWith('failed'))).toBe(false)
      expect(play(role, ...steps, { t: 'wait', ms: SIGNALING_TIMEOUT }, { t: 'tick' }).at(-1)).toBe('failed ERR_WEBRTC_FAILED')
    }
  })

  it('says nothing once it is over, and ends once, whatever comes', () => {
    const all: Step[] = [
      offer,
      answer,
      candidate('{}'),
      described,
      gathered,
      connected,
      ended,
      { t: 'state', state: 'failed' },
      { t: 'refused', cause: undefined },
      { t: 'tick' },
      { t: 'wait', ms: SIGNALING_TIMEOUT / 3 },
    ]
    property(300, (random) => {
      const steps = Array.from({ length: 30 }, () => all[random.below(all.length)] as Step)
      const said = play(random.below(2) === 0 ? 'offerer' : 'answerer', ...steps)
      const over = said.findIndex((each) => each === 'connected' || each.startsWith('failed'))
      if (over >= 0) expect(over).toBe(said.length - 1)
      for (const once of ['makeOffer', 'makeAnswer O', 'setAnswer A', 'send offer D', 'send answer D']) {
        expect(said.filter((each) => each === once).length).toBeLessThanOrEqual(1)
      }
    })
  })
})
