/** Upgrades duplexes of the application to connections of a swarm. */
import { aborted, type DrainHost, isAborted, onceGivenUp } from '../base/abort.ts'
import {
  aBoolean,
  aDuration,
  aSignal,
  checkOptions,
  misuse,
  type OptionChecks,
  objectWith,
  someOf
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { ConnectionConfig } from '../connection/config.ts'
import type { Connection } from '../connection.ts'
import { StateError, TimeoutError, type UpgradeError } from '../errors.ts'
import type { SwarmGate } from '../gate/swarm-gate.ts'
import type { AddrLike } from '../identity/address.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { AnyDuplex } from '../io/carriers.ts'
import { type Addresses, takeDuplex } from './duplex.ts'
import { NativeUpgrade, type NativeUpgradeHost } from './native-upgrade.ts'
import type { UpgradeInboundOptions, UpgradeOutboundOptions } from './options.ts'
import { destroyCarrier, type PumpEngine } from './pump.ts'
import {
  type Carriage,
  failedUpgrade,
  type UpgradeParameters,
  type UpgradeUnderWay
} from './under-way.ts'

const INBOUND_CHECKS: OptionChecks<UpgradeInboundOptions> = {
  signal: aSignal,
  timeout: aDuration,
  limited: aBoolean,
  security: someOf('tls', 'noise'),
  scope: objectWith('setPeer', 'done')
}

const OUTBOUND_CHECKS: OptionChecks<UpgradeOutboundOptions> = {
  ...INBOUND_CHECKS,
  // `parseAddress` accepts any value, and throws.
  addr: (value) => parseAddress(value as AddrLike)
}

/** The swarm's interface to its upgrader. */
export interface UpgradeHost extends NativeUpgradeHost {
  readonly engine: PumpEngine & DrainHost
  readonly options: {
    readonly connections: Pick<
      Required<ConnectionConfig>,
      'inboundUpgradeTimeout' | 'outboundUpgradeTimeout'
    >
  }
  /** Keeps the process alive until `release`, unless the swarm is unreferenced. */
  retain(): void
  release(): void
  readonly gate: Pick<SwarmGate, 'refusalOf'>
  /** Returns the upgrade by muxers of the application; undefined if it lists none. */
  muxedUpgrade(parameters: UpgradeParameters): (UpgradeUnderWay & Carriage) | undefined
}

/** The upgrader of one swarm. */
export class DuplexUpgrader {
  readonly #host: UpgradeHost
  // Ends of the upgrades under way.
  readonly #pending = new Set<(err: Error) => void>()
  // Those whose duplexes are not closed yet.
  readonly #carriages = new Set<Carriage>()
  #isClosed = false
  // Only the duplexes are left to close.
  #isEnding = false

  constructor(host: UpgradeHost) {
    this.#host = host
  }

  upgradeInbound(
    duplex: AnyDuplex,
    addr: AddrLike | undefined,
    options: UpgradeInboundOptions = {}
  ): Promise<Connection> {
    checkOptions(options, INBOUND_CHECKS)
    return this.#begin(duplex, 'inbound', addr, undefined, options)
  }

  upgradeOutbound(
    duplex: AnyDuplex,
    peer: PeerLike | undefined,
    options: UpgradeOutboundOptions = {}
  ): Promise<Connection> {
    checkOptions(options, OUTBOUND_CHECKS)
    return this.#begin(duplex, 'outbound', options.addr, peer, options)
  }

  /** Upgrades the duplex of a dial; `onConnection` is called before anybody else hears of the connection. */
  upgradeDialled(
    duplex: AnyDuplex,
    peer: string | undefined,
    options: UpgradeOutboundOptions,
    onConnection: (connection: Connection) => void
  ): Promise<Connection> {
    return this.#begin(duplex, 'outbound', options.addr, peer, options, onConnection)
  }

  /** Rejects every upgrade under way: the swarm closes. */
  close(): void {
    this.#isClosed = true
    for (const fail of [...this.#pending]) fail(new StateError('the swarm is closed'))
  }

  /** Resolves when every duplex is closed; those that have not accepted their last bytes in `ms` are destroyed. */
  async closed(ms: number): Promise<void> {
    this.#isEnding = true
    const carriages = [...this.#carriages]
    for (const carriage of carriages) {
      if (ms > 0) carriage.closeWithin(ms)
      else carriage.destroy()
    }
    // A duplex of the application need not keep the process alive.
    this.#host.retain()
    await Promise.all(carriages.map(({ over }) => over))
    this.#host.release()
  }

  /** Destroys the duplexes that {@link DuplexUpgrader.closed} waits for. */
  closeAtOnce(): void {
    if (!this.#isEnding) return
    for (const carriage of this.#carriages) carriage.destroy()
  }

  #begin(
    duplex: AnyDuplex,
    direction: 'inbound' | 'outbound',
    addr: AddrLike | undefined,
    given: PeerLike | undefined,
    options: UpgradeInboundOptions,
    onConnection?: (connection: Connection) => void
  ): Promise<Connection> {
    const named = addr === undefined ? undefined : parseAddress(addr)
    const expected = given === undefined ? undefined : peerText(given)
    const scope =
      options.scope === undefined ? undefined : this.#host.openedScope(options.scope, direction)
    const peer = onePeer(expected, named?.peer, scope?.peer)
    // The last check, as the first that changes anything.
    const taken = takeDuplex(duplex, direction === 'outbound')
    scope?.take()
    const { text: remote } = named ?? {}
    const addresses = (): Addresses => ({
      ...taken.addresses(),
      ...(remote === undefined || remote === '' ? {} : { remote })
    })
    const parameters = { direction, duplex: { ...taken, addresses }, options, scope, peer }
    return this.#upgrade({ ...parameters, onConnection })
  }

  async #upgrade(parameters: UpgradeParameters): Promise<Connection> {
    const { direction, duplex, options, scope, peer } = parameters
    let upgrade: UpgradeUnderWay
    try {
      // A transport of the application may accept a duplex at any time.
      if (this.#isClosed) throw new StateError('the swarm is closed')
      if (duplex.ended !== undefined) throw duplex.ended
      if (isAborted(options.signal)) throw aborted(options.signal)
      const { remote } = duplex.addresses()
      const denied = this.#host.gate.refusalOf({ direction, peer, remoteAddress: remote })
      if (denied !== undefined) throw failedUpgrade(this.#host, parameters, 'security', denied)
      upgrade = this.#start(parameters)
    } catch (err) {
      scope?.end()
      destroyCarrier(duplex.conn)
      throw err
    }
    return this.#outcome(parameters, upgrade)
  }

  #start(parameters: UpgradeParameters): UpgradeUnderWay {
    const muxed = this.#host.muxedUpgrade(parameters)
    if (muxed !== undefined) return this.#carried(muxed, muxed)
    const native = new NativeUpgrade(this.#host, parameters)
    return this.#carried(native, native.pump)
  }

  #carried(upgrade: UpgradeUnderWay, carriage: Carriage): UpgradeUnderWay {
    this.#carriages.add(carriage)
    void carriage.over.then(() => this.#carriages.delete(carriage))
    return upgrade
  }

  #outcome(parameters: UpgradeParameters, upgrade: UpgradeUnderWay): Promise<Connection> {
    const { clock, engine, options } = this.#host
    const { inboundUpgradeTimeout, outboundUpgradeTimeout } = options.connections
    const isInbound = parameters.direction === 'inbound'
    const usual = isInbound ? inboundUpgradeTimeout : outboundUpgradeTimeout
    const { signal, timeout = usual } = parameters.options
    const ms = Math.min(timeout, TIMER_MS_MAX)
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        if (!this.#pending.delete(abandon)) return false
        release()
        upgrade.settled()
        return true
      }
      const abandon = (err: Error): void => {
        if (!settle()) return
        upgrade.abandon()
        reject(err)
      }
      const late = (): UpgradeError => {
        const cause = new TimeoutError(`it took longer than ${ms} ms`)
        return failedUpgrade(this.#host, parameters, upgrade.stage(), cause)
      }
      const release = onceGivenUp(engine, clock, signal, ms, (why) => {
        abandon(why === 'aborted' ? aborted(signal) : late())
      })
      this.#pending.add(abandon)
      upgrade.begin({
        done: (connection) => {
          settle()
          parameters.onConnection?.(connection)
          resolve(connection)
        },
        failed: (error) => {
          if (settle()) reject(error())
        }
      })
      // By the duplex, whose first read and write have begun.
      if (isAborted(signal)) abandon(aborted(signal))
    })
  }
}

/** Returns the peer that all of these are, as text; throws `InvalidParametersError` if they differ. */
function onePeer(...peers: readonly (string | undefined)[]): string | undefined {
  const [peer, other] = new Set(peers.filter((known) => known !== undefined))
  if (other !== undefined) throw misuse('the peer', `${peer}, as elsewhere in the call`, other)
  return peer
}
