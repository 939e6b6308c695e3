/** yamux as a muxer of its own, over any byte carrier. */
import {
  aBoolean,
  checkOptions,
  integer,
  type OptionChecks,
  UINT32_MAX
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { lazyModule } from '../base/lazy-module.ts'
import type { AnyDuplex } from '../io/carriers.ts'
import type { Multiplexer } from './muxed.ts'
import type { YamuxConn } from './yamux-conn.ts'
import type { YamuxNode } from './yamux-node.ts'

const { url } = import.meta
const loadDuplex = lazyModule<typeof import('../upgrade/duplex.ts')>(url, '../upgrade/duplex')
const loadYamuxNode = lazyModule<typeof import('./yamux-node.ts')>(url, './yamux-node')

/** Options of {@link yamux}: the members of `Limits` that concern a muxer. */
export interface YamuxOptions {
  /** Inbound streams that JavaScript has not been told of yet; more are reset. Defaults to 256. */
  acceptBacklog?: number
  /** Maximum receive window of a stream, in bytes. Defaults to 1 GiB, which the memory of the connection bounds. */
  windowMaxBytes?: number
  /** Milliseconds without received bytes after which the remote is pinged. Defaults to 30,000. */
  keepaliveIntervalMs?: number
  /** Milliseconds until the ping must be answered. Defaults to 10,000. */
  keepaliveTimeoutMs?: number
  /** Milliseconds for which the duplex may accept none of the bytes pending for it. Defaults to 30,000. */
  writeStallTimeoutMs?: number
}

/** The muxer of {@link yamux}. */
export interface Yamux extends Multiplexer {
  /**
   * Starts yamux on a duplex, which it owns from here on. `isServer` is true if the remote has opened the duplex.
   *
   * Rejects with {@link RawConnectionError} if the duplex has ended.
   *
   * @throws {@link InvalidParametersError} for an invalid duplex or option, or a duplex in use.
   */
  newConnection(duplex: AnyDuplex, options: { readonly isServer: boolean }): Promise<YamuxConn>
}

const aNumber = integer(1, UINT32_MAX)
const aTime = integer(1, TIMER_MS_MAX)

const YAMUX_CHECKS: OptionChecks<YamuxOptions> = {
  acceptBacklog: aNumber,
  windowMaxBytes: aNumber,
  keepaliveIntervalMs: aTime,
  keepaliveTimeoutMs: aTime,
  writeStallTimeoutMs: aTime
}

const CONNECTION_CHECKS: OptionChecks<{ readonly isServer: boolean }> = { isServer: aBoolean }

/**
 * Returns `/yamux/1.0.0` as a muxer of its own: frames, windows and keepalive are native, and run over any duplex,
 * without security and negotiation. Of a connection's streams, 1,000 inbound and 500 outbound, all hold at most 32 MiB.
 *
 * A connection keeps the process alive, and one native thread serves all of a muxer. Its streams are `Stream`s, whose
 * `read()` waits for the end: to read what has arrived, iterate, or pass a maximum as in `read(65_536)`.
 *
 * @throws {@link InvalidParametersError} for an invalid option.
 * @example
 * ```ts
 * import { connect } from 'node:net'
 * import { yamux } from 'ferroswarm'
 *
 * const muxed = await yamux().newConnection(connect('/run/my-service.sock'), { isServer: false })
 * const stream = await muxed.openStream()
 * await stream.write(Buffer.from('hello'))
 * await stream.close()
 * await muxed.close()
 * ```
 */
export function yamux(options: YamuxOptions = {}): Yamux {
  checkOptions(options, YAMUX_CHECKS)
  let node: YamuxNode | undefined
  return {
    newConnection(duplex, how): Promise<YamuxConn> {
      checkOptions(how, CONNECTION_CHECKS)
      aBoolean(how?.isServer, 'isServer')
      const taken = loadDuplex().takeDuplex(duplex, !how.isServer)
      node ??= new (loadYamuxNode().YamuxNode)({ ...options })
      return node.connect(taken, how.isServer)
    }
  }
}
