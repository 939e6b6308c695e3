/** The connections of a swarm over muxers of the application. */
import { aborted, isAborted, onceAborted, onceGivenUp } from '../base/abort.ts'
import { oneOf } from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { ConnectionConfig } from '../connection/config.ts'
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
  TimeoutError,
  UnexpectedPeerError
} from '../errors.ts'
import type { AskedStage, ConnectionText } from '../gate/hooks.ts'
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
import type { SwarmSettings } from './options.ts'

/** The swarm's interface to these connections. */
export interface AddedConnectionsHost
  extends Omit<ConnectionHost, 'admission'>,
    InboundHost,
    Pick<UpgradeReports, 'connectionRefused' | 'upgradeFailed'> {
  readonly admission: Admission | undefined
  readonly resourceManager: SwarmResourceManager
  readonly gate: Pick<SwarmGate, 'ask' | 'hooks' | 'refusalOf'>
  readonly options: InboundHost['options'] & {
    readonly connections: Required<
      Pick<ConnectionConfig, 'inboundUpgradeTimeout' | 'outboundUpgradeTimeout'>
    >
  } & Pick<SwarmSettings, 'psk'>
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

/** A connection that may be announced once it is charged. */
interface Admitted {
  readonly muxed: MuxedConn
  readonly facts: ConnectionFacts
  readonly scope: ResourceScopeSpan
  /** Aborted when nobody waits for the connection any more. */
  readonly signal?: AbortSignal | undefined
  /** Called when it is listed, before anyone is notified. */
  readonly done?: ((connection: Connection) => void) | undefined
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
  #add(muxed: MuxedConn, facts: ConnectionFacts, given: ResourceScopeSpan | undefined): Connection {
    this.#check(muxed, facts)
    const scope = given ?? charged(facts, this.#host.resourceManager)
    try {
      return this.#admit({ muxed, facts, scope })
    } catch (err) {
      // The application's scope stays its own.
      if (scope !== given) scope.done()
      throw err
    }
  }

  /** Adds a connection that a muxer of the application has made of a duplex, see `muxer/muxed-upgrade.ts`. */
  upgraded(upgraded: Upgraded): void {
    // The lists may have changed while it was set up.
    this.#check(upgraded.muxed, upgraded.facts)
    this.#admit(upgraded)
  }

  /** Throws if a muxed connection is in use or closed, or if the lists refuse it, which is reported. */
  #check(muxed: MuxedConn, { direction, remotePeer: peer, remoteAddress }: ConnectionFacts): void {
    if (added.has(muxed)) throw new InvalidParametersError('the muxed connection is in use')
    if (muxed.isClosed) throw new MuxerClosedError('the muxed connection is closed')
    const of = countedDirection(direction)
    const denied = this.#host.gate.refusalOf({ direction: of, peer, remoteAddress })
    if (denied !== undefined) throw denied
  }

  /** Charges a connection to the application's resource manager, and announces it. Throws the refusal. */
  #admit({ muxed, facts, scope, signal, done }: Admitted): Connection {
    const charge = this.#host.admission?.chargeConnection(facts)
    if (charge instanceof Error) throw charge
    if (isAborted(signal)) {
      // Maybe by the manager, while it was asked.
      charge?.done()
      throw aborted(signal)
    }
    return this.#announce(muxed, facts, scope, charge, done)
  }

  /** Adds a connection that a transport has dialled; `onConnection` is called before anybody else hears of it. */
  async dialled(
    conn: TransportConn,
    peer: string | undefined,
    { addr, signal }: { readonly addr: string; readonly signal: AbortSignal },
    onConnection: (connection: Connection) => void
  ): Promise<Connection> {
    return this.#opened(conn, 'outbound', addr, { peer, signal, onConnection })
  }

  /** Adds a connection that a remote has opened by a transport. */
  async accept(conn: TransportConn, remoteAddr: AddrLike | undefined): Promise<void> {
    try {
      await this.#opened(conn, 'inbound', remoteAddr)
    } catch (err) {
      this.#host.debug('a connection of a transport was not accepted', err)
    }
  }

  /** Adds a connection of a transport, at once unless hooks are asked; or closes it, and throws or rejects. */
  #opened(
    conn: TransportConn,
    direction: 'inbound' | 'outbound',
    remoteAddr: AddrLike | undefined,
    dial?: Dialled
  ): Connection | Promise<Connection> {
    const host = this.#host
    let address = NO_ADDRESS
    let scope: ConnManagementScope | undefined
    const failed = (err: unknown): Error => {
      scope?.done()
      // The checks, the accounting and the gate throw errors.
      const error = err as Error
      if (error instanceof ResourceLimitExceededError) {
        host.connectionRefused(error, address, direction)
      } else {
        host.upgradeFailed({ direction, address, stage: 'security', error })
      }
      this.#refuse(conn, error)
      return error
    }
    try {
      if (isAborted(host.signal)) throw new StateError('the swarm is closed')
      if (isAborted(dial?.signal)) throw aborted(dial.signal)
      if (host.options.psk !== undefined) throw new InvalidParametersError(NOT_PRIVATE)
      const facts = this.#factsOf(conn, direction, remoteAddr)
      address = facts.remoteAddress
      this.#assertOther(facts)
      const { remotePeer } = facts
      if (dial?.peer !== undefined && remotePeer !== dial.peer) {
        throw new UnexpectedPeerError(`expected ${dial.peer}, found ${remotePeer}`)
      }
      this.#check(conn, facts)
      scope = transient(facts, host.resourceManager)
      if (host.gate.hooks !== undefined) {
        return this.#ask(conn, facts, scope, dial).catch((err) => {
          throw failed(err)
        })
      }
      scope.setPeer(remotePeer)
      return this.#admit({
        muxed: conn,
        facts,
        scope,
        signal: dial?.signal,
        done: dial?.onConnection
      })
    } catch (err) {
      throw failed(err)
    }
  }

  /**
   * Asks the hooks about a connection of a transport, one after the other, and adds it. Rejects with the refusal, and as
   * soon as the dial is abandoned, the swarm closes or the time for the upgrade is over.
   */
  async #ask(
    conn: TransportConn,
    facts: ConnectionFacts,
    scope: ConnManagementScope,
    dial: Dialled | undefined
  ): Promise<Connection> {
    const { clock, engine, gate, options } = this.#host
    const { inboundUpgradeTimeout, outboundUpgradeTimeout } = options.connections
    const { remotePeer: peer, localAddress, remoteAddress, security } = facts
    const direction = countedDirection(facts.direction)
    const isInbound = direction === 'inbound'
    const ms = Math.min(isInbound ? inboundUpgradeTimeout : outboundUpgradeTimeout, TIMER_MS_MAX)
    const ended = new AbortController()
    const { signal } = ended
    const release = onceGivenUp(engine, clock, dial?.signal, ms, (why) => {
      const late = (): Error => new TimeoutError(`the upgrade took longer than ${ms} ms`)
      ended.abort(why === 'late' ? late() : aborted(dial?.signal))
    })
    const ignoreClose = onceAborted(this.#host.signal, () => {
      ended.abort(new StateError('the swarm is closed'))
    })
    const ask = async (stage: AskedStage, known: Partial<ConnectionText>): Promise<void> => {
      const of = { direction, localAddress, remoteAddress, ...UNKNOWN, ...known }
      const denied = await gate.ask(stage, of, signal)
      if (denied !== undefined) throw denied
    }
    try {
      // A dial that names its peer has a place of that peer from the start.
      if (dial?.peer !== undefined) scope.setPeer(peer)
      if (isInbound) await ask('accept', {})
      await ask('secured', { peer, security: security.security })
      if (dial?.peer === undefined) scope.setPeer(peer)
      await ask('upgraded', { peer, security: security.security, muxer: security.muxer })
      this.#check(conn, facts)
      return this.#admit({ muxed: conn, facts, scope, signal, done: dial?.onConnection })
    } catch (err) {
      throw signal.aborted ? signal.reason : err
    } finally {
      release()
      ignoreClose()
    }
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

