/** Upgrades as part of the public facade of a swarm. */
import type { AbortOptions } from '../base/abort.ts'
import type { Connection } from '../connection.ts'
import type { SecurityName } from '../constants.ts'
import type { AddrLike } from '../identity/address.ts'
import type { PeerLike } from '../identity/peer-id.ts'
import type { AnyDuplex } from '../io/carriers.ts'
import type { ConnManagementScope } from '../resource-manager/interfaces.ts'

/** Options of `swarm.upgradeInbound`. */
export interface UpgradeInboundOptions extends AbortOptions {
  /** Timeout of the upgrade in milliseconds. Defaults to `connections.inboundUpgradeTimeout`, or outbound, 10,000. */
  timeout?: number | undefined
  /** Whether the duplex is limited in time or bytes, such as a stream of a relay. Defaults to false. */
  limited?: boolean
  /** Accepted security protocols, preferred first. Defaults to the swarm's. */
  security?: readonly SecurityName[]
  /**
   * The scope that the connection is charged to, from `swarm.resourceManager.openConnection` for this direction. It is
   * handed over: it ends with the connection or with the failure, and its `done` does nothing. Defaults to a new scope
   * without a file descriptor.
   */
  scope?: ConnManagementScope
}

/** Options of `swarm.upgradeOutbound`. */
export interface UpgradeOutboundOptions extends UpgradeInboundOptions {
  /** The address of the remote. Defaults to that of a TCP socket or `RawConnection`, else to the empty address `/`. */
  addr?: AddrLike
}

/** Upgrades duplexes of the application to connections of a swarm. */
export interface Upgrader {
  /** See `Swarm.upgradeInbound`. */
  upgradeInbound(
    duplex: AnyDuplex,
    addr?: AddrLike,
    options?: UpgradeInboundOptions
  ): Promise<Connection>
  /** See `Swarm.upgradeOutbound`. */
  upgradeOutbound(
    duplex: AnyDuplex,
    peer?: PeerLike,
    options?: UpgradeOutboundOptions
  ): Promise<Connection>
}
