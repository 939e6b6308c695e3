/**
 * What this package publishes through `node:diagnostics_channel`; the contract is docs/diagnostics.md.
 *
 * Every place that publishes asks for subscribers first and makes its message behind that.
 */
import {
  type Channel,
  channel,
  type TracingChannel,
  tracingChannel
} from 'node:diagnostics_channel'
import type { Connection, ConnectionCloseReason } from '../connection.ts'
import type { DialStage, Limits } from '../constants.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import { LEVEL_BITS } from './codes.ts'

/** The message of `ferroswarm:connection:open` and `:close`: one object for both. */
export interface ConnectionMessage {
  readonly swarm: Swarm
  readonly connection: Connection
  /** Why it ended; undefined in `:open`. */
  reason: ConnectionCloseReason | undefined
}

/** The message of `ferroswarm:connection:refused`: an inbound connection that met a limit. */
export interface RefusedMessage {
  readonly swarm: Swarm
  /** Where it came from. */
  readonly address: string
  /** The option that sets the limit, of `limits`. */
  readonly option: keyof Limits
  readonly limit: number
  /** The use at the refusal. */
  readonly current: number
}

/** What every event of a traced operation has: one object an operation, which ends with its result or its error. */
export interface TracedOperation<T> {
  readonly swarm: Swarm
  result?: T
  error?: unknown
}

/** Of `tracing:ferroswarm:dial:*`. */
export interface DialOperation extends TracedOperation<Connection> {
  readonly peer: string | undefined
  readonly address: string | undefined
}

/** Of `tracing:ferroswarm:upgrade:*`: all of its events when the upgrade is over, which runs natively. */
export interface UpgradeOperation extends TracedOperation<Connection> {
  readonly direction: 'inbound' | 'outbound'
  readonly address: string
  /** The stage that failed; undefined where none did. */
  readonly stage: DialStage | undefined
}

/** Of `tracing:ferroswarm:stream:open:*`. */
export interface StreamOpenOperation extends TracedOperation<Stream> {
  readonly connection: Connection
  readonly protocols: readonly string[]
}

/** Of `tracing:ferroswarm:handler:*`: from the call of a handler until its promise settles. */
export interface HandlerOperation extends TracedOperation<unknown> {
  readonly connection: Connection
  readonly stream: Stream
  readonly protocol: string | undefined
}

/** A channel with the type of its messages; those of Node.js are of none. */
function typedChannel<T>(name: string): Channel<unknown, T> {
  return channel(name) as Channel<unknown, T>
}

type Tracing<T extends object> = TracingChannel<unknown, T>

export const connectionOpen = typedChannel<ConnectionMessage>('ferroswarm:connection:open')
export const connectionClose = typedChannel<ConnectionMessage>('ferroswarm:connection:close')
export const connectionRefused = typedChannel<RefusedMessage>('ferroswarm:connection:refused')
export const tracedDial: Tracing<DialOperation> = tracingChannel('ferroswarm:dial')
export const tracedUpgrade: Tracing<UpgradeOperation> = tracingChannel('ferroswarm:upgrade')
export const tracedStreamOpen: Tracing<StreamOpenOperation> =
  tracingChannel('ferroswarm:stream:open')
export const tracedHandler: Tracing<HandlerOperation> = tracingChannel('ferroswarm:handler')

/** Bits of the levels that subscribers need facts of. */
export function subscribedLevels(): number {
  return (
    (connectionRefused.hasSubscribers ? LEVEL_BITS.warn : 0) |
    (tracedUpgrade.hasSubscribers ? LEVEL_BITS.info | LEVEL_BITS.debug : 0)
  )
}

/** `run`, told to the subscribers of `tracing` if there are any. What it throws or rejects with passes. */
export function traced<O extends object, T>(
  tracing: Tracing<O>,
  operation: () => O,
  run: () => Promise<T>
): Promise<T> {
  return tracing.hasSubscribers ? tracing.tracePromise(run, operation()) : run()
}

/** Tell the subscribers of an operation that is over: every event of it, in order. */
export function publishEnded<O extends TracedOperation<unknown>>(
  tracing: Tracing<O>,
  operation: O
): void {
  tracing.start.publish(operation)
  tracing.end.publish(operation)
  if (operation.error !== undefined) tracing.error.publish(operation)
  tracing.asyncStart.publish(operation)
  tracing.asyncEnd.publish(operation)
}
