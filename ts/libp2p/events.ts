/**
 * The event target of streams and muxers.
 *
 * An `EventTarget` of Node.js keeps a linked list per type, wraps each listener and stamps each event: with an event for
 * every message of every stream, that is a tenth of what a small message costs. The rules are the same: listeners run in
 * their order, synchronously; one that throws becomes an uncaught exception and does not stop the others.
 */
import { type EventHandler, StreamMessageEvent, type TypedEventTarget } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'

// biome-ignore lint/suspicious/noExplicitAny: of the event of its type.
type AnyHandler = EventHandler<any>

interface Listener {
  readonly handler: AnyHandler
  readonly once: boolean
  /** Stops listening to the signal that removes it. */
  release: (() => void) | undefined
  isRemoved: boolean
}

/** An event target with typed events. */
// biome-ignore lint/suspicious/noExplicitAny: as TypedEventTarget has it.
export class Events<EventMap extends Record<string, any>>
  extends EventTarget
  implements TypedEventTarget<EventMap>
{
  readonly #listeners = new Map<string, Listener[]>()
  #dispatching = 0

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
    const listeners = this.#listeners.get(type)
    if (listeners?.some((listener) => listener.handler === handler)) return
    const listener: Listener = { handler, once, release: undefined, isRemoved: false }
    if (listeners === undefined) this.#listeners.set(type, [listener])
    // A dispatch under way continues with the listeners that it began with.
    else if (this.#dispatching > 0) this.#listeners.set(type, [...listeners, listener])
    else listeners.push(listener)
    if (signal !== undefined)
      releaseBy(signal, listener, () => this.removeEventListener(type, handler))
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
    const at = listeners?.findIndex((it) => it.handler === handler) ?? -1
    const listener = listeners?.[at]
    if (listeners === undefined || listener === undefined) return
    listener.isRemoved = true
    listener.release?.()
    if (listeners.length === 1) this.#listeners.delete(type)
    else if (this.#dispatching > 0) this.#listeners.set(type, listeners.toSpliced(at, 1))
    else listeners.splice(at, 1)
  }

  /** Returns the number of listeners of a type. */
  listenerCount(type: string): number {
    return this.#listeners.get(type)?.length ?? 0
  }

  override dispatchEvent(event: Event): boolean {
    const listeners = this.#listeners.get(event.type)
    if (listeners === undefined) return true
    // Those of this package have it from the start: to define it costs more than the rest of the dispatch.
    if (event.target === null) {
      const own = { value: this, configurable: true }
      Object.defineProperties(event, { target: own, currentTarget: own })
    }
    this.#dispatching += 1
    for (const listener of listeners) {
      if (listener.isRemoved) continue
      if (listener.once) this.removeEventListener(event.type, listener.handler)
      call(listener.handler, this, event)
    }
    this.#dispatching -= 1
    return !event.defaultPrevented
  }

  /** Dispatches an event; none is made without a listener. */
  safeDispatchEvent<Detail>(type: keyof EventMap, init?: CustomEventInit<Detail>): boolean {
    // The keys of an event map are the types of its events.
    const name = type as string
    if (!this.#listeners.has(name)) return true
    const event = init === undefined ? new OwnEvent(name, this) : new CustomEvent(name, init)
    return this.dispatchEvent(event)
  }
}

/** An event without details. */
class OwnEvent extends Event {
  override readonly target: EventTarget
  override readonly currentTarget: EventTarget

  constructor(type: string, target: EventTarget) {
    super(type)
    this.target = target
    this.currentTarget = target
  }
}

/** Bytes that have arrived. */
export class OwnMessageEvent extends StreamMessageEvent {
  override readonly target: EventTarget
  override readonly currentTarget: EventTarget

  constructor(data: Uint8ArrayList, target: EventTarget) {
    super(data)
    this.target = target
    this.currentTarget = target
  }
}

/** Calls `remove` when the signal is aborted. */
function releaseBy(signal: AbortSignal, listener: Listener, remove: () => void): void {
  signal.addEventListener('abort', remove, { once: true })
  listener.release = () => signal.removeEventListener('abort', remove)
}

function call(handler: AnyHandler, target: EventTarget, event: Event): void {
  try {
    // The handler was registered for events of this type.
    const listener = handler as EventHandler<Event>
    // A promise that is rejected is an unhandled rejection, as with the event target of the stock streams.
    if (typeof listener === 'function') listener.call(target, event)
    else listener.handleEvent(event)
  } catch (err) {
    uncaught(err)
  }
}

function uncaught(err: unknown): void {
  process.nextTick(() => {
    throw err
  })
}
