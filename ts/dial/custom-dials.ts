/** The attempts of one shared dial that transports of the application make. */
import { abortable } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { DialStage } from '../constants.ts'
import { type AddressAttempt, DialError, TimeoutError, UpgradeError } from '../errors.ts'
import { multiaddrOf } from '../identity/address.ts'
import type { Opened, Transport } from '../transport/transport.ts'
import { customAttempt, unfinishedAttempt } from './failure.ts'
import type { DialOptions } from './options.ts'
import type { PlannedAttempt } from './plan.ts'

/** An attempt of a plan; without a transport it is native. */
export interface PlanEntry extends PlannedAttempt {
  readonly transport?: Transport
}

/** An attempt that a transport of the application makes. */
interface CustomEntry extends PlanEntry {
  readonly transport: Transport
}

/** Returns whether an attempt is one for a transport of the application. */
export function isCustom(entry: PlanEntry): entry is CustomEntry {
  return entry.transport !== undefined
}

/** The parts of a swarm that these attempts need. */
export interface CustomDialsHost {
  readonly clock: Clock
  /**
   * Upgrades a duplex, or adds a connection that needs no upgrade; `onConnection` is called before anybody else hears of
   * the connection.
   */
  upgradeDialled(
    opened: Opened,
    peer: string | undefined,
    options: DuplexOptions,
    onConnection: (connection: Connection) => void
  ): Promise<Connection>
}

interface DuplexOptions {
  readonly addr: string
  readonly signal: AbortSignal
  readonly security?: NonNullable<DialOptions['security']>
}

/** The shared dial. */
interface Owner {
  /** Returns the number of attempts at a time, at least 1. */
  parallel(): number
  /** Returns whether no native attempt is in flight. */
  isAlone(): boolean
  onConnection(connection: Connection, address: string): void
  onFailed(attempt: AddressAttempt): void
  /** Called after an attempt has failed. */
  onProgress(): void
}

interface Running {
  readonly address: string
  readonly began: number
  readonly controller: AbortController
  stage: DialStage
  /** Until then no other attempt starts: this one is being upgraded. 0 while it connects. */
  heldUntil: number
}

/** Attempts that wait for their time, and those in flight. */
export class CustomDials {
  readonly #host: CustomDialsHost
  readonly #options: Readonly<DialOptions>
  readonly #owner: Owner
  /** In the order of their times. */
  readonly #waiting: { readonly entry: CustomEntry; readonly at: number }[] = []
  readonly #running = new Set<Running>()
  /** Whether the attempt that ended last has failed, and none has started since. */
  #hasFailed = false
  #timer: unknown

  /** `options` are those of the call that has opened the dial. */
  constructor(host: CustomDialsHost, options: Readonly<DialOptions>, owner: Owner) {
    this.#host = host
    this.#options = options
    this.#owner = owner
  }

  /** Number of attempts that have not ended. */
  get size(): number {
    return this.#waiting.length + this.#running.size
  }

  /** Number of attempts in flight. */
  get running(): number {
    return this.#running.size
  }

  begin(entries: readonly CustomEntry[]): void {
    const now = this.#host.clock.now()
    this.#waiting.push(...entries.map((entry) => ({ entry, at: now + entry.delayMs })))
    this.#waiting.sort((one, other) => one.at - other.at)
    this.startDue()
  }

  /** Returns the attempts in flight, abandoned for the reason `code`. */
  unfinished(code: 'ERR_TIMEOUT' | 'ERR_ABORTED'): AddressAttempt[] {
    const now = this.#host.clock.now()
    return Array.from(this.#running, ({ address, began, stage }) =>
      unfinishedAttempt(address, { stage, elapsedMs: now - began }, code)
    )
  }

