/**
 * Notifiees: callbacks for swarm events, as in go-libp2p.
 */
import type { Multiaddr } from '@multiformats/multiaddr'
import { aFunction, anObject, checkOptions, type OptionChecks } from '../base/arguments.ts'
import type { OnFailure } from '../base/events.ts'
import { isThenable } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'

/**
 * Optional callbacks for swarm events, registered with `swarm.notify`.
 *
 * For one connection the order is `connected`, then `openedStream` and `closedStream` of its streams, then
 * `disconnected`; every `connected` callback has returned before the first stream of the connection is delivered.
 * Returned promises are not awaited. Errors go to the logger or, without one, once to a process warning.
 */
export interface Notifiee {
  /** Called when the swarm started to listen on `addr`. */
  listen?(swarm: Swarm, addr: Multiaddr): unknown
  /** Called when the swarm stopped listening on `addr`. */
  listenClose?(swarm: Swarm, addr: Multiaddr): unknown
  /** Called when a connection was established. */
  connected?(swarm: Swarm, connection: Connection): unknown
  /** Called when a connection has ended. */
  disconnected?(swarm: Swarm, connection: Connection): unknown
  /** Called when either side opened a stream. */
  openedStream?(swarm: Swarm, stream: Stream): unknown
  /** Called when a stream has ended. */
  closedStream?(swarm: Swarm, stream: Stream): unknown
}

/** Names of the callbacks of a {@link Notifiee}. */
export type NotifieeEvent = keyof Notifiee

const CALLBACKS: OptionChecks<Notifiee> = {
  listen: aFunction,
  listenClose: aFunction,
  connected: aFunction,
  disconnected: aFunction,
  openedStream: aFunction,
  closedStream: aFunction
}

/** A notifiee composed of functions. */
export class NotifyBundle implements Notifiee {
  /** See {@link Notifiee.listen}. */
  declare readonly listen?: NonNullable<Notifiee['listen']>
  /** See {@link Notifiee.listenClose}. */
  declare readonly listenClose?: NonNullable<Notifiee['listenClose']>
  /** See {@link Notifiee.connected}. */
  declare readonly connected?: NonNullable<Notifiee['connected']>
  /** See {@link Notifiee.disconnected}. */
  declare readonly disconnected?: NonNullable<Notifiee['disconnected']>
  /** See {@link Notifiee.openedStream}. */
  declare readonly openedStream?: NonNullable<Notifiee['openedStream']>
  /** See {@link Notifiee.closedStream}. */
  declare readonly closedStream?: NonNullable<Notifiee['closedStream']>

  /**
   * Creates a notifiee from callbacks; omitted ones do nothing.
   *
   * @throws {@link InvalidParametersError} for an unknown name, or a callback that is not a function.
   */
  constructor(callbacks: Notifiee = {}) {
    checkOptions(callbacks, CALLBACKS)
    Object.assign(this, callbacks)
  }
}

/** A notifiee that does nothing, as a base class for partial implementations. */
export class NoopNotifiee implements Notifiee {
  /** Does nothing. */
  listen(_swarm: Swarm, _addr: Multiaddr): unknown {
    return undefined
  }

  /** Does nothing. */
  listenClose(_swarm: Swarm, _addr: Multiaddr): unknown {
    return undefined
  }

  /** Does nothing. */
  connected(_swarm: Swarm, _connection: Connection): unknown {
    return undefined
  }

  /** Does nothing. */
  disconnected(_swarm: Swarm, _connection: Connection): unknown {
    return undefined
  }

  /** Does nothing. */
  openedStream(_swarm: Swarm, _stream: Stream): unknown {
    return undefined
  }

  /** Does nothing. */
  closedStream(_swarm: Swarm, _stream: Stream): unknown {
    return undefined
  }
}

/** A shared {@link NoopNotifiee}. */
export const globalNoopNotifiee: NoopNotifiee = Object.freeze(new NoopNotifiee())

/** @internal The notifiees of one swarm. */
export class Notifiees {
  readonly #all = new Set<Notifiee>()
  // Those of the next event; made when they have changed.
  #notified: readonly Notifiee[] | undefined
  readonly #onFailure: OnFailure

  constructor(onFailure: OnFailure) {
    this.#onFailure = onFailure
  }

  get size(): number {
    return this.#all.size
  }

  /**
   * Adds a notifiee; returns false if it is registered already. Throws `InvalidParametersError` if it is not an object,
   * or a callback is not a function. Other members are allowed, as it may be of any class.
   */
  add(notifiee: Notifiee): boolean {
    anObject(notifiee, 'notifiee')
    for (const [name, check] of Object.entries(CALLBACKS)) {
      // `CALLBACKS` has exactly these names.
      const callback = notifiee[name as NotifieeEvent]
      if (callback !== undefined) check(callback, `notifiee.${name}`)
    }
    if (this.#all.has(notifiee)) return false
    this.#all.add(notifiee)
    this.#notified = undefined
    return true
  }

  delete(notifiee: Notifiee): void {
    this.#all.delete(notifiee)
    this.#notified = undefined
  }

  /**
   * Calls the callback of each notifiee; errors and rejections go to `onFailure`. One that is removed meanwhile is not
   * called any more, one that is added only for later events.
   */
  tell<K extends NotifieeEvent>(
    swarm: Swarm,
    event: K,
    detail: Parameters<NonNullable<Notifiee[K]>>[1]
  ): void {
    this.#notified ??= [...this.#all]
    for (const notifiee of this.#notified) {
      if (!this.#all.has(notifiee)) continue
      // TypeScript does not correlate the callback of an event with its detail.
      const callback = notifiee[event] as ((swarm: Swarm, on: typeof detail) => unknown) | undefined
      try {
        const result = callback?.call(notifiee, swarm, detail)
        if (isThenable(result)) result.then(undefined, (err) => this.#failed(err, callback, event))
      } catch (err) {
        this.#failed(err, callback, event)
      }
    }
  }

  #failed(err: unknown, callback: object | undefined, event: NotifieeEvent): void {
    this.#onFailure(err, callback ?? this, `the ${event} of a notifiee failed`)
  }
}
