/** Types of the public facade of streams: properties and options. */
import type { AbortOptions } from '../base/abort.ts'
import { toString as nameOf } from '../constants.ts'
import type { Libp2pError } from '../errors.ts'
import type { StreamCounters } from '../native/counters.ts'
import type { StreamCore } from './core.ts'

/** Options of `stream.read`. */
export interface ReadOptions extends AbortOptions {
  /** Maximum bytes of a read without `max`; Infinity for no limit. Defaults to 4 MiB. */
  maxBytes?: number
}

/** Properties common to streams and connections. */
export interface Stats {
  /** `inbound` if the remote opened it, `outbound` if this side did; of a connection it may be `unknown`. */
  readonly direction: 'inbound' | 'outbound' | 'unknown'
  /** Time of opening, in milliseconds of the swarm's clock. */
  readonly opened: number
  /** Whether it, or its connection, is limited in time or bytes. */
  readonly limited: boolean
  /** The older name of `limited` in go-libp2p. */
  readonly transient: boolean
  /** Data of the application. */
  readonly extra: Map<unknown, unknown>
}

/** Properties of a stream that do not depend on its state. */
export interface StreamStat extends Stats {
  /** `inbound` if the remote opened it, `outbound` if this side did. */
  readonly direction: 'inbound' | 'outbound'
}

/** @internal Returns the properties of a stream. `extra` outlives the facade through which it was set. */
export function statOf(core: StreamCore): StreamStat {
  core.extra ??= new Map()
  const { direction, opened, extra, owner } = core
  const limited = owner.connection?.stat.limited ?? false
  return { direction, opened, limited, transient: limited, extra }
}

/** @internal Returns the properties shown by `console.log`; `counters` are undefined after the end of the stream. */
export function shownOf(
  core: StreamCore,
  counters: StreamCounters | undefined
): Record<string, unknown> {
  const { id, direction, protocol, owner, failure } = core
  const { remotePeer, remoteAddr } = owner.connection ?? {}
  const state = nameOf('StreamState', core.state)
  return { id, state, direction, protocol, remotePeer, remoteAddr, ...counters, error: failure }
}

/** Detail of the event `close` of a stream. */
export interface StreamCloseDetail {
  /** The error that ended the stream; undefined after an orderly end. */
  readonly error: Libp2pError | undefined
}

/** Events of a `Stream`. */
export interface StreamEvents {
  /** There is room again after `send` returned false. */
  drain: CustomEvent<undefined>
  /** Emitted exactly once, at any end of the stream. Bytes received by then can still be read, except after a reset. */
  close: CustomEvent<StreamCloseDetail>
}
