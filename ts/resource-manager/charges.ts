/**
 * Charges connections and streams to the application's resource manager.
 *
 * Every call of the manager is guarded: what it throws refuses the connection or stream or, at an end, is reported.
 */
import { objectWith } from '../base/arguments.ts'
import { isThenable, type OnFailure } from '../base/events.ts'
import type { ConnectionDirection, ConnectionFacts } from '../connection/facts.ts'
import type { TransportName } from '../constants.ts'
import { ResourceLimitExceededError } from '../errors.ts'
import { multiaddrOf } from '../identity/address.ts'
import { transportOf } from '../identity/parsed-address.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type {
  ConnManagementScope,
  ResourceManager,
  ResourceScopeSpan,
  StreamManagementScope
} from './interfaces.ts'

/** Transports with a file descriptor per connection. */
const USES_FD: ReadonlySet<TransportName | ''> = new Set(['tcp', 'ws', 'unix'])

const aConnectionScope = objectWith('setPeer', 'done')
const aStreamScope = objectWith('setProtocol', 'done')

/** A scope of the application's manager, and the owner that it is charged for. */
export class Charge<Scope extends ResourceScopeSpan> {
  /** The protocol that the manager has granted to a stream without one. */
  protocol: string | undefined
  readonly #manager: ResourceManager
  readonly #scope: Scope
  readonly #onFailure: OnFailure

  constructor(manager: ResourceManager, scope: Scope, onFailure: OnFailure) {
    this.#manager = manager
    this.#scope = scope
    this.#onFailure = onFailure
  }

  /** Calls `set` with the scope; returns the error if the manager refuses `what`. */
  set(what: string, set: (scope: Scope) => unknown): ResourceLimitExceededError | undefined {
    try {
      this.#report(set(this.#scope))
      return undefined
    } catch (err) {
      return refusalOf(this.#manager, err, what)
    }
  }

  /** Ends the scope. */
  done(): void {
    try {
      this.#report(this.#scope.done())
    } catch (err) {
      this.#failed(err)
    }
  }

  /** Reports the rejection of a promise where none is expected: nothing waits for it. */
  #report(result: unknown): void {
    if (isThenable(result)) result.then(undefined, (err) => this.#failed(err))
  }

  #failed(err: unknown): void {
    this.#onFailure(err, this.#manager, 'a scope of the resource manager failed')
  }
}

/** Charges to one manager. */
export class Charges {
  readonly manager: ResourceManager
  readonly #onFailure: OnFailure

  constructor(manager: ResourceManager, onFailure: OnFailure) {
    this.manager = manager
    this.#onFailure = onFailure
  }

  /** Charges a connection and assigns it to its peer; returns the error if the manager refuses it. */
  connection(facts: ConnectionFacts): Charge<ConnManagementScope> | ResourceLimitExceededError {
    const { remotePeer, remoteAddress } = facts
    const direction = countedDirection(facts.direction)
    const usesFd = USES_FD.has(transportOf(remoteAddress))
    const what = `an ${direction} connection of ${remotePeer}`
    const charge = this.#charge(what, aConnectionScope, (manager) =>
      manager.openConnection(direction, usesFd, multiaddrOf(remoteAddress))
    )
    if (charge instanceof Error) return charge
    return settled(
      charge,
      charge.set(what, (scope) => scope.setPeer(peerIdOf(remotePeer)))
    )
  }

  /** Charges a stream, and assigns it to its protocol if it has one; returns the error if the manager refuses it. */
  stream(
    peer: string,
    direction: 'inbound' | 'outbound',
    protocol: string | undefined
  ): Charge<StreamManagementScope> | ResourceLimitExceededError {
    const what = `an ${direction} stream of ${peer}`
    const charge = this.#charge(what, aStreamScope, (manager) =>
      manager.openStream(peerIdOf(peer), direction)
    )
    if (charge instanceof Error || protocol === undefined) return charge
    return settled(
      charge,
      charge.set(what, (scope) => scope.setProtocol(protocol))
    )
  }

  #charge<Scope extends ResourceScopeSpan>(
    what: string,
    aScope: (value: unknown, name: string) => void,
    open: (manager: ResourceManager) => Scope
  ): Charge<Scope> | ResourceLimitExceededError {
    const { manager } = this
    try {
      const scope: unknown = open(manager)
      if (isThenable(scope)) {
        scope.then(undefined, (err) =>
          this.#onFailure(err, manager, 'a promise of the resource manager rejected')
        )
      }
      aScope(scope, 'the scope')
      // Has the methods that are called, by the check.
      return new Charge(manager, scope as Scope, this.#onFailure)
    } catch (err) {
      return refusalOf(manager, err, what)
    }
  }
}

/** Returns the charge, or ends it and returns the refusal. */
function settled<Scope extends ResourceScopeSpan>(
  charge: Charge<Scope>,
  refusal: ResourceLimitExceededError | undefined
): Charge<Scope> | ResourceLimitExceededError {
  if (refusal === undefined) return charge
  charge.done()
  return refusal
}

/** The direction as which a connection is counted: one that is not known as outbound, as in go-libp2p. */
export function countedDirection(direction: ConnectionDirection): 'inbound' | 'outbound' {
  return direction === 'inbound' ? 'inbound' : 'outbound'
}

function refusalOf(
  manager: ResourceManager,
  err: unknown,
  what: string
): ResourceLimitExceededError {
  if (err instanceof ResourceLimitExceededError) return err
  const reason = err instanceof Error || typeof err === 'string' ? `: ${messageOf(err)}` : ''
  return new ResourceLimitExceededError(`${nameOf(manager)} refused ${what}${reason}`, {
    scope: 'user',
    cause: err
  })
}

function messageOf(err: Error | string): string {
  return typeof err === 'string' ? err : err.message
}

/** Names a manager in messages: by its class, if it has one. */
function nameOf(manager: ResourceManager): string {
  const name: unknown = manager.constructor?.name
  const kind = typeof name !== 'string' || name === 'Object' ? '' : ` ${name}`
  return `the application's resource manager${kind}`
}
