import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { MEND_TRY_TIMEOUT, SIGNALING_MAX_CANDIDATES } from '../../limits.ts'
import { fingerprintLine, sessionName } from '../../wire/webrtc/session.ts'
import { Restart, type RestartOutput } from './machine.ts'
import { decodeRestart, encodeRestart, type RestartMessage } from './messages.ts'

const sdp = (kind: string, fingerprint = 'AA:BB'): string =>
  ['v=0', `s=${kind}`, 'a=ice-ufrag:abcd', 'a=ice-pwd:secret', `a=fingerprint:sha-256 ${fingerprint}`, ''].join('\r\n')
const session = new Uint8Array([1, 2, 3])
const theirs = fingerprintLine(sdp('offer'))
const drain = (machine: Restart): RestartOutput[] => {
  const outputs: RestartOutput[] = []
  for (let output = machine.poll(); output !== undefined; output = machine.poll()) outputs.push(output)
  return outputs
}
const told = (machine: Restart): string[] =>
  drain(machine).map((output) => {
    if (output.t === 'send') return `send ${output.message.t}`
    return output.t === 'failed' ? `failed ${output.fault.code} ${output.unknown}` : output.t
  })
const offerer = (): Restart => new Restart({ t: 'offerer' }, session, theirs, 0)
const hears = (machine: Restart, message: RestartMessage, now = 1): void => machine.handle({ t: 'message', message }, now)

describe('an offerer', () => {
  it('offers, takes the answer, and is done when something arrives', () => {
    const machine = offerer()
    expect(told(machine)).toEqual(['makeOffer'])
    machine.handle({ t: 'description', sdp: sdp('offer') }, 5)
    expect(machine.offeredAt).toBe(5)
    machine.handle({ t: 'gathered', json: '{}' }, 6)
    expect(told(machine)).toEqual(['send offer', 'send candidate'])
    hears(machine, { t: 'answer', sdp: sdp('answer') })
    hears(machine, { t: 'candidate', json: '{}' })
    expect(told(machine)).toEqual(['setAnswer', 'confirm', 'addCandidate'])
    machine.handle({ t: 'ended', fault: undefined }, 8)
    machine.handle({ t: 'alive' }, 9)
    expect([told(machine), machine.over]).toEqual([['done'], true])
  })

  it('keeps candidates of an earlier offer to itself', () => {
    const machine = offerer()
    machine.handle({ t: 'gathered', json: '{}' }, 1)
    expect(told(machine)).toEqual(['makeOffer'])
  })

  it.each<[string, (machine: Restart) => void, string]>([
    [
      'an answer with another certificate',
      (machine) => hears(machine, { t: 'answer', sdp: sdp('answer', 'CC:DD') }),
      'failed ERR_PROTOCOL false',
    ],
    ['an answer without a certificate', (machine) => hears(machine, { t: 'answer', sdp: 'v=0' }), 'failed ERR_PROTOCOL false'],
    ['an offer', (machine) => hears(machine, { t: 'offer', session, sdp: sdp('offer') }), 'failed ERR_PROTOCOL false'],
    ['that there is no such session', (machine) => hears(machine, { t: 'unknown' }), 'failed ERR_WEBRTC_FAILED true'],
    ['that the other offer stands', (machine) => hears(machine, { t: 'busy' }), 'failed ERR_WEBRTC_FAILED false'],
    ['the end', (machine) => machine.handle({ t: 'ended', fault: undefined }, 2), 'failed ERR_WEBRTC_FAILED false'],
    ['nothing', (machine) => machine.handle({ t: 'tick' }, MEND_TRY_TIMEOUT), 'failed ERR_TIMEOUT false'],
    [
      'a refusal of the browser',
      (machine) => machine.handle({ t: 'refused', cause: new Error('no') }, 2),
      'failed ERR_WEBRTC_FAILED false',
    ],
    [
      'that nobody cares',
      (machine) => machine.handle({ t: 'giveUp', fault: new TabmeshError('ERR_STOPPED', 'x') }, 2),
      'failed ERR_STOPPED false',
    ],
  ])('that hears %s fails, once', (_what, happen, outcome) => {
    const machine = offerer()
    machine.handle({ t: 'description', sdp: sdp('offer') }, 1)
    drain(machine)
    happen(machine)
    happen(machine)
    expect(told(machine)).toEqual([outcome])
  })

  it('takes so many candidates and no more', () => {
    const machine = offerer()
    machine.handle({ t: 'description', sdp: sdp('offer') }, 1)
    for (let i = 0; i <= SIGNALING_MAX_CANDIDATES; i += 1) hears(machine, { t: 'candidate', json: '{}' })
    expect(told(machine).at(-1)).toBe('failed ERR_PROTOCOL false')
  })
})

describe('an answerer', () => {
  it('answers, and is done when something arrives', () => {
    const machine = new Restart({ t: 'answerer', offer: sdp('offer') }, session, theirs, 0)
    expect(told(machine)).toEqual(['makeAnswer'])
    machine.handle({ t: 'description', sdp: sdp('answer') }, 1)
    expect(told(machine)).toEqual(['send answer', 'confirm'])
    machine.handle({ t: 'alive' }, 2)
    expect(told(machine)).toEqual(['done'])
  })

  it('refuses an offer with another certificate: that would be another session', () => {
    const machine = new Restart({ t: 'answerer', offer: sdp('offer', 'CC:DD') }, session, theirs, 0)
    expect(told(machine)).toEqual(['failed ERR_PROTOCOL false'])
  })
})

describe('messages', () => {
  it.each<RestartMessage>([
    { t: 'offer', session, sdp: 'x' },
    { t: 'answer', sdp: '' },
    { t: 'candidate', json: '{}' },
    { t: 'unknown' },
    { t: 'busy' },
  ])('$t', (message) => {
    const bytes = encodeRestart(message)
    expect(bytes[0]).toBe(bytes.length - 1)
    expect(decodeRestart(bytes.subarray(1))).toEqual(message)
  })

  it('of an unknown type, or an offer of no session: refused', () => {
    expect(() => decodeRestart(new Uint8Array([8, 9]))).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }))
    expect(() => decodeRestart(new Uint8Array([8, 0]))).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }))
  })
})

describe('the name of a session', () => {
  it('is the same on both sides, and another one for another offer or answer', () => {
    const name = (offer: string, answer: string): string => sessionName(offer, answer).join()
    expect(name(sdp('offer'), sdp('answer'))).toBe(name(sdp('offer'), sdp('answer')))
    expect(name(sdp('offer', 'CC'), sdp('answer'))).not.toBe(name(sdp('offer'), sdp('answer')))
    expect(name(sdp('offer'), sdp('answer', 'CC'))).not.toBe(name(sdp('offer'), sdp('answer')))
  })
})
