/**
 * A small typed event target.
 *
 * Unlike the platform's, it allocates nothing until the first listener is added, and a listener that throws or rejects
 * is reported to `onListenerError` and affects neither the other listeners nor the process.
 */
import { aBoolean, aSignal, aString, checkOptions, misuse, type OptionChecks } from './arguments.ts'

/** A function, or an object with `handleEvent`, called with events of one type. */
export type EventHandler<E> =
  | ((event: E) => unknown)
  | {
      /** Called with each event. */
      handleEvent: (event: E) => unknown
    }

/** Options of `addEventListener`. */
export interface EventListenerOptions {
  /** Removes the listener before its first call. */
  once?: boolean
  /** Removes the listener when aborted. */
  signal?: AbortSignal
}

/** Called with an error of an application callback, the callback, and a clause that describes the failure. */
export type OnFailure = (err: unknown, callback: object, message: string) => void

const LISTENER_CHECKS: OptionChecks<EventListenerOptions> = { once: aBoolean, signal: aSignal }

interface Entry {
  readonly handler: unknown
  readonly once: boolean
  /** Removes our `abort` listener from the signal that would remove this entry. */
  readonly release: (() => void) | undefined
}

/** Typed events of a `Swarm`, a `Connection` or a `Stream`; `Events` maps their names to their event types. */
export class TypedEventTarget<Events extends object> {
  #entries: Map<keyof Events, readonly Entry[]> | undefined
  #isOver = false

  /**
   * Calls `handler` for each event of this type, in the order of registration. Adding it twice adds it once.
   *
   * Throws `InvalidParametersError` for a handler that cannot be called and for unknown options. Nothing stays on
   * `signal` once the listener is removed or the last event of this object has been dispatched.
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
    if (entries.length === 0) this.onHeard(type)
  }

  /** Removes `handler`. */
  removeEventListener<K extends keyof Events>(type: K, handler: EventHandler<Events[K]>): void {
    const entries = this.#entries?.get(type)
    if (entries === undefined) return
    const removed = entries.find((entry) => entry.handler === handler)
    if (removed === undefined) return
    removed.release?.()
    const left = entries.filter((entry) => entry !== removed)
    if (left.length === 0) {
      this.#entries?.delete(type)
      this.onHeard(type)
    } else this.#entries?.set(type, left)
  }

  /** Returns whether this type has listeners, so that an event without any need not be created. */
  hasListeners(type: keyof Events): boolean {
    return this.#entries?.has(type) === true
  }

  /** Dispatches an event to its listeners synchronously. */
  protected emit<K extends keyof Events>(type: K, event: Events[K]): void {
    // The array is copied on write, so listeners may be added and removed during this loop.
    for (const { handler, once } of this.#entries?.get(type) ?? []) {
      // The map associates each type with handlers of that type.
      const typed = handler as EventHandler<Events[K]>
      if (once) this.removeEventListener(type, typed)
      try {
        const result =
          typeof typed === 'function' ? typed.call(this, event) : typed.handleEvent(event)
        if (isThenable(result)) result.then(undefined, (err) => this.#failed(err, typed, type))
      } catch (err) {
        this.#failed(err, typed, type)
      }
    }
  }

  /** Removes every listener and ignores later ones: the last event has been dispatched. */
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

  /** Called when a type has got its first listener or lost its last. Does nothing by default. */
  protected onHeard(_type: keyof Events): void {}

  /** Called with an error of `listener` and a clause that describes it. Does nothing by default. */
  protected onListenerError(_err: unknown, _listener: object, _message: string): void {}
}

function isHandler(handler: unknown): boolean {
  if (typeof handler === 'function') return true
  // Every value but null and undefined allows property access.
  return typeof (handler as { handleEvent?: unknown } | null)?.handleEvent === 'function'
}

/** Returns whether `value`, the result of a callback, is a promise or thenable. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === 'function'
}
