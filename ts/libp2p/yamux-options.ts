/** Options of `yamux()`: those of @libp2p/yamux that have a meaning for the native muxer. */
import type { StreamOptions } from '@libp2p/interface'
import {
  aBoolean,
  aSize,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  UINT32_MAX
} from '../base/arguments.ts'
import { DEFAULT_LIMITS } from '../constants.ts'
import type { LimitConfig } from '../resource-manager/limit-config.ts'
import { SCOPE_CLASSES } from '../resource-manager/scope-limits.ts'
import { withoutMeaning } from './unsupported.ts'

/** Streams of a connection in each direction, as @libp2p/yamux has it. */
const STREAMS_MAX = 1_000

/** Initial window of yamux. */
const WINDOW_BYTES_MIN = 256 * 1024

/** Options of the streams of a muxer. */
export interface YamuxStreamOptions extends StreamOptions {
  /** Largest receive window in bytes. Defaults to 1 GiB; memory limits stop its growth earlier. */
  maxStreamWindowSize?: number
}

/** Options of `yamux()`, all optional. */
export interface YamuxInit {
  /** Whether an idle connection is pinged. Defaults to true. */
  enableKeepAlive?: boolean
  /** Milliseconds of silence before a ping. Defaults to 30,000. */
  keepAliveInterval?: number
  /** Inbound streams of a connection. Defaults to 1,000. */
  maxInboundStreams?: number
  /** Outbound streams of a connection. Defaults to 1,000. */
  maxOutboundStreams?: number
  /** Inbound streams that wait until they are taken, also while a connection is set up. Defaults to 1,000. */
  maxEarlyStreams?: number
  /** Options of streams. */
  streamOptions?: YamuxStreamOptions
}

/** @internal The effective options. */
export interface MuxerLimits {
  readonly keepaliveIntervalMs: number
  readonly streamsInbound: number
  readonly streamsOutbound: number
  readonly windowMaxBytes: number
  readonly earlyStreams: number
  readonly streamOptions: StreamOptions
}

const STREAM_CHECKS: OptionChecks<YamuxStreamOptions> = {
  inactivityTimeout: integer(0),
  maxReadBufferLength: aSize,
  maxWriteBufferLength: (value, name) => {
    if (value !== Number.POSITIVE_INFINITY) aSize(value, name)
  },
  maxStreamWindowSize: integer(WINDOW_BYTES_MIN, 2 ** 32 - 1)
}

const aStreamOptions: Check = (value, name) => {
  if (typeof value !== 'object' || value === null) throw misuse(name, 'an object', value)
  withoutMeaning(value, name, {
    initialStreamWindowSize: 'windows begin with 256 KiB, as peers expect, and grow with the use'
  })
  checkOptions(value as YamuxStreamOptions, STREAM_CHECKS, name)
}

const CHECKS: OptionChecks<YamuxInit> = {
  enableKeepAlive: aBoolean,
  keepAliveInterval: integer(1, UINT32_MAX),
  maxInboundStreams: integer(0),
  maxOutboundStreams: integer(0),
  maxEarlyStreams: integer(1, UINT32_MAX),
  streamOptions: aStreamOptions
}

/** @internal Checks the options and returns the effective ones. */
export function muxerLimits(init: YamuxInit): MuxerLimits {
  withoutMeaning(init, 'yamux()', {
    maxMessageSize: 'frames are as large as what is written'
  })
  checkOptions(init, CHECKS)
  const { maxStreamWindowSize, ...streamOptions } = init.streamOptions ?? {}
  const interval = init.keepAliveInterval ?? DEFAULT_LIMITS.keepaliveIntervalMs
  return {
    keepaliveIntervalMs: init.enableKeepAlive === false ? UINT32_MAX : interval,
    streamsInbound: init.maxInboundStreams ?? STREAMS_MAX,
    streamsOutbound: init.maxOutboundStreams ?? STREAMS_MAX,
    earlyStreams: init.maxEarlyStreams ?? STREAMS_MAX,
    windowMaxBytes: maxStreamWindowSize ?? DEFAULT_LIMITS.windowMaxBytes,
    streamOptions
  }
}

/**
 * @internal Returns the limits of the native node: those of connections and streams are libp2p's own, which its
 * connection manager and its registrar enforce. Memory remains bounded.
 */
export function limitsOf(muxer: MuxerLimits): LimitConfig {
  const counted = {
    connectionsInbound: 'unlimited',
    connectionsOutbound: 'unlimited',
    connections: 'unlimited',
    streamsInbound: 'unlimited',
    streamsOutbound: 'unlimited',
    streams: 'unlimited',
    fds: 'unlimited'
  } as const
  return {
    ...Object.fromEntries(SCOPE_CLASSES.map((scope) => [scope, counted])),
    connection: {
      streamsInbound: muxer.streamsInbound,
      streamsOutbound: muxer.streamsOutbound
    },
    subnets: [],
    rates: [],
    keepaliveIntervalMs: muxer.keepaliveIntervalMs,
    acceptBacklog: muxer.earlyStreams,
    windowMaxBytes: muxer.windowMaxBytes
  }
}
