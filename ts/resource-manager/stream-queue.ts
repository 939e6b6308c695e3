/**
 * The queue of `newStream` calls that wait for a stream's place, first in, first out.
 *
 * It counts no places. Whenever a stream ends or leaves the transient scope, those that wait are retried in order until
 * one is refused: the limits themselves decide. So no place is lost to a wait that is given up, and none is taken twice.
 * A timer retries them too: not every place that is freed is reported to JavaScript.
 */
import { aborted, type DrainHost, isAborted, onceGivenUp } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import type { ConnectionCore } from '../connection/core.ts'
import type { NewStreamOptions } from '../connection/facts.ts'
import type { Proposal } from '../connection/host.ts'
import { STREAM_WAIT_TIMEOUT_MS } from '../constants.ts'
import { RateLimitError, ResourceLimitExceededError, TimeoutError } from '../errors.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Stream } from '../stream.ts'
import { parseScopeName } from './refusal.ts'

/** Maximum number of waiting calls of a swarm, about 1 KiB each; further ones are refused at once. */
export const STREAM_WAITERS_MAX = 4_096

/** Milliseconds between two retries by the timer. */
const RETRY_INTERVAL_MS = 1_000

/** Opens a stream, which is not announced yet; returns the error if it cannot be opened. */
export type OpenStream = (core: ConnectionCore, proposal: Proposal) => StreamCore | Error

/** The dependencies of a queue. */
export interface StreamQueueHost {
  readonly engine: DrainHost
  readonly clock: Clock
}

interface Waiter {
  /** Its place in the order of all waiters. */
  readonly ticket: number
  readonly options: NewStreamOptions
  readonly resolve: (stream: Promise<Stream>) => void
  readonly reject: (err: Error) => void
  /** Cancels its timeout, and stops listening to its signal. */
  release: () => void
}

/** The waiters for streams of one connection with the same protocols: a limit admits or refuses them alike. */
interface Lane {
  readonly core: ConnectionCore
  readonly proposal: Proposal
  readonly waiters: Set<Waiter>
  /** The last refusal of its first waiter. */
  refusal: ResourceLimitExceededError
}

/** Lanes that the end of any stream may help; the others are listed by peer. */
const ANY_PEER = ''

/** The queue of one swarm. */
export class StreamQueue {
  readonly #host: StreamQueueHost
  readonly #open: OpenStream
  readonly #lanes = new Map<string, Lane>()
  // The lanes by the peer whose streams they wait for.
  readonly #byPeer = new Map<string, Set<Lane>>()
  #size = 0
  #tickets = 0
  #isClosed = false
  // Peers whose lanes are to be retried by the loop in progress: callbacks of the application may end streams in it.
  readonly #due = new Set<string>()
  #isRetrying = false
  // Undefined while nobody waits.
  #stopTimer: (() => void) | undefined

  constructor(host: StreamQueueHost, open: OpenStream) {
    this.#host = host
    this.#open = open
  }

  /** The number of waiting calls. */
  get size(): number {
    return this.#size
  }

  /** Opens a stream, now or once there is a place for it. */
  newStream(core: ConnectionCore, proposal: Proposal, options: NewStreamOptions): Promise<Stream> {
    // A place may be free although the end of its stream is not reported yet. It belongs to those who wait.
    this.retry(core.peer)
    let refusal: Error | undefined =
      this.#size === 0 ? undefined : this.#lanes.get(keyOf(core, proposal))?.refusal
    if (refusal === undefined) {
      const opened = this.#open(core, proposal)
      if (!(opened instanceof Error)) return core.whenOpen(opened, proposal, options)
      refusal = opened
    }
    if (!isFull(refusal) || this.#isClosed || this.#size >= STREAM_WAITERS_MAX) {
      return core.rejected(refusal)
    }
    // By a resource manager of the application, while it was asked.
    if (isAborted(options.signal)) return Promise.reject(aborted(options.signal))
    return this.#wait(this.#laneOf(core, proposal, refusal), options)
  }