/** The cipher of a private network wraps bytes, of which such a connection shows none. */
const NOT_PRIVATE =
  'expected a duplex of the transport, as this swarm is in a private network (option psk), received a connection that ' +
  'is secured already'

/** What is not known before a connection is secured. */
const UNKNOWN = { peer: '', security: '', muxer: '' }

/** Returns the code for the remote of a connection that was refused. */
function codeOf(error: Error): number {
  if (error instanceof DialDeniedError) return ConnectionErrorCode.Gated
  const isLimit = error instanceof ResourceLimitExceededError
  return isLimit ? ConnectionErrorCode.ResourceLimitExceeded : ConnectionErrorCode.NoError
}

/** Charges a connection without a peer to the native accounting; throws the refusal. */
function transient(
  { direction, remoteAddress }: ConnectionFacts,
  manager: SwarmResourceManager
): ConnManagementScope {
  const endpoint = remoteAddress === NO_ADDRESS ? undefined : remoteAddress
  return manager.openConnection(countedDirection(direction), false, endpoint)
}

/** Charges a connection to the native accounting; throws the refusal. */
function charged(facts: ConnectionFacts, manager: SwarmResourceManager): ConnManagementScope {
  const scope = transient(facts, manager)
  try {
    scope.setPeer(facts.remotePeer)
    return scope
  } catch (err) {
    scope.done()
    throw err
  }
}
