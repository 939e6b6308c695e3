/** Streams to peers: over the connections there are, best first, or over a new one. */

import type { ConnectionTable } from '../connection/table.ts'
import type { Connection, NewStreamOptions } from '../connection.ts'
import { ConnectionClosedError, MuxerClosedError } from '../errors.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { Stream } from '../stream.ts'
import type { Dialer, DialOptions } from './dialer.ts'

/** See `swarm.newStream`. */
export function openStream(
  dialer: Dialer,
  connections: ConnectionTable,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions = {}
): Promise<Stream> {
  const ranked = connections.ranked(peerText(peer), options.security)
  const [only] = ranked
  // The common case: no promise but the connection's own.
  if (only !== undefined && ranked.length === 1) {
    return openOn(only, protocols, options).catch((err: unknown) => {
      if (!isGone(err)) throw err
      return dialAndOpen(dialer, peer, protocols, options)
    })
  }
  return openOnAny(dialer, connections, peer, protocols, options)
}

async function openOnAny(
  dialer: Dialer,
  connections: ConnectionTable,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions
): Promise<Stream> {
  for (const connection of connections.ranked(peerText(peer), options.security)) {
    try {
      return await openOn(connection, protocols, options)
    } catch (err) {
      if (!isGone(err)) throw err
    }
  }
  return dialAndOpen(dialer, peer, protocols, options)
}

async function dialAndOpen(
  dialer: Dialer,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions
): Promise<Stream> {
  return openOn(await dialer.dialPeer(peer, options), protocols, options)
}

/** Open over one connection: the options of the dial are not its own. */
function openOn(
  connection: Connection,
  protocols: string | readonly string[] | undefined,
  { signal, negotiationTimeout }: NewStreamOptions
): Promise<Stream> {
  return connection.newStream(protocols, { signal, negotiationTimeout })
}

/** The connection ended under us; another one may serve. */
function isGone(err: unknown): boolean {
  return err instanceof ConnectionClosedError || err instanceof MuxerClosedError
}
