/** `yamux()`: the stream muxer factory of libp2p over any stream of bytes. */
import type { MessageStream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { MuxerClosedError, serviceCapabilities } from '@libp2p/interface'
import { multiplexed } from './carried-muxer.ts'
import { type NativeMuxer, YAMUX } from './muxer.ts'
import { type MuxerLimits, muxerLimits, type YamuxInit } from './yamux-options.ts'

/** @internal The muxer factory of this package. */
export class NativeYamux implements StreamMuxerFactory {
  readonly protocol = YAMUX
  readonly limits: MuxerLimits
  readonly [serviceCapabilities]: string[] = ['@libp2p/stream-multiplexing']

  constructor(limits: MuxerLimits) {
    this.limits = limits
  }

  get [Symbol.toStringTag](): string {
    return '@libp2p/yamux'
  }

  createStreamMuxer(maConn: MessageStream): StreamMuxer {
    return multiplexed(maConn, this.limits)
  }
}

/** @internal Returns the factory of the muxer that the handshake of a native connection has settled. */
export function boundFactory(muxer: NativeMuxer): StreamMuxerFactory {
  return {
    protocol: YAMUX,
    createStreamMuxer() {
      // A connection that has ended meanwhile would never report its end.
      if (muxer.status !== 'open') throw new MuxerClosedError('The connection has ended')
      return muxer
    }
  }
}

/**
 * yamux, natively, over any connection: `/yamux/1.0.0`.
 *
 * @throws {@link InvalidParametersError} for an invalid or unknown option, and for those of @libp2p/yamux that have no
 * meaning here.
 */
export function yamux(init: YamuxInit = {}): () => StreamMuxerFactory {
  const limits = muxerLimits(init)
  return () => new NativeYamux(limits)
}
