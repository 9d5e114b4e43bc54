/**
 * Namespaces of records that are the application's: validated and selected by it, asked for by the engine.
 *
 *   engine: askAboutRecords ── `validate`, `select` events ──▶ page: judge ── `answerRecord` ──▶ engine
 *
 * Deadlines are the engine's (kad/records.ts): what is late has refused, or selected the first. Bounds: it asks about no more at a time than
 * its stores and lookups let in, each KAD_MAX_VALUE bytes; what it does not wait for any more is forgotten here after KAD_VALIDATE_TIMEOUT.
 */

import { KAD_VALIDATE_TIMEOUT } from '../engine/limits.ts'
import type { Namespace } from '../engine/protocols/kad/records.ts'
import { TabmeshError } from '../errors.ts'
import type { RecordSelector, RecordValidator } from '../types.ts'
import type { DhtEvent, EngineDht, FoundEvent, RecordAnswer } from './dht-messages.ts'

export type RecordQuestion = Exclude<DhtEvent, FoundEvent>

/** Questions to a page that is elsewhere. */
export interface PageNamespaces {
  readonly namespaces: Readonly<Record<string, Namespace>>
  answer(answer: RecordAnswer): void
}

export const askAboutRecords = (
  given: Pick<EngineDht, 'validators' | 'selectors'>,
  tell: (event: RecordQuestion) => void,
): PageNamespaces => {
  const asked = new Map<number, (answer: RecordAnswer) => void>()
  let count = 0
  const put = (question: (id: number) => RecordQuestion, heard: (answer: RecordAnswer) => void): void => {
    count += 1
    const id = count
    const timer = setTimeout(() => asked.delete(id), KAD_VALIDATE_TIMEOUT)
    asked.set(id, (answer) => {
      clearTimeout(timer)
      heard(answer)
    })
    tell(question(id))
  }
  const namespaceOf = (namespace: string): Namespace => ({
    validate: (key, value, done) =>
      put(
        (id) => ({ t: 'validate', id, namespace, key, value }),
        (answer) => {
          if (answer.t !== 'validated' || answer.valid) return done(undefined)
          done(new TabmeshError('ERR_INVALID_RECORD', `the validator of '${namespace}' refuses (${answer.why ?? 'no reason given'})`))
        },
      ),
    select(key, values, done) {
      if (!given.selectors.includes(namespace)) return done(0)
      put(
        (id) => ({ t: 'select', id, namespace, key, values }),
        (answer) => done(answer.t === 'selected' ? answer.best : 0),
      )
    },
  })
  return {
    namespaces: Object.fromEntries(given.validators.map((name) => [name, namespaceOf(name)])),
    answer(answer) {
      const heard = asked.get(answer.id)
      asked.delete(answer.id)
      heard?.(answer)
    },
  }
}

export type Judges = {
  readonly validators: Readonly<Record<string, RecordValidator>>
  readonly selectors: Readonly<Record<string, RecordSelector>>
}

/**
 * What the application says of records. Only `true` is valid: a validator that throws has refused, which is how some say it. A selector that
 * throws, or answers with what is no place in the list, selects the first; `report` hears of that: ERR_HANDLER.
 */
export const judge = async (
  { validators, selectors }: Judges,
  question: RecordQuestion,
  report: (fault: TabmeshError) => void,
): Promise<RecordAnswer> => {
  const { id, namespace, key } = question
  if (question.t === 'validate') {
    try {
      const valid: unknown = await validators[namespace]?.(key, question.value)
      return {
        t: 'validated',
        id,
        valid: valid === true,
        why: valid === true || valid === false ? undefined : `it answers ${String(valid)}`,
      }
    } catch (cause) {
      return { t: 'validated', id, valid: false, why: cause instanceof Error ? cause.message : String(cause) }
    }
  }
  try {
    const best: unknown = await selectors[namespace]?.(key, [...question.values])
    if (Number.isInteger(best) && question.values[best as number] !== undefined) return { t: 'selected', id, best: best as number }
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a selector answers with a place in the list, not ${String(best)}`)
  } catch (cause) {
    report(new TabmeshError('ERR_HANDLER', `the selector of '${namespace}' failed`, { cause }))
    return { t: 'selected', id, best: 0 }
  }
}
