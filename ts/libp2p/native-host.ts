/** The native node of one libp2p node: what its transport, encrypters and muxer share. */
import type { PrivateKey } from '@libp2p/interface'
import {
  CONNECTION_DEFAULTS,
  nativeTimeouts,
  type ResolvedConnectionConfig
} from '../connection/config.ts'
import type { SecurityName } from '../constants.ts'
import { StateError } from '../errors.ts'
import { privateKeyBytes } from '../identity/keys.ts'
import type { NativeGate, NativeGateQuestion, NativeNode } from '../native/addon.ts'
import type { CommandHandle, Engine, NodeSink, Served } from '../native/engine.ts'
import { environment } from '../native/environment.ts'
import type { ConnectionHandle, ListenerId, RequestId } from '../native/handles.ts'
import { GateHook } from '../native/record.ts'
import { machineResources, plainLimits, resolveLimits } from '../resource-manager/limits.ts'
import { nativeResources } from '../resource-manager/native-limits.ts'
import type { MuxerHost } from './muxer.ts'
import { limitsOf, type MuxerLimits } from './yamux-options.ts'

/** Receives the connection of a command; called before the records of its streams. */
export type OnOpened = (handle: ConnectionHandle) => void

/** Receives the question about a connection that a listener has accepted. */
export type OnAccepted = (question: NativeGateQuestion) => void

/** Options of a host. */
export interface HostOptions {
  readonly privateKey: PrivateKey
  /** In order of preference. */
  readonly security: readonly SecurityName[]
  readonly muxer: MuxerLimits
  /** In milliseconds. */
  readonly timeouts: Partial<
    Pick<
      ResolvedConnectionConfig,
      'inboundUpgradeTimeout' | 'outboundUpgradeTimeout' | 'streamNegotiationTimeout'
    >
  >
  /** Returns the handler of a protocol, as the registrar has it. */
  readonly serve: (protocol: string) => Served | undefined
}

/** A running native node. */
export class NativeHost implements NodeSink, MuxerHost {
  readonly engine: Engine
  readonly node: NativeNode
  readonly loggedLevels = 0
  readonly #gate: NativeGate
  readonly #options: HostOptions
  readonly #opened = new Map<RequestId, OnOpened>()
  readonly #listeners = new Map<number, OnAccepted>()
  #isClosed = false

  constructor(options: HostOptions) {
    const engine = environment()
    this.engine = engine
    this.#options = options
    this.#gate = new engine.native.NativeGate(GateHook.accept)
    const limits = resolveLimits(
      limitsOf(options.muxer),
      machineResources(engine.native.openFilesMax())
    )
    const resources = nativeResources(limits)
    this.node = engine.makeNode(
      {
        privateKey: privateKeyBytes(options.privateKey),
        security: [...options.security],
        // As the streams of libp2p have it: what has arrived is delivered before a reset.
        keepUnread: true,
        limits: {
          ...plainLimits(limits),
          ...nativeTimeouts({ ...CONNECTION_DEFAULTS, ...options.timeouts })
        },
        // Without the limits that services and protocols have by name: those of js-libp2p are the registrar's.
        resources: {
          ...resources,
          scopes: resources.scopes.filter(({ name }) => name === undefined)
        }
      },
      this.#gate
    )
    engine.adoptNode(this.node.id, this)
  }

  /** Issues a command that makes a connection, for `opened`. */
  connect(begin: (node: NativeNode, request: RequestId) => void, opened: OnOpened): CommandHandle {
    if (this.#isClosed) throw new StateError('the libp2p node is stopped')
    const command = this.engine.command(this.node, (request) => {
      this.#opened.set(request, opened)
      try {
        begin(this.node, request)
      } catch (err) {
        this.#opened.delete(request)
        throw err
      }
    })
    const forget = (): void => {
      this.#opened.delete(command.request)
    }
    command.result.then(forget, forget)
    return command
  }

  /** Passes the questions of a listener to `accepted`, until {@link NativeHost.forgetListener}. */
  adoptListener(listener: ListenerId, accepted: OnAccepted): void {
    this.#listeners.set(listener, accepted)
  }

  forgetListener(listener: ListenerId): void {
    this.#listeners.delete(listener)
  }

  /** Refuses an accepted connection. */
  refuse({ ticket }: NativeGateQuestion, reason: string): void {
    this.#gate.answer(ticket, reason)
  }

  serve(protocol: string): Served | undefined {
    return this.#options.serve(protocol)
  }

  onConnectionOpened(handle: ConnectionHandle, request: RequestId | 0): void {
    const opened = request === 0 ? undefined : this.#opened.get(request)
    // A command that was cancelled too late: nobody owns the connection.
    if (opened === undefined) this.engine.outbox.closeConnection(handle, 0, true)
    else opened(handle)
  }

  onGateQuestions(): void {
    for (const question of this.#gate.takeQuestions()) {
      const accepted = this.#listeners.get(question.listener)
      if (accepted === undefined) this.refuse(question, 'the listener is closed')
      else accepted(question)
    }
  }

  onAttemptsFailed(): void {}

  onDiagnostic(): void {}

  onDropped(): void {}

  /** Closes what is left, and stops the threads. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const { result } = this.engine.command(this.node, (request) => this.node.close(request, 0))
    await result
    this.engine.dropNode(this.node.id)
  }
}
