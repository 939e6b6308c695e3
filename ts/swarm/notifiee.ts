/**
 * Notifiees: go's callbacks for what happens in a swarm, all of them optional.
 *
 * Of one connection they come in this order: `connected`, then its streams' `openedStream` and `closedStream`,
 * then `disconnected`; every `connected` has returned before the connection's first stream is handed out.
 * Only the synchronous part is waited for; what throws or rejects is told to the logger, or else once as a warning of
 * the process, and delays nobody.
 */
import type { Multiaddr } from '@multiformats/multiaddr'
import { aFunction, anObject, checkOptions, type OptionChecks } from '../base/arguments.ts'
import type { OnFailure } from '../base/events.ts'
import { isThenable } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'

/** Somebody to be told what happens in a swarm. */
export interface Notifiee {
  /** Listening on `addr` began. */
  listen?(swarm: Swarm, addr: Multiaddr): unknown
  /** Listening on `addr` ended. */
  listenClose?(swarm: Swarm, addr: Multiaddr): unknown
  /** A connection is up. */
  connected?(swarm: Swarm, connection: Connection): unknown
  /** A connection has ended. */
  disconnected?(swarm: Swarm, connection: Connection): unknown
  /** A stream was opened by either side. */
  openedStream?(swarm: Swarm, stream: Stream): unknown
  /** A stream has ended. */
  closedStream?(swarm: Swarm, stream: Stream): unknown
}

/** The names of a notifiee's callbacks. */
export type NotifieeEvent = keyof Notifiee

const CALLBACKS: OptionChecks<Notifiee> = {
  listen: aFunction,
  listenClose: aFunction,
  connected: aFunction,
  disconnected: aFunction,
  openedStream: aFunction,
  closedStream: aFunction
}

/** A notifiee put together from functions. */
export class NotifyBundle implements Notifiee {
  declare readonly listen?: NonNullable<Notifiee['listen']>
  declare readonly listenClose?: NonNullable<Notifiee['listenClose']>
  declare readonly connected?: NonNullable<Notifiee['connected']>
  declare readonly disconnected?: NonNullable<Notifiee['disconnected']>
  declare readonly openedStream?: NonNullable<Notifiee['openedStream']>
  declare readonly closedStream?: NonNullable<Notifiee['closedStream']>

  /** Callbacks left out do nothing. Throws `InvalidParametersError` for a name that is none of them. */
  constructor(callbacks: Notifiee = {}) {
    checkOptions(callbacks, CALLBACKS)
    Object.assign(this, callbacks)
  }
}

/** A notifiee that does nothing; a base for classes that override some of it. */
export class NoopNotifiee implements Notifiee {
  listen(_swarm: Swarm, _addr: Multiaddr): unknown {
    return undefined
  }

  listenClose(_swarm: Swarm, _addr: Multiaddr): unknown {
    return undefined
  }

  connected(_swarm: Swarm, _connection: Connection): unknown {
    return undefined
  }

  disconnected(_swarm: Swarm, _connection: Connection): unknown {
    return undefined
  }

  openedStream(_swarm: Swarm, _stream: Stream): unknown {
    return undefined
  }

  closedStream(_swarm: Swarm, _stream: Stream): unknown {
    return undefined
  }
}

/** One {@link NoopNotifiee} for everybody. */
export const globalNoopNotifiee: NoopNotifiee = Object.freeze(new NoopNotifiee())

/** @internal The notifiees of one swarm. */
export class Notifiees {
  readonly #all = new Set<Notifiee>()
  readonly #onFailure: OnFailure

  constructor(onFailure: OnFailure) {
    this.#onFailure = onFailure
  }

  get size(): number {
    return this.#all.size
  }

  /**
   * False if it was there already. Throws `InvalidParametersError` for what is no object, and where a callback is no
   * function. It may have other members: it can be of any class.
   */
  add(notifiee: Notifiee): boolean {
    anObject(notifiee, 'notifiee')
    for (const [name, check] of Object.entries(CALLBACKS)) {
      // The names are those of the checks.
      const callback = notifiee[name as NotifieeEvent]
      if (callback !== undefined) check(callback, `notifiee.${name}`)
    }
    if (this.#all.has(notifiee)) return false
    this.#all.add(notifiee)
    return true
  }

  delete(notifiee: Notifiee): void {
    this.#all.delete(notifiee)
  }

  /** Call each one's callback; what throws or rejects goes to `onFailure`. */
  tell<K extends NotifieeEvent>(
    swarm: Swarm,
    event: K,
    detail: Parameters<NonNullable<Notifiee[K]>>[1]
  ): void {
    for (const notifiee of this.#all) {
      // The callback of an event takes that event's detail.
      const callback = notifiee[event] as ((swarm: Swarm, on: typeof detail) => unknown) | undefined
      try {
        const answer = callback?.call(notifiee, swarm, detail)
        if (isThenable(answer)) answer.then(undefined, (err) => this.#failed(err, callback, event))
      } catch (err) {
        this.#failed(err, callback, event)
      }
    }
  }

  #failed(err: unknown, callback: object | undefined, event: NotifieeEvent): void {
    this.#onFailure(err, callback ?? this, `the ${event} of a notifiee failed`)
  }
}