  /** Retries those who wait for a stream of `peer`, or of any peer, to end. */
  retry(peer: string): void {
    if (this.#size === 0) return
    this.#due.add(peer)
    if (this.#isRetrying) return
    this.#isRetrying = true
    try {
      for (const next of this.#due) {
        this.#due.delete(next)
        this.#retry(next)
      }
    } finally {
      this.#isRetrying = false
    }
  }

  /** Retries everyone: the limits have changed. */
  retryAll(): void {
    for (const peer of [...this.#byPeer.keys()]) this.retry(peer)
  }

  /** Rejects those who wait for a connection that opens no more streams. */
  opensNoMore(core: ConnectionCore): void {
    if (this.#size === 0) return
    for (const lane of [...this.#lanes.values()]) {
      if (lane.core !== core) continue
      for (const waiter of lane.waiters) {
        this.#remove(lane, waiter)
        waiter.reject(core.reported(core.refusal(lane.proposal) ?? lane.refusal))
      }
    }
  }

  /** Rejects everyone, and lets nobody wait from now on. */
  close(reason: (refusal: ResourceLimitExceededError) => Error): void {
    this.#isClosed = true
    for (const lane of [...this.#lanes.values()]) {
      for (const waiter of lane.waiters) {
        this.#remove(lane, waiter)
        waiter.reject(lane.core.reported(reason(lane.refusal)))
      }
    }
  }

  /** Retries everyone once an interval while anyone waits: a raised limit or a late end of a stream has no record. */
  #startTimer(): void {
    if (this.#size === 0 || this.#stopTimer !== undefined) return
    const { clock } = this.#host
    const timer = clock.setTimer(() => {
      this.#stopTimer = undefined
      this.retryAll()
      this.#startTimer()
    }, RETRY_INTERVAL_MS)
    this.#stopTimer = () => clock.clearTimer(timer)
  }

  #wait(lane: Lane, options: NewStreamOptions): Promise<Stream> {
    const { clock, engine } = this.#host
    const { signal, timeout = STREAM_WAIT_TIMEOUT_MS } = options
    const ms = Number.isFinite(timeout) ? timeout : undefined
    return new Promise((resolve, reject) => {
      this.#tickets += 1
      const waiter: Waiter = {
        ticket: this.#tickets,
        options,
        resolve,
        reject,
        release: onceGivenUp(engine, clock, signal, ms, (why) => {
          if (!lane.waiters.has(waiter)) return
          this.#remove(lane, waiter)
          reject(why === 'aborted' ? aborted(signal) : late(timeout, lane.refusal))
        })
      }
      lane.waiters.add(waiter)
      this.#size += 1
      this.#startTimer()
    })
  }

  /** Retries the lanes that the end of a stream of `peer` may help, in the order of their first waiters. */
  #retry(peer: string): void {
    const lanes = new Set([...this.#lanesOf(peer), ...this.#lanesOf(ANY_PEER)])
    // Scopes that refused a waiter of this loop: they refuse the others too.
    const full = new Set<string>()
    for (;;) {
      const lane = first(lanes, full)
      const [waiter] = lane?.waiters ?? []
      if (lane === undefined || waiter === undefined) return
      const opened = this.#open(lane.core, lane.proposal)
      if (isFull(opened)) {
        this.#refuse(lane, opened)
        lanes.delete(lane)
        if (opened.scope !== '') full.add(scopeOf(lane))
      } else if (lane.waiters.has(waiter)) {
        this.#remove(lane, waiter)
        if (opened instanceof Error) waiter.reject(lane.core.reported(opened))
        else waiter.resolve(lane.core.whenOpen(opened, lane.proposal, waiter.options))
      } else if (!(opened instanceof Error)) {
        // The application's resource manager has ended the wait while it admitted the stream.
        void opened.reset(0, undefined)
      }
    }
  }

  #laneOf(core: ConnectionCore, proposal: Proposal, refusal: ResourceLimitExceededError): Lane {
    const key = keyOf(core, proposal)
    const known = this.#lanes.get(key)
    if (known !== undefined) return known
    const lane = { core, proposal, waiters: new Set<Waiter>(), refusal }
    this.#lanes.set(key, lane)
    this.#list(lane)
    return lane
  }

  /** Records the refusal of a lane's first waiter. */
  #refuse(lane: Lane, refusal: ResourceLimitExceededError): void {
    if (!this.#unlist(lane)) return
    lane.refusal = refusal
    this.#list(lane)
  }

  #remove(lane: Lane, waiter: Waiter): void {
    if (!lane.waiters.delete(waiter)) return
    waiter.release()
    this.#size -= 1
    if (this.#size === 0) {
      this.#stopTimer?.()
      this.#stopTimer = undefined
    }
    if (lane.waiters.size > 0) return
    this.#lanes.delete(keyOf(lane.core, lane.proposal))
    this.#unlist(lane)
  }

  #lanesOf(peer: string): Iterable<Lane> {
    return this.#byPeer.get(peer) ?? []
  }

  #list(lane: Lane): void {
    const peer = peerOf(lane)
    const lanes = this.#byPeer.get(peer)
    if (lanes === undefined) this.#byPeer.set(peer, new Set([lane]))
    else lanes.add(lane)
  }

  #unlist(lane: Lane): boolean {
    const peer = peerOf(lane)
    const lanes = this.#byPeer.get(peer)
    const wasListed = lanes?.delete(lane) === true
    if (lanes?.size === 0) this.#byPeer.delete(peer)
    return wasListed
  }
}

/** Returns whether a stream was refused for lack of a place, which the end of another stream may free. */
function isFull(err: StreamCore | Error): err is ResourceLimitExceededError {
  // A rate recovers with time.
  if (!(err instanceof ResourceLimitExceededError) || err instanceof RateLimitError) return false
  // An option of 0 blocks.
  const isBlocked = err.limit === 0 && err.option !== ''
  return err.resource.startsWith('streams') && !isBlocked
}

function keyOf(core: ConnectionCore, proposal: Proposal): string {
  return `${core.id} ${JSON.stringify(proposal)}`
}

/** Returns the peer whose streams hold what the lane waits for. */
function peerOf({ core, refusal: { scope } }: Lane): string {
  const name = parseScopeName(scope)
  const isOfPeer = scope === 'connection' || name?.kind === 'connection' || name?.peer !== undefined
  return isOfPeer ? core.peer : ANY_PEER
}

/** Identifies the scope that refused a lane. `connection` alone means that of the lane, and one of its protocols. */
function scopeOf(lane: Lane): string {
  const { core, proposal, refusal } = lane
  return refusal.scope === 'connection' ? keyOf(core, proposal) : refusal.scope
}

/** Returns the lane whose first waiter came first, leaving out those that wait for a scope in `full`. */
function first(lanes: Iterable<Lane>, full: ReadonlySet<string>): Lane | undefined {
  let earliest: Lane | undefined
  let least = Number.POSITIVE_INFINITY
  for (const lane of lanes) {
    const [waiter] = lane.waiters
    if (waiter === undefined || waiter.ticket >= least || full.has(scopeOf(lane))) continue
    earliest = lane
    least = waiter.ticket
  }
  return earliest
}

function late(ms: number, refusal: ResourceLimitExceededError): TimeoutError {
  const message = `no place for the stream was free within ${Math.round(ms)} ms: ${refusal.message}`
  return new TimeoutError(message, { cause: refusal })
}
