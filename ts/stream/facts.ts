/** What a stream tells of itself and what its calls take: the types of its public facade. */
import type { AbortOptions } from '../base/abort.ts'
import { toString as nameOf } from '../constants.ts'
import type { Libp2pError } from '../errors.ts'
import type { StreamCounters } from '../native/counters.ts'
import type { StreamCore } from './core.ts'

/** Options of `stream.read`. */
export interface ReadOptions extends AbortOptions {
  /** Bytes that a read of everything may gather; 4 MiB unless given, Infinity lifts it. */
  maxBytes?: number
}

/** Facts about a stream or a connection. */
export interface Stats {
  /** Who opened it. */
  readonly direction: 'inbound' | 'outbound'
  /** When it was up, in milliseconds of the swarm's clock. */
  readonly opened: number
  /** Whether it, or its connection, is limited in time or bytes. */
  readonly limited: boolean
  /** Go's older name for `limited`. */
  readonly transient: boolean
  /** Whatever the application wants to keep beside it. */
  readonly extra: Map<unknown, unknown>
}

/** Facts about a stream that do not change with its state. */
export interface StreamStat extends Stats {}

/** @internal The facts of a stream. What the application keeps in `extra` outlives the object that it was put there by. */
export function statOf(core: StreamCore): StreamStat {
  core.extra ??= new Map()
  const { direction, opened, extra } = core
  return { direction, opened, limited: false, transient: false, extra }
}

/** @internal What `console.log` shows of a stream; `counters` are there while it lives. */
export function shownOf(
  core: StreamCore,
  counters: StreamCounters | undefined
): Record<string, unknown> {
  const { id, direction, protocol, owner, failure } = core
  const { remotePeer, remoteAddr } = owner.connection ?? {}
  const state = nameOf('StreamState', core.state)
  return { id, state, direction, protocol, remotePeer, remoteAddr, ...counters, error: failure }
}

/** What `close` tells: the error that ended the stream, undefined after an orderly end. */
export interface StreamCloseDetail {
  readonly error: Libp2pError | undefined
}

/** Events of a `Stream`. */
export interface StreamEvents {
  /** `send` answered false, and there is room again. */
  drain: CustomEvent<undefined>
  /** The stream has ended, however it did. Exactly once. Bytes already received can still be read. */
  close: CustomEvent<StreamCloseDetail>
}
