/**
 * Channels of `node:diagnostics_channel`; their contract is docs/diagnostics.md.
 *
 * Publishers check for subscribers before they create a message.
 */
import {
  type Channel,
  channel,
  type TracingChannel,
  tracingChannel
} from 'node:diagnostics_channel'
import type { Connection, ConnectionCloseReason } from '../connection.ts'
import type { DialStage } from '../constants.ts'
import type { LimitDetail } from '../resource-manager/interfaces.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import { LEVEL_BITS } from './codes.ts'

/** Message of `ferroswarm:connection:open` and `:close`: the same object for both. */
export interface ConnectionMessage {
  readonly swarm: Swarm
  readonly connection: Connection
  /** The reason for the end; undefined in `:open`. */
  reason: ConnectionCloseReason | undefined
}

/** Message of `ferroswarm:connection:refused`: an inbound connection beyond a limit. */
export interface RefusedMessage {
  readonly swarm: Swarm
  /** The remote address. */
  readonly address: string
  /** The option that sets the limit, such as `limits.subnets`; `resourceManager` for a refusal of the application's. */
  readonly option: string
  /** The scope that refused, such as `system` or `subnet:192.0.2.1/32`. */
  readonly scope: string
  /** The resource that it has no more of. */
  readonly resource: string
  /** The limit; undefined if the application's resource manager has not given it. */
  readonly limit: number | undefined
  /** The usage at the time of the refusal; undefined as well. */
  readonly current: number | undefined
}

/** Message of `ferroswarm:limit`: the detail of the event `limit`. */
export interface LimitMessage extends LimitDetail {
  readonly swarm: Swarm
}

/** Message of all events of a traced operation: one object, which ends with a result or an error. */
export interface TracedOperation<T> {
  readonly swarm: Swarm
  result?: T
  error?: unknown
}

/** Message of `tracing:ferroswarm:dial:*`. */
export interface DialOperation extends TracedOperation<Connection> {
  readonly peer: string | undefined
  readonly address: string | undefined
}

/** Message of `tracing:ferroswarm:upgrade:*`. All events are published at the end of the upgrade, which is native. */
export interface UpgradeOperation extends TracedOperation<Connection> {
  readonly direction: 'inbound' | 'outbound'
  readonly address: string
  /** The stage that failed; undefined after a success. */
  readonly stage: DialStage | undefined
}

/** Message of `tracing:ferroswarm:stream:open:*`. */
export interface StreamOpenOperation extends TracedOperation<Stream> {
  readonly connection: Connection
  readonly protocols: readonly string[]
}

/** Message of `tracing:ferroswarm:handler:*`, from the call of a handler until its promise settles. */
export interface HandlerOperation extends TracedOperation<unknown> {
  readonly connection: Connection
  readonly stream: Stream
  readonly protocol: string | undefined
}

/** Returns a channel with the type of its messages, which Node.js does not declare. */
function typedChannel<T>(name: string): Channel<unknown, T> {
  return channel(name) as Channel<unknown, T>
}

type Tracing<T extends object> = TracingChannel<unknown, T>

export const connectionOpen = typedChannel<ConnectionMessage>('ferroswarm:connection:open')
export const connectionClose = typedChannel<ConnectionMessage>('ferroswarm:connection:close')
export const connectionRefused = typedChannel<RefusedMessage>('ferroswarm:connection:refused')
export const limitReached = typedChannel<LimitMessage>('ferroswarm:limit')
export const tracedDial: Tracing<DialOperation> = tracingChannel('ferroswarm:dial')
export const tracedUpgrade: Tracing<UpgradeOperation> = tracingChannel('ferroswarm:upgrade')
export const tracedStreamOpen: Tracing<StreamOpenOperation> =
  tracingChannel('ferroswarm:stream:open')
export const tracedHandler: Tracing<HandlerOperation> = tracingChannel('ferroswarm:handler')

/** Returns the bits of the native log levels that subscribers need. */
export function subscribedLevels(): number {
  return (
    (connectionRefused.hasSubscribers || limitReached.hasSubscribers ? LEVEL_BITS.warn : 0) |
    (tracedUpgrade.hasSubscribers ? LEVEL_BITS.info | LEVEL_BITS.debug : 0)
  )
}

/** Calls `run`, traced if `tracing` has subscribers. Errors and rejections pass through. */
export function traced<O extends object, T>(
  tracing: Tracing<O>,
  operation: () => O,
  run: () => Promise<T>
): Promise<T> {
  return tracing.hasSubscribers ? tracing.tracePromise(run, operation()) : run()
}

/** Publishes all events of a finished operation, in order. */
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
