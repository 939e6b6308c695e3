/** The gate of a swarm: its lists, its hooks, and the reports of what they refuse. */
import { abortable } from '../base/abort.ts'
import { lazyModule } from '../base/lazy-module.ts'
import { Direction } from '../constants.ts'
import { DialDeniedError, StateError } from '../errors.ts'
import { judgedHostsOf } from '../identity/parsed-address.ts'
import { type NativeGate, native } from '../native/addon.ts'
import type { RequestId } from '../native/handles.ts'
import { GateHook } from '../native/record.ts'
import type { ConnectionGate, ConnectionGateHost, GateEntry } from './connection-gate.ts'
import { askedNatively, type ConnectionGater, type GateStage } from './gater.ts'
import type { AskedStage, ConnectionText, Hooks, HooksHost, Refusal } from './hooks.ts'
import type { RefusalReports, RefusalReportsHost, RefusedText } from './refusals.ts'

// What many programs do not use.
const { url } = import.meta
const loadConnectionGate = lazyModule<typeof import('./connection-gate.ts')>(
  url,
  './connection-gate'
)
const loadHooks = lazyModule<typeof import('./hooks.ts')>(url, './hooks')
const loadRefusals = lazyModule<typeof import('./refusals.ts')>(url, './refusals')

/** The swarm's interface to its gate. */
export interface SwarmGateHost extends HooksHost, RefusalReportsHost, ConnectionGateHost {
  readonly gater: ConnectionGater | undefined
  /** The options `connections.allow` and `connections.deny`. */
  readonly allow: readonly GateEntry[]
  readonly deny: readonly GateEntry[]
  /** Returns the addresses of the duplex that a request upgrades; undefined if it dials. */
  addressesOf(request: RequestId): { readonly local: string; readonly remote: string } | undefined
}

/** The gate as the dialer uses it. */
export type DialGate = Pick<SwarmGate, 'hooks' | 'ruleOf' | 'refused'>

/** The gate of one swarm. */
export class SwarmGate {
  readonly native: NativeGate
  /** Undefined without a gater. */
  readonly hooks: Hooks | undefined
  readonly #host: SwarmGateHost
  #lists: ConnectionGate | undefined
  #reports: RefusalReports | undefined
  #isStopped = false

  constructor(host: SwarmGateHost) {
    const { gater, allow, deny } = host
    this.#host = host
    this.native = new native.NativeGate(askedNatively(gater))
    if (gater !== undefined) this.hooks = new (loadHooks().Hooks)(gater, host)
    if (allow.length > 0) this.lists.allow(allow)
    if (deny.length > 0) this.lists.deny(deny)
  }

  /** The lists, and the calls that change them. */
  get lists(): ConnectionGate {
    this.#lists ??= new (loadConnectionGate().ConnectionGate)(this.native, this.#host)
    return this.#lists
  }

  /** Returns the rule of the lists that refuses an address; undefined if they allow it. */
  ruleOf(address: string): string | undefined {
    // The common case: nothing crosses.
    if (this.#lists?.hasRules !== true) return undefined
    for (const host of judgedHostsOf(address)) {
      const rule = this.native.ruleOf(host)
      if (rule !== null) return rule
    }
    return undefined
  }

  /** Returns the error of a connection that the lists refuse, which is reported; undefined if they allow it. */
  refusalOf(refused: RefusedText): DialDeniedError | undefined {
    const rule = this.ruleOf(refused.remoteAddress ?? '')
    if (rule === undefined) return undefined
    this.refused(refused.direction === 'inbound' ? 'accept' : 'addrDial', refused, rule)
    return new DialDeniedError(rule)
  }

  /**
   * Asks a hook about a connection that is set up in JavaScript; resolves to the refusal, which is reported. Rejects with
   * `AbortError` by the signal, and with `StateError` if the swarm closes, which are not.
   */
  async ask(
    stage: AskedStage,
    connection: ConnectionText,
    signal: AbortSignal
  ): Promise<DialDeniedError | undefined> {
    const { hooks } = this
    if (hooks === undefined) return undefined
    this.#assertRunning()
    const reason = await abortable(Promise.resolve(hooks.connection(stage, connection)), signal)
    this.#assertRunning()
    if (reason === undefined) return undefined
    this.refused(stage, connection, reason)
    return new DialDeniedError(refusalText(stage, reason))
  }

  #assertRunning(): void {
    if (this.#isStopped) throw new StateError('the swarm is closed')
  }

  /** Asks the hooks what the native side wants to know. */
  takeQuestions(): void {
    const { hooks } = this
    // A swarm that closes answers nothing: its connections are given up.
    if (hooks === undefined || this.#isStopped) return
    for (const question of this.native.takeQuestions()) {
      const { ticket, hook, request, direction, localAddress, remoteAddress } = question
      // The native side does not know every form of an address.
      const known = request === 0 ? undefined : this.#host.addressesOf(request as RequestId)
      const connection: ConnectionText = {
        ...question,
        direction: direction === Direction.Inbound ? 'inbound' : 'outbound',
        localAddress: known?.local ?? localAddress,
        remoteAddress: known?.remote ?? remoteAddress
      }
      const stage = stageOf(hook)
      const answer = hooks.connection(stage, connection)
      if (answer instanceof Promise) {
        void answer.then((reason) => this.#answer(ticket, stage, connection, reason))
      } else this.#answer(ticket, stage, connection, answer)
    }
  }

  #answer(ticket: number, stage: AskedStage, connection: ConnectionText, reason: Refusal): void {
    if (this.#isStopped) return
    const text = reason === undefined ? undefined : refusalText(stage, reason)
    const isAwaited = this.native.answer(ticket, text)
    if (reason !== undefined && isAwaited) this.refused(stage, connection, reason)
  }

  /** Reports a refusal. */
  refused(stage: GateStage, refused: RefusedText, rule: string): void {
    const { isHeard, log } = this.#host
    if (isHeard() || log.hears('debug')) this.#refusals.refused(stage, refused, rule)
  }

  /** Reports a remote that the native side has refused by a list, and whose diagnostic fact is in the log. */
  remoteRefused(remoteAddress: string, rule: string): void {
    if (!this.#host.isHeard()) return
    this.#refusals.emit('accept', { direction: 'inbound', remoteAddress }, rule)
  }

  get #refusals(): RefusalReports {
    this.#reports ??= new (loadRefusals().RefusalReports)(this.#host)
    return this.#reports
  }

  /** Answers nothing from now on: the swarm closes. */
  stop(): void {
    this.#isStopped = true
  }

  /** Ends the waits for answers. */
  close(): void {
    this.stop()
    this.hooks?.close()
  }
}

/** Returns the hook of a bit. */
function stageOf(bit: number): AskedStage {
  if (bit === GateHook.accept) return 'accept'
  return bit === GateHook.secured ? 'secured' : 'upgraded'
}

function refusalText(stage: GateStage, reason: string): string {
  return `refused by the hook ${stage}: ${reason}`
}
