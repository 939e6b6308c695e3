/** The upgrade of a duplex by the native security protocols and muxer: its bytes pass through a pipe. */
import type { Clock } from '../base/clock.ts'
import { Direction } from '../constants.ts'
import type { DialSink } from '../dial/native-dials.ts'
import { StateError, type UpgradeStage } from '../errors.ts'
import { ipOf } from '../identity/parsed-address.ts'
import type { NativeRefusal } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { CommandHandle } from '../native/engine.ts'
import type { PipeHandle, RequestId } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import { Pump, type PumpEngine } from './pump.ts'
import {
  failedUpgrade,
  refusedUpgrade,
  type UpgradeOutcome,
  type UpgradeParameters,
  type UpgradeReports,
  type UpgradeUnderWay
} from './under-way.ts'

/** The swarm's interface to these upgrades. */
export interface NativeUpgradeHost
  extends Commands<'upgrade' | 'cancel' | 'takeAttempts'>,
    UpgradeReports {
  readonly engine: PumpEngine
  readonly clock: Clock
  /** Returns the error of a refusal by a limit, or by a closed manager. */
  refusalError(refusal: NativeRefusal): Error
  /** Registers `sink` for the connection of a request. */
  expectDialled(request: RequestId, sink: DialSink): void
  /** Unregisters a request; a connection that it still makes is closed. */
  forgetDialled(request: RequestId): void
}

/** One upgrade; its command is issued when it is made. */
export class NativeUpgrade implements UpgradeUnderWay {
  readonly pump: Pump
  readonly #host: NativeUpgradeHost
  readonly #parameters: UpgradeParameters
  readonly #command: CommandHandle

  constructor(host: NativeUpgradeHost, parameters: UpgradeParameters) {
    this.#host = host
    this.#parameters = parameters
    const { direction, duplex, options, scope, peer } = parameters
    const { remote, local } = duplex.addresses()
    let pipe = 0
    this.#command = host.command((node, number) => {
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
    this.pump = new Pump(host.engine, host.clock, pipe as PipeHandle, duplex, options.limited)
  }

  begin({ done, failed }: UpgradeOutcome): void {
    const { request, result } = this.#command
    const fails = (error: () => unknown): void => {
      failed(() => {
        this.pump.upgradeFailed()
        return error()
      })
    }
    this.#host.expectDialled(request, {
      carried: this.pump,
      onConnection: done,
      // The host has reported it.
      onRefused: (refusal) => fails(() => refusal),
      onAttemptsFailed: () => {}
    })
    result.catch((err: unknown) => fails(() => this.#errorOf(err)))
  }

  stage(): UpgradeStage {
    const [attempt] = this.#host.node.takeAttempts(this.#command.request).underWay
    return stageOf(attempt?.stage)
  }

  settled(): void {
    this.#host.forgetDialled(this.#command.request)
  }

  abandon(): void {
    this.#host.node.cancel(this.#command.request)
    this.pump.destroy()
  }

  /** Returns the error of a command that has failed. */
  #errorOf(err: unknown): unknown {
    if (!(err instanceof CommandError)) return err
    const [attempt] = err.result.attempts ?? []
    // Without one the swarm has closed.
    if (attempt === undefined) return new StateError('the swarm is closed', { cause: err.plain() })
    const { code, detail, refusal, stage } = attempt
    if (refusal !== undefined) {
      return refusedUpgrade(this.#host, this.#parameters, this.#host.refusalError(refusal))
    }
    const cause = this.pump.failure ?? nativeError(code, detail)
    return failedUpgrade(this.#host, this.#parameters, stageOf(stage), cause)
  }
}

/** The other stages of the native side are those of dials. */
function stageOf(name: string | undefined): UpgradeStage {
  return name === 'muxer' || name === 'psk' ? name : 'security'
}
