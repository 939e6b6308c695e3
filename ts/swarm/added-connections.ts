/** The connections of a swarm over muxers of the application. */
import { aborted, isAborted } from '../base/abort.ts'
import { oneOf } from '../base/arguments.ts'
import { ConnectionCore } from '../connection/core.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionDirection, ConnectionFacts } from '../connection/facts.ts'
import type { ConnectionHost } from '../connection/host.ts'
import type { Connection } from '../connection.ts'
import { ConnectionErrorCode } from '../constants.ts'
import {
  DialDeniedError,
  InvalidParametersError,
  MuxerClosedError,
  ResourceLimitExceededError,
  StateError,
  UnexpectedPeerError
} from '../errors.ts'
import type { SwarmGate } from '../gate/swarm-gate.ts'
import { type AddrLike, NO_ADDRESS } from '../identity/address.ts'
import { type AddConnectionOptions, AddedFacts } from '../muxer/added.ts'
import type { InboundHost } from '../muxer/inbound.ts'
import type { MuxedConn } from '../muxer/muxed.ts'
import type { MuxedConnections, Upgraded } from '../muxer/muxed-upgrade.ts'
import { MuxedOpener } from '../muxer/opener.ts'
import type { Admission, ConnectionCharge } from '../resource-manager/admission.ts'
import { countedDirection } from '../resource-manager/charges.ts'
import type {
  ConnManagementScope,
  ResourceScopeSpan,
  SwarmResourceManager
} from '../resource-manager/interfaces.ts'
import type { TransportConn } from '../transport/transport.ts'
import type { UpgradeReports } from '../upgrade/under-way.ts'

/** The swarm's interface to these connections. */
export interface AddedConnectionsHost
  extends Omit<ConnectionHost, 'admission'>,
    InboundHost,
    Pick<UpgradeReports, 'connectionRefused' | 'upgradeFailed'> {
  readonly admission: Admission | undefined
  readonly resourceManager: SwarmResourceManager
  readonly gate: Pick<SwarmGate, 'ask' | 'hooks' | 'refusalOf'>
  /** Lists and announces a connection; `done` is called in between. */
  announce(
    core: ConnectionCore,
    charge: ConnectionCharge | undefined,
    done?: (connection: Connection) => void
  ): void
  /** Lists a connection again, if it was removed. */
  listAgain(core: ConnectionCore): void
}

/** A dial that waits for a connection of a transport. */
interface Dialled {
  readonly peer: string | undefined
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal
  /** Called before anybody else hears of the connection. */
  onConnection(connection: Connection): void
}

const aDirection = oneOf('inbound', 'outbound', 'unknown')

// Of all swarms: a muxed connection has one owner, who takes the streams that it accepts.
const added = new WeakMap<MuxedConn, Connection>()

/** Adds connections to one swarm, and closes them with it. */
export class AddedConnections implements MuxedConnections {
  readonly #host: AddedConnectionsHost
  readonly #open = new Set<ConnectionCore>()

  constructor(host: AddedConnectionsHost) {
    this.#host = host
  }

  /** Implements `swarm.addConnection`. */
  add(
    muxed: MuxedConn,
    direction: ConnectionDirection = 'unknown',
    options?: AddConnectionOptions
  ): Connection {
    const host = this.#host
    aDirection(direction, 'direction')
    const facts = new AddedFacts(muxed, direction, options)
    this.#assertOther(facts)
    const known = added.get(muxed)
    if (known !== undefined) {
      const core = connectionFacade.coreOf(known)
      if (core.host !== host) {
        throw new InvalidParametersError('the muxed connection is one of another swarm')
      }
      if (core.closing) throw new MuxerClosedError('the connection of the muxer is closed')
      host.listAgain(core)
      return known
    }
    return this.#add(muxed, facts, options?.scope)
  }

