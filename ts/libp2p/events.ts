/**
 * The event target of streams and muxers.
 *
 * An `EventTarget` of Node.js keeps a linked list per type, wraps each listener and stamps each event: with an event for
 * every message of every stream, that is a tenth of what a small message costs. The rules are the same: listeners run in
 * their order, synchronously; one that throws becomes an uncaught exception and does not stop the others.
 */
import type { EventHandler, TypedEventTarget } from '@libp2p/interface'

// biome-ignore lint/suspicious/noExplicitAny: of the event of its type.
type AnyHandler = EventHandler<any>

interface Listener {
  readonly handler: AnyHandler
  readonly once: boolean
  /** Stops listening to the signal that removes it. */
  readonly release: (() => void) | undefined
  isRemoved: boolean
}

/** An event target with typed events. */
// biome-ignore lint/suspicious/noExplicitAny: as TypedEventTarget has it.
export class Events<EventMap extends Record<string, any>>
  extends EventTarget
  implements TypedEventTarget<EventMap>
{
  readonly #listeners = new Map<string, Listener[]>()

  override addEventListener<K extends keyof EventMap>(
    type: K,
    handler: EventHandler<EventMap[K]> | null,
    options?: boolean | AddEventListenerOptions
  ): void
  override addEventListener(
    type: string,
    handler: AnyHandler | null,
    options?: boolean | AddEventListenerOptions
  ): void {
    const { once = false, signal } = typeof options === 'object' ? options : {}
    if (handler === null || signal?.aborted === true) return
    const listeners = this.#listeners.get(type) ?? []
    if (listeners.some((listener) => listener.handler === handler)) return
    const remove = (): void => this.removeEventListener(type, handler)
    signal?.addEventListener('abort', remove, { once: true })
    const release = signal && (() => signal.removeEventListener('abort', remove))
    // Replaced, not changed: a dispatch under way continues with the listeners that it began with.
    this.#listeners.set(type, [...listeners, { handler, once, release, isRemoved: false }])
    this.listenerAdded(type)
  }

  /** Called when a listener was added. */
  protected listenerAdded(_type: string): void {}

  override removeEventListener<K extends keyof EventMap>(
    type: K,
    handler?: EventHandler<EventMap[K]> | null,
    options?: boolean | EventListenerOptions
  ): void
  override removeEventListener(type: string, handler?: AnyHandler | null): void {
    const listeners = this.#listeners.get(type)
    const listener = listeners?.find((it) => it.handler === handler)
    if (listeners === undefined || listener === undefined) return
    listener.isRemoved = true
    listener.release?.()
    if (listeners.length === 1) this.#listeners.delete(type)
    else
      this.#listeners.set(
        type,
        listeners.filter((it) => it !== listener)
      )
  }

  /** Returns the number of listeners of a type. */
  listenerCount(type: string): number {
    return this.#listeners.get(type)?.length ?? 0
  }

  override dispatchEvent(event: Event): boolean {
    const listeners = this.#listeners.get(event.type)
    if (listeners === undefined) return true
    if (event.target === null) {
      const own = { value: this, configurable: true }
      Object.defineProperties(event, { target: own, currentTarget: own })
    }
    for (const listener of listeners) {
      if (listener.isRemoved) continue
      if (listener.once) this.removeEventListener(event.type, listener.handler)
      call(listener.handler, this, event)
    }
    return !event.defaultPrevented
  }

  safeDispatchEvent<Detail>(type: keyof EventMap, init: CustomEventInit<Detail> = {}): boolean {
    return this.dispatchEvent(new CustomEvent(type as string, init))
  }
}

function call(handler: AnyHandler, target: EventTarget, event: Event): void {
  try {
    // The handler was registered for events of this type.
    const listener = handler as EventHandler<Event>
    const result: unknown =
      typeof listener === 'function' ? listener.call(target, event) : listener.handleEvent(event)
    if (result instanceof Promise) result.catch(uncaught)
  } catch (err) {
    uncaught(err)
  }
}

function uncaught(err: unknown): void {
  process.nextTick(() => {
    throw err
  })
}
