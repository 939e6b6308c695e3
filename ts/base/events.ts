/**
 * A small typed event target.
 *
 * Unlike the platform's it makes nothing until somebody listens, and a listener that throws or rejects is
 * reported to `onListenerError` and harms neither the other listeners nor the process.
 */
import { aBoolean, aSignal, aString, checkOptions, misuse, type OptionChecks } from './arguments.ts'

/** A function, or an object with `handleEvent`, that takes events of one kind. */
export type EventHandler<E> = ((event: E) => unknown) | { handleEvent: (event: E) => unknown }

/** Options of `addEventListener`. */
export interface EventListenerOptions {
  /** Removes the listener before its first call. */
  once?: boolean
  /** Removes the listener when aborted. */
  signal?: AbortSignal
}

/** Told of an error in a callback of the application, which one, and the clause that says so. */
export type OnFailure = (err: unknown, callback: object, message: string) => void

const LISTENER_CHECKS: OptionChecks<EventListenerOptions> = { once: aBoolean, signal: aSignal }

interface Entry {
  readonly handler: unknown
  readonly once: boolean
  /** Takes our listener off the signal that would remove this entry. */
  readonly release: (() => void) | undefined
}

/** Typed events of a `Swarm`, a `Connection` or a `Stream`; `Events` maps their names to their event types. */
export class TypedEventTarget<Events extends object> {
  #entries: Map<keyof Events, readonly Entry[]> | undefined
  #isOver = false

  /**
   * Call `handler` for each event of this kind, in the order of registration. Adding it twice adds it once.
   *
   * Throws `InvalidParametersError` for a handler that cannot be called, and for options that do not exist. Nothing
   * stays on `signal` once the listener is removed, or the last event of this object was told.
   */
  addEventListener<K extends keyof Events>(
    type: K,
    handler: EventHandler<Events[K]>,
    options: EventListenerOptions = {}
  ): void {
    aString(type, 'type')
    if (!isHandler(handler))
      throw misuse('handler', 'a function or an object with handleEvent', handler)
    checkOptions(options, LISTENER_CHECKS)
    const { once = false, signal } = options
    if (this.#isOver || signal?.aborted === true) return
    this.#entries ??= new Map()
    const entries = this.#entries.get(type) ?? []
    if (entries.some((entry) => entry.handler === handler)) return
    const onAbort = (): void => this.removeEventListener(type, handler)
    signal?.addEventListener('abort', onAbort, { once: true })
    const release =
      signal === undefined ? undefined : () => signal.removeEventListener('abort', onAbort)
    this.#entries.set(type, [...entries, { handler, once, release }])
  }

  /** Stop calling `handler`. */
  removeEventListener<K extends keyof Events>(type: K, handler: EventHandler<Events[K]>): void {
    const entries = this.#entries?.get(type)
    if (entries === undefined) return
    const removed = entries.find((entry) => entry.handler === handler)
    if (removed === undefined) return
    removed.release?.()
    const left = entries.filter((entry) => entry !== removed)
    if (left.length === 0) this.#entries?.delete(type)
    else this.#entries?.set(type, left)
  }

  /** Whether anybody listens for this kind; ask before making an event. */
  hasListeners(type: keyof Events): boolean {
    return this.#entries?.has(type) === true
  }

  /** Hand an event to its listeners, now. */
  protected emit<K extends keyof Events>(type: K, event: Events[K]): void {
    // The array is replaced on change, so listeners that come and go meanwhile do not disturb this loop.
    for (const { handler, once } of this.#entries?.get(type) ?? []) {
      // Entries of this kind hold handlers of this kind.
      const typed = handler as EventHandler<Events[K]>
      if (once) this.removeEventListener(type, typed)
      try {
        const answer =
          typeof typed === 'function' ? typed.call(this, event) : typed.handleEvent(event)
        if (isThenable(answer)) answer.then(undefined, (err) => this.#failed(err, typed, type))
      } catch (err) {
        this.#failed(err, typed, type)
      }
    }
  }

  /** The last event was told: every listener is removed, and later ones are not kept. */
  protected endEvents(): void {
    this.#isOver = true
    for (const entries of this.#entries?.values() ?? []) {
      for (const { release } of entries) release?.()
    }
    this.#entries = undefined
  }

  #failed(err: unknown, handler: EventHandler<never>, type: keyof Events): void {
    this.onListenerError(err, handler, `a listener of ${JSON.stringify(String(type))} failed`)
  }

  /** Where an error of `listener` goes, with the clause that tells of it; nowhere by default. */
  protected onListenerError(_err: unknown, _listener: object, _message: string): void {}
}

function isHandler(handler: unknown): boolean {
  if (typeof handler === 'function') return true
  // Anything but null and undefined can be asked for a member.
  return typeof (handler as { handleEvent?: unknown } | null)?.handleEvent === 'function'
}

/** Whether a callback gave back something to wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === 'function'
}