  /** Abandons all attempts. */
  drop(): void {
    if (this.size === 0) return
    this.#waiting.length = 0
    this.#host.clock.clearTimer(this.#timer)
    const running = [...this.#running]
    this.#running.clear()
    for (const { controller } of running) controller.abort()
  }

  /**
   * Starts what is due, and the next one too if the last of these attempts has failed, or if no attempt, native or not, is
   * in flight.
   */
  startDue(): void {
    const { clock } = this.#host
    clock.clearTimer(this.#timer)
    for (;;) {
      const [next] = this.#waiting
      if (next === undefined || this.#running.size >= this.#owner.parallel()) return
      const held = Array.from(this.#running, ({ heldUntil }) => heldUntil)
      const wait = Math.max(next.at, ...held) - clock.now()
      const isFirst = this.#running.size === 0 && (this.#hasFailed || this.#owner.isAlone())
      if (wait > 0 && !isFirst) {
        this.#timer = clock.setTimer(() => this.startDue(), wait)
        return
      }
      this.#waiting.shift()
      this.#hasFailed = false
      void this.#attempt(next.entry)
    }
  }

  async #attempt(entry: CustomEntry): Promise<void> {
    const { clock } = this.#host
    const { address, timeoutMs } = entry
    const began = clock.now()
    const running: Running = {
      address,
      began,
      controller: new AbortController(),
      stage: 'connect',
      heldUntil: 0
    }
    this.#running.add(running)
    const late = (): void => running.controller.abort(new TimeoutError('timed out'))
    const timer = clock.setTimer(late, timeoutMs)
    try {
      await this.#connect(entry, running)
    } catch (err) {
      // False if it was abandoned.
      if (!this.#running.delete(running)) return
      this.#hasFailed = true
      this.#owner.onFailed(failureOf(running, clock.now() - began, err))
      this.startDue()
      this.#owner.onProgress()
    } finally {
      clock.clearTimer(timer)
    }
  }

  async #connect(entry: CustomEntry, running: Running): Promise<void> {
    const { address, peer, transport, holdMs } = entry
    const { signal } = running.controller
    const { security, simultaneousConnect } = this.#options
    if (simultaneousConnect?.isClient === false) {
      throw new DialError('a transport of the application has the role of the dialer only')
    }
    const options = { addr: address, signal, ...(security === undefined ? {} : { security }) }
    const onConnection = (connection: Connection): void => {
      if (this.#running.delete(running)) this.#owner.onConnection(connection, address)
    }
    const upgrade = (opened: Opened): Promise<Connection> => {
      running.stage = 'security'
      running.heldUntil = this.#host.clock.now() + holdMs
      return this.#host.upgradeDialled(opened, peer, options, onConnection)
    }
    const dialled = (async () =>
      transport.dial(multiaddrOf(address), Object.freeze({ ...this.#options, signal })))()
    const opened = await abortable(dialled.then(connected), signal).catch((err: unknown) => {
      // What comes too late is closed: the signal of its upgrade is aborted.
      if (signal.aborted) void dialled.then(upgrade).catch(() => {})
      throw err
    })
    await upgrade(opened)
  }
}

/** Resolves to a socket once it is connected: until then a failure is one to connect. */
async function connected(opened: Opened): Promise<Opened> {
  // Nothing else has such a property.
  const { connecting, once }: { connecting?: unknown; once?: unknown } = Object(opened)
  if (connecting === true && typeof once === 'function') {
    const { once: event } = process.getBuiltinModule('node:events')
    await event(opened as NodeJS.EventEmitter, 'connect')
  }
  return opened
}

function failureOf(
  { address, controller, stage }: Running,
  elapsed: number,
  err: unknown
): AddressAttempt {
  const reason: unknown = controller.signal.reason
  if (reason instanceof TimeoutError) return customAttempt(address, stage, elapsed, reason)
  if (err instanceof UpgradeError) {
    const at = err.stage === 'muxer' || err.stage === 'psk' ? err.stage : 'security'
    return customAttempt(address, at, elapsed, err.cause ?? err)
  }
  return customAttempt(address, stage, elapsed, err)
}
