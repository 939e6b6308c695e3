/** Upgrades duplexes of the application to connections of a swarm, by the native security protocols and muxer. */
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
import { type Clock, TIMER_MS_MAX } from '../base/clock.ts'
import type { ConnectionConfig } from '../connection/config.ts'
import type { Connection } from '../connection.ts'
import { Direction } from '../constants.ts'
import type { DialSink } from '../dial/native-dials.ts'
import {
  ResourceLimitExceededError,
  StateError,
  TimeoutError,
  UpgradeError,
  type UpgradeStage
} from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import { ipOf, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { AnyDuplex } from '../io/carriers.ts'
import type { NativeRefusal } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { CommandHandle } from '../native/engine.ts'
import type { PipeHandle, RequestId } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import type { ConnManagementScope } from '../resource-manager/interfaces.ts'
import type { OpenedScope } from '../resource-manager/scopes.ts'
import { type Addresses, type TakenDuplex, takeDuplex } from './duplex.ts'
import type { UpgradeInboundOptions, UpgradeOutboundOptions } from './options.ts'
import { destroyCarrier, Pump, type PumpEngine } from './pump.ts'

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

/** An upgrade that has failed, for its report. */
export interface FailedUpgrade {
  readonly direction: 'inbound' | 'outbound'
  /** Address of the remote, as text. */
  readonly address: string
  readonly stage: Exclude<UpgradeStage, 'psk'>
  readonly error: Error
}

/** The swarm's interface to its upgrader. */
export interface UpgradeHost extends Commands<'upgrade' | 'cancel' | 'takeAttempts'> {
  readonly engine: PumpEngine & DrainHost
  readonly clock: Clock
  readonly options: {
    readonly connections: Pick<
      Required<ConnectionConfig>,
      'inboundUpgradeTimeout' | 'outboundUpgradeTimeout'
    >
  }
  /** Returns a scope of the swarm's resource manager, to be taken over. Throws `InvalidParametersError` for another. */
  openedScope(scope: ConnManagementScope, direction: 'inbound' | 'outbound'): OpenedScope
  /** Returns the error of a refusal by a limit, or by a closed manager. */
  refusalError(refusal: NativeRefusal): Error
  /** Reports that a limit has refused a connection. */
  connectionRefused(
    refusal: ResourceLimitExceededError,
    address: string,
    direction: 'inbound' | 'outbound'
  ): void
  /** Reports that an upgrade has failed. */
  upgradeFailed(failed: FailedUpgrade): void
  /** Registers `sink` for the connection of a request. */
  expectDialled(request: RequestId, sink: DialSink): void
  /** Unregisters a request; a connection that it still makes is closed. */
  forgetDialled(request: RequestId): void
  /** Keeps the process alive until `release`, unless the swarm is unreferenced. */
  retain(): void
  release(): void
}

/** The checked parameters of an upgrade. */
interface Parameters {
  readonly direction: 'inbound' | 'outbound'
  readonly duplex: TakenDuplex
  readonly options: UpgradeInboundOptions
  readonly scope: OpenedScope | undefined
  /** The peer that the remote must be, as text. */
  readonly peer: string | undefined
  readonly onConnection: ((connection: Connection) => void) | undefined
}

/** An upgrade under way. */
interface Begun extends CommandHandle {
  readonly pump: Pump
}

/** The upgrader of one swarm. */
export class DuplexUpgrader {
  readonly #host: UpgradeHost
  // Ends of the upgrades under way.
  readonly #pending = new Set<(err: Error) => void>()
  // Pumps whose duplexes are not closed yet.
  readonly #pumps = new Set<Pump>()
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
    const pumps = [...this.#pumps]
    for (const pump of pumps) {
      if (ms > 0) pump.closeWithin(ms)
      else pump.destroy()
    }
    // A duplex of the application need not keep the process alive.
    this.#host.retain()
    await Promise.all(pumps.map(({ over }) => over))
    this.#host.release()
  }

  /** Destroys the duplexes that {@link DuplexUpgrader.closed} waits for. */
  closeAtOnce(): void {
    if (!this.#isEnding) return
    for (const pump of this.#pumps) pump.destroy()
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

  async #upgrade(parameters: Parameters): Promise<Connection> {
    const { duplex, options, scope } = parameters
    let begun: Begun
    try {
      // A transport of the application may accept a duplex at any time.
      if (this.#isClosed) throw new StateError('the swarm is closed')
      if (duplex.ended !== undefined) throw duplex.ended
      if (isAborted(options.signal)) throw aborted(options.signal)
      begun = this.#start(parameters)
    } catch (err) {
      scope?.end()
      destroyCarrier(duplex.conn)
      throw err
    }
    return this.#outcome(parameters, begun)
  }

  #start({ direction, duplex, options, scope, peer }: Parameters): Begun {
    const { engine, clock } = this.#host
    const { remote, local } = duplex.addresses()
    let pipe = 0
    const { request, result } = this.#host.command((node, number) => {
      pipe = node.upgrade(number, {
        direction: direction === 'inbound' ? Direction.Inbound : Direction.Outbound,
        remoteAddress: remote,
        localAddress: local,
        endpoint: scope?.endpoint ?? ipOf(remote),
        scope: scope?.id,
        peer,
        isChargedToPeer: scope?.peer !== undefined,
        security: options.security && [...options.security]
      })
    })
    // `upgrade` has returned the handle of a pipe.
    const pump = new Pump(engine, clock, pipe as PipeHandle, duplex, options.limited)
    this.#pumps.add(pump)
    void pump.over.then(() => this.#pumps.delete(pump))
    return { request, result, pump }
  }

  #outcome(parameters: Parameters, { request, result, pump }: Begun): Promise<Connection> {
    const { clock, engine, node, options } = this.#host
    const { inboundUpgradeTimeout, outboundUpgradeTimeout } = options.connections
    const isInbound = parameters.direction === 'inbound'
    const usual = isInbound ? inboundUpgradeTimeout : outboundUpgradeTimeout
    const { signal, timeout = usual } = parameters.options
    const ms = Math.min(timeout, TIMER_MS_MAX)
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        const isFirst = this.#pending.delete(abandon)
        release()
        this.#host.forgetDialled(request)
        return isFirst
      }
      const abandon = (err: Error): void => {
        if (!settle()) return
        node.cancel(request)
        pump.destroy()
        reject(err)
      }
      const release = onceGivenUp(engine, clock, signal, ms, (why) => {
        abandon(why === 'aborted' ? aborted(signal) : this.#late(parameters, request, ms))
      })
      this.#pending.add(abandon)
      this.#host.expectDialled(request, {
        carried: pump,
        onConnection: (connection) => {
          settle()
          parameters.onConnection?.(connection)
          resolve(connection)
        },
        onRefused: (refusal) => {
          settle()
          pump.upgradeFailed()
          reject(refusal)
        },
        onAttemptsFailed: () => {}
      })
      result.catch((err: unknown) => {
        if (!settle()) return
        pump.upgradeFailed()
        reject(this.#errorOf(parameters, pump, err))
      })
      // By the duplex, whose first read and write have begun.
      if (isAborted(signal)) abandon(aborted(signal))
    })
  }

  /** Returns the error of an upgrade whose time is up. */
  #late(parameters: Parameters, request: RequestId, ms: number): UpgradeError {
    const [attempt] = this.#host.node.takeAttempts(request).underWay
    const cause = new TimeoutError(`it took longer than ${ms} ms`)
    return this.#failed(parameters, attempt?.stage ?? 'security', cause)
  }

  /** Returns the error of an upgrade whose command has failed. */
  #errorOf(parameters: Parameters, pump: Pump, err: unknown): unknown {
    if (!(err instanceof CommandError)) return err
    const [attempt] = err.result.attempts ?? []
    // Without one the swarm has closed.
    if (attempt === undefined) return new StateError('the swarm is closed', { cause: err.plain() })
    const { code, detail, refusal, stage } = attempt
    if (refusal === undefined) {
      return this.#failed(parameters, stage, pump.failure ?? nativeError(code, detail))
    }
    const { direction, duplex } = parameters
    const refused = this.#host.refusalError(refusal)
    if (refused instanceof ResourceLimitExceededError) {
      this.#host.connectionRefused(refused, duplex.addresses().remote, direction)
    }
    return refused
  }

  #failed({ direction, duplex }: Parameters, name: string, cause: Error): UpgradeError {
    // The other stages of the native side are those of dials.
    const stage = name === 'muxer' ? 'muxer' : 'security'
    const error = new UpgradeError(`the upgrade failed: ${cause.message}`, { stage, cause })
    const address = duplex.addresses().remote
    this.#host.upgradeFailed({ direction, address, stage, error })
    return error
  }
}

/** Returns the peer that all of these are, as text; throws `InvalidParametersError` if they differ. */
function onePeer(...peers: readonly (string | undefined)[]): string | undefined {
  const [peer, other] = new Set(peers.filter((known) => known !== undefined))
  if (other !== undefined) throw misuse('the peer', `${peer}, as elsewhere in the call`, other)
  return peer
}
