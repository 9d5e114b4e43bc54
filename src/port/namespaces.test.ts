import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../errors.ts'
import { askAboutRecords, type Judges, judge, type RecordQuestion } from './namespaces.ts'

const [key, value, other] = ['/app/k', 'a', 'b'].map((text) => new Uint8Array(Buffer.from(text))) as [Uint8Array, Uint8Array, Uint8Array]

/** A page that answers, or does not. */
const border = (judges: Judges, answers = true) => {
  const faults: TabmeshError[] = []
  const asked: RecordQuestion[] = []
  const { namespaces, answer } = askAboutRecords(
    { validators: Object.keys(judges.validators), selectors: Object.keys(judges.selectors) },
    (question) => {
      asked.push(question)
      if (answers) void judge(judges, question, (fault) => faults.push(fault)).then(answer)
    },
  )
  const valid = (): Promise<string> =>
    new Promise((resolve) => namespaces.app?.validate(key, value, (fault) => resolve(fault === undefined ? 'valid' : fault.message)))
  const best = (): Promise<number> => new Promise((resolve) => namespaces.app?.select(key, [value, other], resolve))
  return { namespaces, answer, valid, best, faults, asked }
}

describe('records that the application judges', () => {
  it('are valid where it says true, now or later, and never else', async () => {
    for (const app of [() => true, async () => true]) expect(await border({ validators: { app }, selectors: {} }).valid()).toBe('valid')
    for (const [app, why] of [
      [() => false, 'no reason given'],
      [async () => false, 'no reason given'],
      [() => 1, 'it answers 1'],
      [() => undefined, 'it answers undefined'],
      [
        () => {
          throw new Error('too short')
        },
        'too short',
      ],
      [() => Promise.reject('so'), 'so'],
    ] as [() => never, string][]) {
      const { valid, faults } = border({ validators: { app }, selectors: {} })
      expect(await valid()).toContain(`the validator of 'app' refuses (${why})`)
      expect(faults).toEqual([])
    }
  })

  it('hears key and value as they are', async () => {
    const heard: unknown[] = []
    await border({ validators: { app: (...all) => heard.push(...all) > 0 }, selectors: {} }).valid()
    expect(heard).toEqual([key, value])
  })

  it('selects a place in the list; without a selector, or where it fails, the first', async () => {
    const validators = { app: () => true }
    expect(await border({ validators, selectors: { app: async (_key, values) => values.length - 1 } }).best()).toBe(1)
    const without = border({ validators, selectors: {} })
    expect([await without.best(), without.asked]).toEqual([0, []])
    for (const app of [
      () => 2,
      () => -1,
      () => 'b',
      () => {
        throw new Error('no')
      },
    ] as (() => never)[]) {
      const { best, faults } = border({ validators, selectors: { app } })
      expect([await best(), faults.map(({ code }) => code)]).toEqual([0, ['ERR_HANDLER']])
    }
  })

  it('are not waited for twice, and an answer to nothing is none', async () => {
    const { namespaces, answer, asked } = border({ validators: { app: () => true }, selectors: {} }, false)
    const heard: unknown[] = []
    namespaces.app?.validate(key, value, (fault) => heard.push(fault))
    const id = asked[0]?.id ?? -1
    answer({ t: 'validated', id: 99, valid: false, why: undefined })
    answer({ t: 'validated', id, valid: true, why: undefined })
    answer({ t: 'validated', id, valid: false, why: undefined })
    expect(heard).toEqual([undefined])
  })
})
