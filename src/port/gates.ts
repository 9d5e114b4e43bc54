/**
 * Gates: the application's gater, asked by an engine.
 *
 *   engine: askPage ── `gate` event ──▶ page: decide ── `answerGate` ──▶ engine
 *
 * Only hooks that there are have a gate: without a gater nothing is sent and nothing waits. Deadlines are the engine's (net/gater.ts), and so are
 * bounds: it asks no more at a time than it has dials, newcomers and requests, and what it does not wait for any more is forgotten here.
 */

import type { Cancel } from '../engine/host.ts'
import type { Answer, Gater as EngineGater } from '../engine/net/gater.ts'
import { TabmeshError } from '../errors.ts'
import type { Gater } from '../types/gater.ts'
import type { GateName, GateQuestion } from './messages.ts'

const names: readonly GateName[] = ['dial', 'accept', 'secured', 'upgraded', 'reservation']

/** The hooks that a gater has. Throws ERR_INVALID_ARGUMENT for one that has none, or something else where a hook belongs: it would let everybody in. */
export const gatesOf = (gater: Gater | undefined): readonly GateName[] => {
  if (gater === undefined) return []
  const given = typeof gater === 'object' && gater !== null ? names.filter((name) => gater[name] !== undefined) : []
  if (given.length === 0) throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`connections.gater\` has none of the hooks ${names.join(', ')}`)
  for (const name of given)
    if (typeof gater[name] !== 'function') throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`connections.gater.${name}\` is no function`)
  return given
}

/** What the application says. What is no answer refuses, and `report` hears of it: ERR_HANDLER. */
export const decide = async (gater: Gater, { hook, about }: GateQuestion, report: (fault: TabmeshError) => void): Promise<boolean> => {
  try {
    // Called on the gater itself, which may be an instance of a class.
    const allowed: unknown = await (gater as Record<GateName, (about: unknown) => unknown>)[hook](about)
    if (typeof allowed === 'boolean') return allowed
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a gater answers true or false, not ${String(allowed)}`)
  } catch (cause) {
    report(new TabmeshError('ERR_HANDLER', `the gater's hook '${hook}' failed`, { cause }))
    return false
  }
}

/** Questions to a page that is elsewhere. */
export interface PageGates {
  readonly gater: EngineGater
  /** The page's answer; one that nobody waits for is nobody's. */
  answer(id: number, allowed: boolean): void
  /** Questions that wait for an answer. */
  readonly waiting: number
}

/** Undefined where the page has no hooks. */
export const askPage = (given: readonly GateName[], tell: (id: number, question: GateQuestion) => void): PageGates | undefined => {
  if (given.length === 0) return undefined
  const asked = new Map<number, Answer>()
  let count = 0
  const put = (question: GateQuestion, answer: Answer): Cancel => {
    count += 1
    const id = count
    asked.set(id, answer)
    tell(id, question)
    return () => void asked.delete(id)
  }
  const hooks: Required<EngineGater> = {
    dial: (remotePeer, { text }, answer) => put({ hook: 'dial', about: { remotePeer, remoteAddr: text } }, answer),
    accept: ({ text }, answer) => put({ hook: 'accept', about: { remoteAddr: text } }, answer),
    secured: (remotePeer, direction, { text }, answer) =>
      put({ hook: 'secured', about: { remotePeer, remoteAddr: text, direction } }, answer),
    upgraded: ({ remoteAddr, limit, ...rest }, answer) =>
      put({ hook: 'upgraded', about: { ...rest, remoteAddr: remoteAddr.text, limited: limit !== undefined } }, answer),
    reservation: (remotePeer, answer) => put({ hook: 'reservation', about: { remotePeer } }, answer),
  }
  return {
    gater: Object.fromEntries(given.map((name) => [name, hooks[name]])),
    answer: (id, allowed) => asked.get(id)?.(allowed),
    get waiting() {
      return asked.size
    },
  }
}
