/** Opens streams to peers: over existing connections, best first, or over a new one. */
import type { ConnectionTable } from '../connection/table.ts'
import type { Connection, NewStreamOptions } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { ConnectionClosedError, MuxerClosedError, StreamResetError } from '../errors.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { Stream } from '../stream.ts'
import { type Dialer, isSet } from './dialer.ts'
import type { DialOptions } from './options.ts'

/** Implements `swarm.newStream`. */
export function openStream(
  dialer: Pick<Dialer, 'dialPeer'>,
  connections: ConnectionTable,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions = {}
): Promise<Stream> {
  const [best] = isSet(options.force) ? [] : connections.ranked(peerText(peer), options.security)
  if (best === undefined) return dialAndOpen(dialer, peer, protocols, options)
  // The common case: no promise besides the connection's own.
  return openOn(best, protocols, options).catch((err: unknown) => {
    if (!isGone(err)) throw err
    return openElsewhere(dialer, connections, peer, protocols, options, best)
  })
}

/** Tries every other connection to the peer, then a new one: listed connections may have ended, not yet reported. */
async function openElsewhere(
  dialer: Pick<Dialer, 'dialPeer'>,
  connections: ConnectionTable,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions,
  gone: Connection
): Promise<Stream> {
  const tried = new Set([gone])
  for (;;) {
    const ranked = connections.ranked(peerText(peer), options.security)
    const next = ranked.find((connection) => !tried.has(connection))
    if (next === undefined) {
      return dialAndOpen(dialer, peer, protocols, { ...options, force: true })
    }
    tried.add(next)
    try {
      return await openOn(next, protocols, options)
    } catch (err) {
      if (!isGone(err)) throw err
    }
  }
}

async function dialAndOpen(
  dialer: Pick<Dialer, 'dialPeer'>,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions
): Promise<Stream> {
  return openOn(await dialer.dialPeer(peer, options), protocols, options)
}

/** Opens a stream over one connection, without the dial options. */
function openOn(
  connection: Connection,
  protocols: string | readonly string[] | undefined,
  { signal, negotiationTimeout }: NewStreamOptions
): Promise<Stream> {
  return connection.newStream(protocols, { signal, negotiationTimeout })
}

/** Returns whether the connection has ended or accepts no more streams, so that another one may be tried. */
function isGone(err: unknown): boolean {
  if (err instanceof StreamResetError) {
    const refused = err.remote && err.errorCode === StreamErrorCode.Shutdown
    return refused || err.cause instanceof ConnectionClosedError
  }
  return err instanceof ConnectionClosedError || err instanceof MuxerClosedError
}
