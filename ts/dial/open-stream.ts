/** Opens streams to peers: over existing connections, in the order of the strategy, or over a new one. */
import { aborted, isAborted, onceGivenUp } from '../base/abort.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionTable } from '../connection/table.ts'
import type { Connection, NewStreamOptions } from '../connection.ts'
import { DIAL_TIMEOUT_MS, StreamErrorCode } from '../constants.ts'
import {
  ConnectionClosedError,
  LimitedConnectionError,
  MuxerClosedError,
  StreamResetError
} from '../errors.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { Stream } from '../stream.ts'
import { usableConnections } from './call.ts'
import type { Dialer } from './dialer.ts'
import { type DialOptions, isSet } from './options.ts'

const NO_TIMEOUT = Object.freeze({})

/** A call of `swarm.newStream`. */
interface Call {
  readonly dialer: Pick<Dialer, 'dialPeer'>
  readonly connections: ConnectionTable
  readonly peer: PeerLike
  readonly protocols: string | readonly string[] | undefined
  readonly options: DialOptions & NewStreamOptions
  /** Time of the call, if it has a timeout. */
  readonly began: number | undefined
}

/** Implements `swarm.newStream`. */
export function openStream(
  dialer: Pick<Dialer, 'dialPeer'>,
  connections: ConnectionTable,
  peer: PeerLike,
  protocols: string | readonly string[] | undefined,
  options: DialOptions & NewStreamOptions = {}
): Promise<Stream> {
  const began = timeOf(options, connections)
  const call: Call = { dialer, connections, peer, protocols, options, began }
  const [best] = isSet(options.force) ? [] : usable(call)
  if (best === undefined) return dialAndOpen(call)
  if (isTooLimited(best, call)) return openUnlimited(call, best)
  // The common case: no promise besides the connection's own.
  return openOn(best, call).catch((err: unknown) => {
    if (!isGone(err)) throw err
    return openElsewhere(call, best)
  })
}

function usable({ connections, options, peer }: Call): Connection[] {
  return usableConnections(connections, peerText(peer), options)
}

/** Returns whether a call does not use a connection, as that is limited. Unlimited ones come first. */
function isTooLimited(connection: Connection, { options }: Call): boolean {
  return connectionFacade.coreOf(connection).limited && !isSet(options.allowLimited)
}

/** Opens a stream once there is a connection without limits, such as a direct one beside that of a relay. */
function openUnlimited(call: Call, limited: Connection): Promise<Stream> {
  const { connections, dialer, options, peer, protocols } = call
  const { clock } = connections
  const { signal, timeout = DIAL_TIMEOUT_MS } = options
  if (isAborted(signal)) return Promise.reject(aborted(signal))
  const { engine } = connectionFacade.coreOf(limited)
  const began = clock.now()
  return new Promise((resolve, reject) => {
    const ms = Math.min(timeout, TIMER_MS_MAX)
    const release = onceGivenUp(engine, clock, signal, ms, (why) => {
      // The last events before may have brought a connection.
      if (!cancel()) return
      release()
      reject(
        why === 'aborted'
          ? aborted(signal)
          : new LimitedConnectionError('there is no connection without limits')
      )
    })
    const cancel = connections.onceUnlimitedOrNone(peerText(peer), () => {
      release()
      const left = { ...options, timeout: Math.max(timeout - (clock.now() - began), 0) }
      // Whoever dialled the connection, and the notifiees, hear of it first.
      setImmediate(() => {
        openStream(dialer, connections, peer, protocols, left).then(resolve, reject)
      })
    })
  })
}

/** Tries every other connection to the peer, then a new one: listed connections may have ended, not yet reported. */
async function openElsewhere(call: Call, gone: Connection): Promise<Stream> {
  const { connections, options } = call
  const tried = new Set([gone])
  for (;;) {
    const ranked = usable(call)
    const next = ranked.find((connection) => !tried.has(connection))
    if (next === undefined) {
      // The rest of the timeout is counted from now on.
      return dialAndOpen({
        ...call,
        options: { ...options, ...left(call), force: true },
        began: timeOf(options, connections)
      })
    }
    tried.add(next)
    if (isTooLimited(next, call)) {
      return openUnlimited({ ...call, options: { ...options, ...left(call) } }, next)
    }
    try {
      return await openOn(next, call)
    } catch (err) {
      if (!isGone(err)) throw err
    }
  }
}

async function dialAndOpen(call: Call): Promise<Stream> {
  return openOn(await call.dialer.dialPeer(call.peer, call.options), call)
}

/** Opens a stream over one connection, without the dial options. */
function openOn(connection: Connection, call: Call): Promise<Stream> {
  const { allowLimited, signal, negotiationTimeout } = call.options
  call.connections.picked(connection)
  return connection.newStream(call.protocols, {
    allowLimited,
    signal,
    negotiationTimeout,
    ...left(call)
  })
}

function timeOf({ timeout }: DialOptions, { clock }: ConnectionTable): number | undefined {
  return timeout === undefined ? undefined : clock.now()
}

/** Returns what is left of the timeout, which is that of the whole call. */
function left({ options: { timeout }, connections, began }: Call): { timeout?: number } {
  if (timeout === undefined || began === undefined) return NO_TIMEOUT
  return { timeout: Math.max(timeout - (connections.clock.now() - began), 0) }
}

/** Returns whether the connection has ended or accepts no more streams, so that another one may be tried. */
function isGone(err: unknown): boolean {
  if (err instanceof StreamResetError) {
    const refused = err.remote && err.errorCode === StreamErrorCode.Shutdown
    return refused || err.cause instanceof ConnectionClosedError
  }
  return err instanceof ConnectionClosedError || err instanceof MuxerClosedError
}
