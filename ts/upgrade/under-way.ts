/** An upgrade under way, natively or by a muxer of the application, as the upgrader sees it. */
import type { Connection } from '../connection.ts'
import { ResourceLimitExceededError, UpgradeError, type UpgradeStage } from '../errors.ts'
import type { ConnManagementScope } from '../resource-manager/interfaces.ts'
import type { OpenedScope } from '../resource-manager/scopes.ts'
import type { TakenDuplex } from './duplex.ts'
import type { UpgradeInboundOptions } from './options.ts'

/** The checked parameters of an upgrade. */
export interface UpgradeParameters {
  readonly direction: 'inbound' | 'outbound'
  readonly duplex: TakenDuplex
  readonly options: UpgradeInboundOptions
  /** The scope of the option `scope`, taken over. */
  readonly scope: OpenedScope | undefined
  /** The peer that the remote must be, as text. */
  readonly peer: string | undefined
  /** Called before anybody else hears of the connection. */
  readonly onConnection: ((connection: Connection) => void) | undefined
}

/** Takes the outcome of an upgrade: one call, which has no effect once the upgrade was abandoned. */
export interface UpgradeOutcome {
  /** Called when the connection is listed, before anyone is notified of it. */
  done(connection: Connection): void
  /** `error` is called unless the upgrade was abandoned: what was given up is not reported as a failure. */
  failed(error: () => unknown): void
}

/** The upgrade of one duplex. */
export interface UpgradeUnderWay {
  /** Begins; `outcome` is called later. */
  begin(outcome: UpgradeOutcome): void
  /** Returns the stage that it has reached. */
  stage(): UpgradeStage
  /** Called once, at its outcome or before {@link abandon}. */
  settled(): void
  /** Ends it and destroys the duplex. */
  abandon(): void
}

/** The bytes of an upgraded connection: what owns its duplex. */
export interface Carriage {
  /** Resolves when the duplex is closed. */
  readonly over: Promise<void>
  /** Destroys the duplex if it has not accepted the last bytes within `ms`, or within an earlier limit. */
  closeWithin(ms: number): void
  /** Destroys the duplex at once; the connection, if there is one, is lost. */
  destroy(): void
}

/** An upgrade that has failed, for its report. */
export interface FailedUpgrade {
  readonly direction: 'inbound' | 'outbound'
  /** Address of the remote, as text. */
  readonly address: string
  readonly stage: UpgradeStage
  readonly error: Error
}

/** The swarm's interface to upgrades of either kind. */
export interface UpgradeReports {
  /** Returns a scope of the swarm's resource manager, to be taken over. Throws `InvalidParametersError` for another. */
  openedScope(scope: ConnManagementScope, direction: 'inbound' | 'outbound'): OpenedScope
  /** Reports that a limit has refused a connection. */
  connectionRefused(
    refusal: ResourceLimitExceededError,
    address: string,
    direction: 'inbound' | 'outbound'
  ): void
  /** Reports that an upgrade has failed. */
  upgradeFailed(failed: FailedUpgrade): void
}

/** Reports a failed upgrade, and returns its error. */
export function failedUpgrade(
  reports: UpgradeReports,
  { direction, duplex }: UpgradeParameters,
  stage: UpgradeStage,
  cause: Error
): UpgradeError {
  const error = new UpgradeError(`the upgrade failed: ${cause.message}`, { stage, cause })
  const address = duplex.addresses().remote
  reports.upgradeFailed({ direction, address, stage, error })
  return error
}

/** Reports a refusal by a limit, and returns it; any other error is returned as it is. */
export function refusedUpgrade(
  reports: UpgradeReports,
  { direction, duplex }: UpgradeParameters,
  refusal: Error
): Error {
  if (refusal instanceof ResourceLimitExceededError) {
    reports.connectionRefused(refusal, duplex.addresses().remote, direction)
  }
  return refusal
}
