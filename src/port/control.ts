/**
 * Control: commands from the page to the engine, over Comlink, both ends.
 *
 * Comlink alone loses error codes, never gives up and can't be cancelled. Here every command has a number and a
 * deadline, an AbortSignal becomes a cancel message, errors keep code, cause and per-address errors, and a dead engine
 * rejects all that is pending.
 */

import { expose, type TransferHandler, transfer, transferHandlers, wrap } from 'comlink'
import type { Outcome } from '../engine/wire/conversation.ts'
import { asTabmeshError, deflateError, inflateError, type PlainError, TabmeshError } from '../errors.ts'
import type { CommandName, Commands, EngineControl } from './messages.ts'
import { Pipe } from './pipe.ts'

/** Every command is answered by the engine well before this; a silent one is suspended or dead. */
const COMMAND_DEADLINE = 60_000
/** Beyond the longest that a command takes by itself. */
const COMMAND_MARGIN = 30_000

/** Comlink has one handler for all that use it: what is not ours goes the standard way, so that an application's own is not disturbed. */
const keepCodes = (): void => {
  const standard = transferHandlers.get('throw') as TransferHandler<{ value: unknown }, object>
  transferHandlers.set('throw', {
    canHandle: standard.canHandle,
    serialize: (thrown) =>
      thrown.value instanceof TabmeshError ? [{ tabmesh: deflateError(thrown.value) }, []] : standard.serialize(thrown),
    deserialize: (sent) => {
      if ('tabmesh' in sent) throw inflateError(sent.tabmesh as PlainError)
      return standard.deserialize(sent)
    },
  } satisfies TransferHandler<{ value: unknown }, object>)
}
keepCodes()

export interface RunOptions<R = never> {
  /** The command was given up, and has its result all the same: what to do with that. */
  readonly discard?: (result: R) => void
  /** Milliseconds that the command takes by itself, at most, where that is long. */
  readonly longest?: number
  /** What of the arguments is handed over and not copied. */
  readonly transfer?: Transferable[]
}

/** What timers take. */
const LONGEST_DEADLINE = 2 ** 31 - 1

/** The page's end. */
export class ControlClient {
  readonly #engine: EngineControl
  readonly #port: MessagePort
  readonly #pending = new Map<number, (error: unknown) => void>()
  readonly #deadline: number
  #count = 0
  #dead: TabmeshError | undefined

  /** `longestDial` is the most milliseconds that the engine takes over a dial. */
  constructor(port: MessagePort, longestDial = 0) {
    this.#port = port
    this.#deadline = Math.max(COMMAND_DEADLINE, longestDial + COMMAND_MARGIN)
    this.#engine = wrap<EngineControl>(port) as unknown as EngineControl
  }

  /** Rejects with the engine's TabmeshError, the signal's reason, ERR_ENGINE_TIMEOUT or what `die` was called with. */
  run<N extends CommandName>(
    name: N,
    args: Commands[N]['args'],
    signal?: AbortSignal,
    { longest = 0, transfer: handedOver, discard = closePort }: RunOptions<Commands[N]['result']> = {},
  ): Promise<Commands[N]['result']> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead)
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    this.#count += 1
    const id = this.#count
    const deadline = Math.min(Math.max(this.#deadline, longest + COMMAND_MARGIN), LONGEST_DEADLINE)
    const sent = handedOver === undefined ? args : transfer(args as object, handedOver)
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#pending.delete(id)
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      const fail = (error: unknown): void => {
        settle()
        reject(error)
      }
      const abort = (): void => {
        this.#cancel(id)
        fail(signal?.reason)
      }
      const timer = setTimeout(() => {
        this.#cancel(id)
        fail(new TabmeshError('ERR_ENGINE_TIMEOUT', `'${name}' got no answer within ${deadline} ms`))
      }, deadline)
      signal?.addEventListener('abort', abort)
      this.#pending.set(id, fail)
      this.#engine.run(id, name, sent as typeof args).then(
        (result) => {
          if (!this.#pending.has(id)) return discard(result)
          settle()
          resolve(result)
        },
        // What is not coded was thrown here: the arguments can't be cloned.
        (error) => fail(asTabmeshError(error, 'ERR_INVALID_ARGUMENT', `'${name}' can't be sent to the engine`)),
      )
    })
  }

  /** Nobody waits for the answer, whatever it is. */
  #cancel(id: number): void {
    this.#engine.cancel(id).catch(() => {})
  }

  /** The engine is gone: everything pending and everything to come rejects with `error`. */
  die(error: TabmeshError): void {
    if (this.#dead !== undefined) return
    this.#dead = error
    for (const fail of [...this.#pending.values()]) fail(error)
    this.#port.close()
  }
}

/** A result that comes after its call was given up: a stream in it would stay open with nobody at its end. */
const closePort = (result: unknown): void => {
  const port = (result as { port?: unknown } | undefined)?.port
  if (port instanceof MessagePort) new Pipe(port).abort(new TabmeshError('ERR_STREAM_CLOSED', 'the call was given up'))
}

/** What runs a command; the returned function gives it up. */
export type Commander = {
  [N in CommandName]: (
    args: Commands[N]['args'],
    resolve: (result: Commands[N]['result'], transfer?: Transferable[]) => void,
    reject: (error: unknown) => void,
  ) => (() => void) | undefined
}

/** Answers a command with what comes of a call of the engine. */
export const settle =
  <T>(resolve: (value: T) => void, reject: (error: unknown) => void) =>
  (outcome: Outcome<T>): void =>
    outcome.ok ? resolve(outcome.value) : reject(outcome.fault)

/** The engine's end: serves `commander` on `port`. */
export const serveControl = (port: MessagePort, commander: Commander): void => {
  const running = new Map<number, () => void>()
  const control: EngineControl = {
    run: (id, name, args) =>
      new Promise((resolve, reject) => {
        const fail = (error: unknown): void => {
          running.delete(id)
          reject(asTabmeshError(error, 'ERR_INTERNAL', `'${name}' failed`))
        }
        try {
          const cancel = commander[name](
            args,
            (result, transferables = []) => {
              running.delete(id)
              resolve(transferables.length > 0 ? (transfer(result as object, transferables) as typeof result) : result)
            },
            fail,
          )
          if (cancel !== undefined) {
            running.set(id, () => {
              cancel()
              fail(new TabmeshError('ERR_STREAM_CLOSED', `'${name}' was given up`))
            })
          }
        } catch (error) {
          fail(error)
        }
      }),
    cancel: async (id) => running.get(id)?.(),
  }
  expose(control, port)
}
