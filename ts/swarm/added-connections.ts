/** The connections of a swarm over muxers of the application. */
import { aborted } from '../base/abort.ts'
import { oneOf } from '../base/arguments.ts'
import { ConnectionCore } from '../connection/core.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionDirection, ConnectionFacts } from '../connection/facts.ts'
import type { ConnectionHost } from '../connection/host.ts'
import type { Connection } from '../connection.ts'
import { InvalidParametersError, MuxerClosedError } from '../errors.ts'
import type { SwarmGate } from '../gate/swarm-gate.ts'
import { NO_ADDRESS } from '../identity/address.ts'
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

/** The swarm's interface to these connections. */
export interface AddedConnectionsHost extends Omit<ConnectionHost, 'admission'>, InboundHost {
  readonly admission: Admission | undefined
  readonly resourceManager: SwarmResourceManager
  readonly gate: Pick<SwarmGate, 'refusalOf'>
  /** Lists and announces a connection; `done` is called in between. */
  announce(
    core: ConnectionCore,
    charge: ConnectionCharge | undefined,
    done?: (connection: Connection) => void
  ): void
  /** Lists a connection again, if it was removed. */
  listAgain(core: ConnectionCore): void
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
    if (facts.remotePeer === host.swarm.peerId.toString()) {
      throw new InvalidParametersError('the remote peer of the muxed connection is this swarm')
    }
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
    if (muxed.isClosed) throw new MuxerClosedError('the muxed connection is closed')
    const { remotePeer: peer, remoteAddress } = facts
    const of = countedDirection(facts.direction)
    const denied = host.gate.refusalOf({ direction: of, peer, remoteAddress })
    if (denied !== undefined) throw denied
    const scope = options?.scope ?? charged(facts, host.resourceManager)
    const charge = host.admission?.chargeConnection(facts)
    if (charge instanceof Error) {
      // The application's scope stays its own.
      if (scope !== options?.scope) scope.done()
      throw charge
    }
    return this.#announce(muxed, facts, scope, charge)
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
