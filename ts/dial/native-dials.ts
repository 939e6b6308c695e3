/** The native dials of one shared dial: each runs a plan of attempts. */
import type { CarriedConnection } from '../connection/carried.ts'
import type { Connection } from '../connection.ts'
import type { SecurityName } from '../constants.ts'
import type { NativeAttempt, NativeAttempts, NativeAttemptUnderWay } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { RequestId } from '../native/handles.ts'
import type { PlannedAttempt } from './plan.ts'

/** Receives the events of one native dial, or of the upgrade of a duplex. */
export interface DialSink {
  /** The duplex that is upgraded. */
  readonly carried?: CarriedConnection
  onConnection(connection: Connection, address: string): void
  /** Called if the application's resource manager has refused the connection, in place of `onConnection`. */
  onRefused(refusal: Error): void
  /** Called when attempts have failed and the dial continues. */
  onAttemptsFailed(): void
}

/** The parts of a swarm that native dials need. */
export interface NativeDialsHost extends Commands<'dial' | 'cancel' | 'takeAttempts'> {
  /** Registers `sink` for the events of a dial. */
  expectDialled(request: RequestId, sink: DialSink): void
  /** Unregisters a dial; a connection that it still makes is closed. */
  forgetDialled(request: RequestId): void
}

/** How the attempts are made. */
export interface Manner {
  readonly security: readonly SecurityName[] | undefined
  /** Whether this side has the dialer's role. */
  readonly initiator: boolean
}

/** The shared dial. */
interface Owner {
  onConnection(connection: Connection, address: string): void
  onRefused(refusal: Error): void
  /** Called with each attempt that has failed. */
  onFailed(address: string, attempt: NativeAttempt): void
  /** Called after attempts have failed; with the failure of the command if the native dial has ended. */
  onProgress(error?: Error): void
}

/** One native dial in flight. */
interface Request {
  readonly addresses: readonly string[]
  /** Number of attempts that have not failed. */
  unended: number
}

const IGNORED: DialSink = { onConnection() {}, onRefused() {}, onAttemptsFailed() {} }

/** Native dials in flight. */
export class NativeDials {
  readonly #host: NativeDialsHost
  readonly #manner: Manner
  readonly #owner: Owner
  readonly #requests = new Map<RequestId, Request>()
  /** Attempts at a time that the dials in flight may make. */
  #parallel = 0
  /** The dial that has made a connection: there is nothing to cancel. */
  #succeeded: RequestId | undefined
  /** Abandoned dials whose connections are kept. */
  readonly #kept = new Set<RequestId>()

  constructor(host: NativeDialsHost, manner: Manner, owner: Owner) {
    this.#host = host
    this.#manner = manner
    this.#owner = owner
  }

  /** Number of dials in flight. */
  get size(): number {
    return this.#requests.size
  }

  /** Number of attempts that may be in flight. */
  get parallel(): number {
    const left = [...this.#requests.values()].reduce((sum, { unended }) => sum + unended, 0)
    return Math.min(this.#parallel, left)
  }

  /**
   * Begins a native dial with `parallel` attempts at a time. Timeouts are per address here, and per caller in
   * `SharedDial`: a patient caller may join.
   */
  begin(plan: readonly PlannedAttempt[], parallel: number): void {
    this.#parallel = Math.max(this.parallel, parallel)
    const { security, initiator } = this.#manner
    const addresses = plan.map(({ address }) => address)
    const hosts = plan.map(({ host = '' }) => host)
    const hasHosts = hosts.some((host) => host !== '')
    const { request, result } = this.#host.command((node, number) =>
      node.dial(
        number,
        addresses,
        plan.map(({ peer = '' }) => peer),
        plan.flatMap(({ delayMs, timeoutMs, holdMs }) => [delayMs, timeoutMs, holdMs]),
        // Shared natively by all dials of the peer.
        parallel,
        security === undefined && initiator && !hasHosts
          ? undefined
          : {
              initiator,
              ...(security && { security: [...security] }),
              ...(hasHosts && { hosts })
            }
      )
    )
    this.#requests.set(request, { addresses, unended: addresses.length })
    this.#host.expectDialled(request, {
      onConnection: (connection, address) => {
        this.#succeeded = request
        this.#owner.onConnection(connection, address)
        this.#forget(request)
      },
      onRefused: (refusal) => {
        this.#forget(request)
        this.#owner.onRefused(refusal)
      },
      onAttemptsFailed: () => {
        this.#failed(request, this.#host.node.takeAttempts(request).failed)
        this.#owner.onProgress()
      }
    })
    result.then(
      () => this.#forgetKept(request),
      (err: unknown) => {
        this.#onEnded(request, err)
        this.#forgetKept(request)
      }
    )
  }

  /** Reports the failures that are not reported yet, and returns the attempts in flight with their addresses. */
  progress(): (readonly [address: string, attempt: NativeAttemptUnderWay])[] {
    return [...this.#requests].flatMap(([request, { addresses }]) => {
      const { failed, underWay }: NativeAttempts = this.#host.node.takeAttempts(request)
      this.#failed(request, failed)
      return underWay.map((attempt) => [addresses[attempt.index] ?? '', attempt] as const)
    })
  }

  /** Cancels all dials, whose ends are reported. */
  cancel(): void {
    for (const request of this.#requests.keys()) this.#host.node.cancel(request)
  }

  /**
   * Abandons all dials. With `keeps`, a connection that one of them has made by now is kept; otherwise it is closed.
   */
  drop(keeps = false): void {
    for (const request of [...this.#requests.keys()]) {
      if (keeps) this.#kept.add(request)
      this.#forget(request)
      if (request !== this.#succeeded) this.#host.node.cancel(request)
    }
  }

  #onEnded(request: RequestId, err: unknown): void {
    // The dial was abandoned: no caller is waiting.
    if (!this.#requests.has(request)) return
    if (err instanceof CommandError) this.#failed(request, err.result.attempts ?? [])
    this.#forget(request)
    // A command rejects only with an `Error`.
    this.#owner.onProgress(err as Error)
  }

  #forgetKept(request: RequestId): void {
    if (this.#kept.delete(request)) this.#host.forgetDialled(request)
  }

  #failed(request: RequestId, failed: readonly NativeAttempt[]): void {
    const dial = this.#requests.get(request)
    if (dial === undefined) return
    dial.unended -= failed.length
    for (const attempt of failed) this.#owner.onFailed(dial.addresses[attempt.index] ?? '', attempt)
  }

  #forget(request: RequestId): void {
    this.#requests.delete(request)
    if (this.#kept.has(request)) this.#host.expectDialled(request, IGNORED)
    else this.#host.forgetDialled(request)
  }
}