  /** Charges a muxed connection, to `given` if that is set, and announces it. Throws the refusal. */
  #add(
    muxed: MuxedConn,
    facts: ConnectionFacts,
    given: ResourceScopeSpan | undefined,
    dial?: Dialled
  ): Connection {
    const host = this.#host
    if (muxed.isClosed) throw new MuxerClosedError('the muxed connection is closed')
    const { remotePeer: peer, remoteAddress } = facts
    const of = countedDirection(facts.direction)
    const denied = host.gate.refusalOf({ direction: of, peer, remoteAddress })
    if (denied !== undefined) throw denied
    const scope = given ?? charged(facts, host.resourceManager)
    const charge = host.admission?.chargeConnection(facts)
    if (charge instanceof Error) {
      // The application's scope stays its own.
      if (scope !== given) scope.done()
      throw charge
    }
    if (dial?.signal.aborted === true) {
      // Maybe by the manager, while it was asked.
      charge?.done()
      scope.done()
      throw aborted(dial.signal)
    }
    return this.#announce(muxed, facts, scope, charge, dial?.onConnection)
  }

  /** Adds a connection that a muxer of the application has made of a duplex, see `muxer/muxed-upgrade.ts`. */
  upgraded({ muxed, facts, scope, signal, done }: Upgraded): void {
    if (added.has(muxed)) throw new InvalidParametersError('the muxed connection is in use')
    if (muxed.isClosed) throw new MuxerClosedError('the muxed connection is closed')
    // The lists may have changed while it was set up.
    const { remotePeer: peer, remoteAddress } = facts
    const of = countedDirection(facts.direction)
    const denied = this.#host.gate.refusalOf({ direction: of, peer, remoteAddress })
    if (denied !== undefined) throw denied
    const charge = this.#host.admission?.chargeConnection(facts)
    if (charge instanceof Error) throw charge
    if (signal.aborted) {
      // Maybe by the manager, while it was asked.
      charge?.done()
      throw aborted(signal)
    }
    this.#announce(muxed, facts, scope, charge, done)
  }

  /** Adds a connection that a transport has dialled; `onConnection` is called before anybody else hears of it. */
  async dialled(
    conn: TransportConn,
    peer: string | undefined,
    { addr, signal }: { readonly addr: string; readonly signal: AbortSignal },
    onConnection: (connection: Connection) => void
  ): Promise<Connection> {
    await this.#ask(conn, 'outbound', addr)
    return this.#opened(conn, 'outbound', addr, { peer, signal, onConnection })
  }

  /** Adds a connection that a remote has opened by a transport. */
  async accept(conn: TransportConn, remoteAddr: AddrLike | undefined): Promise<void> {
    try {
      // Without hooks it is listed at once.
      if (this.#host.gate.hooks !== undefined) await this.#ask(conn, 'inbound', remoteAddr)
      this.#opened(conn, 'inbound', remoteAddr)
    } catch (err) {
      this.#host.debug('a connection of a transport was not accepted', err)
    }
  }

  /** Asks the hooks about a connection of a transport, one after the other; closes it and throws if one refuses. */
  async #ask(
    conn: TransportConn,
    direction: 'inbound' | 'outbound',
    remoteAddr: AddrLike | undefined
  ): Promise<void> {
    const { gate } = this.#host
    // One that is in use is refused without being asked about.
    if (gate.hooks === undefined || added.has(conn)) return
    let facts: ConnectionFacts
    try {
      facts = this.#factsOf(conn, direction, remoteAddr)
    } catch (err) {
      // A fault of the transport.
      this.#refuse(conn, err as Error)
      throw err
    }
    const { remotePeer: peer, localAddress, remoteAddress, security } = facts
    const of = { direction, localAddress, remoteAddress }
    const secured = { ...of, peer, security: security.security }
    const denied =
      (direction === 'inbound' && (await gate.ask('accept', { ...of, ...UNKNOWN }))) ||
      (await gate.ask('secured', { ...secured, muxer: '' })) ||
      (await gate.ask('upgraded', { ...secured, muxer: security.muxer }))
    if (!denied) return
    this.#refuse(conn, denied)
    throw denied
  }

  /** Returns the facts of a connection of a transport. Throws `InvalidParametersError`. */
  #factsOf(
    conn: TransportConn,
    direction: 'inbound' | 'outbound',
    remoteAddr: AddrLike | undefined
  ): ConnectionFacts {
    const { remotePeer, localAddr, security, muxer } = conn
    const given = { remotePeer, remoteAddr, localAddr, security, muxer }
    return new AddedFacts(conn, direction, given)
  }

  /** Adds a connection of a transport, or closes it and throws. */
  #opened(
    conn: TransportConn,
    direction: 'inbound' | 'outbound',
    remoteAddr: AddrLike | undefined,
    dial?: Dialled
  ): Connection {
    const host = this.#host
    let address = NO_ADDRESS
    try {
      if (isAborted(host.signal)) throw new StateError('the swarm is closed')
      if (added.has(conn)) throw new InvalidParametersError('the muxed connection is in use')
      const facts = this.#factsOf(conn, direction, remoteAddr)
      address = facts.remoteAddress
      this.#assertOther(facts)
      if (dial?.peer !== undefined && facts.remotePeer !== dial.peer) {
        throw new UnexpectedPeerError(`expected ${dial.peer}, found ${facts.remotePeer}`)
      }
      return this.#add(conn, facts, undefined, dial)
    } catch (err) {
      // The checks, and the accounting, throw errors.
      const error = err as Error
      if (error instanceof ResourceLimitExceededError) {
        host.connectionRefused(error, address, direction)
      } else {
        host.upgradeFailed({ direction, address, stage: 'security', error })
      }
      this.#refuse(conn, error)
      throw error
    }
  }

  #assertOther({ remotePeer }: ConnectionFacts): void {
    if (remotePeer === this.#host.swarm.peerId.toString()) {
      throw new InvalidParametersError('the remote peer of the muxed connection is this swarm')
    }
  }

  #refuse(conn: TransportConn, error: Error): void {
    // Someone else's.
    if (added.has(conn)) return
    const code = isAborted(this.#host.signal) ? ConnectionErrorCode.Shutdown : codeOf(error)
    // A transport may throw, or return no promise.
    const closed = (async () => await conn.closeWithError(code))()
    closed.catch((err) =>
      this.#host.onFailure(err, conn, 'a transport failed to close a connection')
    )
  }

  #announce(
    muxed: MuxedConn,
    facts: ConnectionFacts,
    scope: ResourceScopeSpan,
    charge: ConnectionCharge | undefined,
    done?: (connection: Connection) => void
  ): Connection {
    const host = this.#host
    const opener = new MuxedOpener(muxed, facts.remotePeer, host)
    const core = new ConnectionCore(opener, facts, host)
    core.setScope(scope)
    added.set(muxed, core.connection)
    this.#open.add(core)
    host.announce(core, charge, done)
    opener.start()
    return core.connection
  }

  /** Called when a connection of the swarm has ended. */
  ended(core: ConnectionCore): void {
    this.#open.delete(core)
  }

  /** Closes these connections: gracefully, and at once after `timeoutMs`. Their ends are reported later. */
  close(timeoutMs: number): void {
    const closeAtOnce = (): void => {
      for (const core of this.#open) void core.closeAtOnce(0)
    }
    if (timeoutMs === 0 || this.#open.size === 0) {
      closeAtOnce()
      return
    }
    const { clock } = this.#host
    const timer = Number.isFinite(timeoutMs) ? clock.setTimer(closeAtOnce, timeoutMs) : undefined
    const closed = [...this.#open].map((core) => core.close())
    void Promise.all(closed).then(() => clock.clearTimer(timer))
  }
}

/** What is not known before a connection is secured. */
const UNKNOWN = { peer: '', security: '', muxer: '' }

/** Returns the code for the remote of a connection that was refused. */
function codeOf(error: Error): number {
  if (error instanceof DialDeniedError) return ConnectionErrorCode.Gated
  const isLimit = error instanceof ResourceLimitExceededError
  return isLimit ? ConnectionErrorCode.ResourceLimitExceeded : ConnectionErrorCode.NoError
}

/** Charges a connection to the native accounting; throws the refusal. */
function charged(facts: ConnectionFacts, manager: SwarmResourceManager): ConnManagementScope {
  const { direction, remoteAddress, remotePeer } = facts
  const endpoint = remoteAddress === NO_ADDRESS ? undefined : remoteAddress
  const scope = manager.openConnection(countedDirection(direction), false, endpoint)
  try {
    scope.setPeer(remotePeer)
    return scope
  } catch (err) {
    scope.done()
    throw err
  }
}
