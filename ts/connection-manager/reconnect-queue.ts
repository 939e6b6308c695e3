/** The reconnect queue: dials peers with a tag `keep-alive` again once their connections have ended. */
import type { PeerId } from '@libp2p/interface'
import { connectionFacade } from '../connection/facade.ts'
import type { Connection } from '../connection.ts'
import type { Libp2pError } from '../errors.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { Swarm } from '../swarm.ts'
import { hostOf, type ManagerHost } from './host.ts'
import type { ReconnectQueueLike } from './interfaces.ts'

/** Times are made longer or shorter by up to this share, so that the clients of a server do not return all at once. */
const JITTER = 0.1

/** A peer that was given up: the detail of the event `reconnectFailed`. */
export interface ReconnectFailure {
  /** The peer, which has lost its tags `keep-alive`. */
  readonly peer: PeerId
  /** The number of dials. */
  readonly attempts: number
  /** The error of the last one. */
  readonly error: Error
}

/** A peer that is dialled until it is connected. */
interface Job {
  readonly peer: string
  readonly abort: AbortController
  /** Dials that have failed by the peer's fault, and those that limits of this swarm have refused. */
  failures: number
  refusals: number
  timer: unknown
}

/**
 * Dials peers with a tag `keep-alive`, or any that begins so, when their last connection has ended, and when the swarm
 * starts: 5 times, after 1 s, then 2, 4, 8 and 16 s, each by a tenth more or less; `connections.reconnect` has other
 * numbers. At the start the first dial is made at once. A peer that is not reached loses these tags, which is logged and
 * emitted as `reconnectFailed`.
 *
 * Connections that this swarm has closed by a rule of its own, such as the pruner's, are not made again; those that the
 * application has closed are: remove the tag first. Pending dials keep the process alive. Every swarm has one,
 * `swarm.reconnectQueue`. See docs/connection-manager.md.
 */
export class ReconnectQueue implements ReconnectQueueLike {
  readonly #swarm: Swarm
  readonly #host: ManagerHost
  readonly #jobs = new Map<string, Job>()
  /** Jobs whose time has come while others are dialling. */
  readonly #due: Job[] = []
  #dialling = 0
  #isStarted = false

  /** @throws {@link InvalidParametersError} if `swarm` is not a swarm. */
  constructor(swarm: Swarm) {
    this.#swarm = swarm
    this.#host = hostOf(swarm)
  }

  /** The number of peers that are being reconnected. */
  get pending(): number {
    return this.#jobs.size
  }

  /** Dials the tagged peers, and from now on those that disconnect. Called by the swarm. */
  start(): void {
    if (this.#isStarted || !this.#swarm.isStarted()) return
    this.#isStarted = true
    for (const peer of this.#host.tags.keptAlive()) {
      if (!this.#host.isConnected(peer)) this.#add(peer, 0)
    }
  }

  /** Dials no more. Called by the swarm. */
  stop(): void {
    this.#isStarted = false
    for (const job of [...this.#jobs.values()]) this.#end(job)
  }

  /** Called by the swarm with each new connection. */
  connected(connection: Connection): void {
    const job = this.#jobs.get(connectionFacade.coreOf(connection).peer)
    if (job !== undefined) this.#end(job)
  }

  /** Called by the swarm with each connection that has ended. */
  disconnected(connection: Connection): void {
    const { peer, closeReason } = connectionFacade.coreOf(connection)
    const isOurRule = closeReason !== undefined && closeReason.rule !== ''
    const { tags } = this.#host
    if (!this.#isStarted || isOurRule || !tags.isKeptAlive(peer) || this.#host.isConnected(peer)) {
      return
    }
    if (!this.#jobs.has(peer)) this.#add(peer, this.#host.config.reconnect.interval)
  }

  #add(peer: string, ms: number): void {
    const job: Job = {
      peer,
      abort: new AbortController(),
      failures: 0,
      refusals: 0,
      timer: undefined
    }
    if (this.#jobs.size === 0) this.#host.retain()
    this.#jobs.set(peer, job)
    this.#wait(job, ms)
  }

  #end(job: Job): void {
    if (this.#jobs.get(job.peer) !== job) return
    this.#jobs.delete(job.peer)
    this.#host.clock.clearTimer(job.timer)
    job.abort.abort()
    if (this.#jobs.size === 0) this.#host.release()
  }

  #wait(job: Job, ms: number): void {
    const jittered = ms * (1 + JITTER * (2 * this.#host.random() - 1))
    const { maxInterval } = this.#host.config.reconnect
    job.timer = this.#host.clock.setTimer(
      () => {
        this.#due.push(job)
        this.#next()
      },
      Math.min(jittered, maxInterval)
    )
  }

  /** Dials the peers whose time has come, as many at a time as are permitted. */
  #next(): void {
    while (this.#dialling < this.#host.config.reconnect.parallel) {
      const job = this.#due.shift()
      if (job === undefined) return
      if (this.#jobs.get(job.peer) !== job) continue
      if (!this.#host.tags.isKeptAlive(job.peer)) {
        this.#end(job)
        continue
      }
      this.#dialling += 1
      void this.#dial(job).finally(() => {
        this.#dialling -= 1
        this.#next()
      })
    }
  }

  async #dial(job: Job): Promise<void> {
    const { peer, abort } = job
    try {
      // Without `force`, the back-off of the last failure would refuse it.
      const force = 'the peer is tagged keep-alive'
      const { dialTimeout } = this.#host.config
      await this.#swarm.dialPeer(peer, { force, timeout: dialTimeout, signal: abort.signal })
      this.#end(job)
    } catch (err) {
      // A swarm rejects with nothing else. It may have been connected meanwhile, or the swarm closed.
      if (!abort.signal.aborted) this.#failed(job, err as Libp2pError)
    }
  }

  #failed(job: Job, error: Libp2pError): void {
    const { log, config, tags } = this.#host
    const { retries, interval, factor } = config.reconnect
    // A limit of this swarm is not the peer's fault. There is room again some time, so it is tried on, ever less often.
    if (error.kind === 'limit') job.refusals += 1
    else job.failures += 1
    if (job.failures < retries) {
      this.#wait(job, interval * factor ** (job.failures + job.refusals))
      return
    }
    this.#end(job)
    const { peer, failures: attempts } = job
    log.write(
      'warn',
      'dial',
      `${peer} was not reconnected, and is no longer tagged keep-alive`,
      error
    )
    for (const tag of tags.keepAliveTags(peer).keys()) tags.untagPeer(peer, tag)
    this.#host.reconnectFailed({ peer: peerIdOf(peer), attempts, error })
  }
}
