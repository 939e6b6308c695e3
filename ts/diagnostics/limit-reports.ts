/** Reports refusals by limits as the event `limit` and on its channel, and those of a dry run in the log too. */
import type { Clock } from '../base/clock.ts'
import { ResourceLimitExceededError } from '../errors.ts'
import type { NativeRefusal } from '../native/addon.ts'
import type { LimitDetail } from '../resource-manager/interfaces.ts'
import { CLOSED, optionOf } from '../resource-manager/refusal.ts'
import type { Swarm } from '../swarm.ts'
import { limitReached } from './channels.ts'
import type { Log } from './log.ts'

/** Milliseconds per line of a dry run for one option. */
const INTERVAL_MS = 1_000

/** What was refused, and to whom. */
export type Refused = Pick<LimitDetail, 'direction' | 'address' | 'connection'>

/** The dependencies of the reports. */
export interface LimitReportsHost {
  /** Emits the event `limit`. */
  emit(detail: LimitDetail): void
  /** Returns the error of a refusal by a limit. */
  limitError(refusal: NativeRefusal): ResourceLimitExceededError
}

/** The reports of one swarm. Errors are only made for listeners. */
export class LimitReports {
  readonly #swarm: Swarm
  readonly #log: Log
  readonly #clock: Clock
  readonly #host: LimitReportsHost
  // Lines of a dry run by option: the classes of scopes, and the scopes that the options name.
  readonly #lines = new Map<string, { at: number; suppressed: number }>()

  constructor(swarm: Swarm, log: Log, clock: Clock, host: LimitReportsHost) {
    this.#swarm = swarm
    this.#log = log
    this.#clock = clock
    this.#host = host
  }

  /** Reports a refusal. */
  refused(error: ResourceLimitExceededError, refused: Refused): void {
    if (this.#isHeard) this.#emit({ error, dryRun: false, ...refused })
  }

  /**
   * Reports a native refusal; one by a closed manager is left out, as no limit was reached. `option` names the bound that
   * is not one of a scope.
   */
  refusedNatively(refusal: NativeRefusal, option: string, refused: Refused): void {
    if (refusal.resource === CLOSED || !this.#isHeard) return
    const error =
      refusal.scope === '' ? boundError(refusal, option) : this.#host.limitError(refusal)
    this.#emit({ error, dryRun: false, ...refused })
  }

  /** Reports a refusal that a dry run has let pass. */
  passed(refusal: NativeRefusal): void {
    const { scope, resource } = refusal
    let error: ResourceLimitExceededError | undefined
    if (this.#log.hears('warn')) {
      const suppressed = this.#admit(optionOf(scope, resource, this.#swarm.options.limits))
      if (suppressed !== undefined) {
        const more = suppressed === 0 ? '' : ` (and ${suppressed} more)`
        error = this.#host.limitError(refusal)
        this.#log.write('warn', 'swarm', `would refuse: ${error.message}${more}`, error)
      }
    }
    if (!this.#isHeard) return
    error ??= this.#host.limitError(refusal)
    const direction = directionOf(resource)
    this.#emit({ error, dryRun: true, direction, address: undefined, connection: undefined })
  }

  get #isHeard(): boolean {
    return this.#swarm.hasListeners('limit') || limitReached.hasSubscribers
  }

  #emit(detail: LimitDetail): void {
    const frozen = Object.freeze(detail)
    if (this.#swarm.hasListeners('limit')) this.#host.emit(frozen)
    if (limitReached.hasSubscribers) limitReached.publish({ swarm: this.#swarm, ...frozen })
  }

  /** Returns the number of lines of an option suppressed before this one; undefined if it is suppressed as well. */
  #admit(option: string): number | undefined {
    const now = this.#clock.now()
    const line = this.#lines.get(option)
    // A clock that was set back also starts a new interval.
    if (line !== undefined && now >= line.at && now < line.at + INTERVAL_MS) {
      line.suppressed += 1
      return undefined
    }
    this.#lines.set(option, { at: now, suppressed: 0 })
    return line?.suppressed ?? 0
  }
}

/** Returns the error of an inbound stream beyond a bound of its connection, such as `maxInbound` of its handler. */
function boundError({ limit, current }: NativeRefusal, option: string): ResourceLimitExceededError {
  return new ResourceLimitExceededError(`connection: ${option} is ${limit}`, {
    scope: 'connection',
    resource: 'streamsInbound',
    limit,
    current,
    requested: 1,
    option
  })
}

function directionOf(resource: string): 'inbound' | 'outbound' | undefined {
  if (resource.endsWith('Inbound')) return 'inbound'
  return resource.endsWith('Outbound') ? 'outbound' : undefined
}
