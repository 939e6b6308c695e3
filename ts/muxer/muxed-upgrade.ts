/**
 * The upgrade of a duplex for a swarm that lists muxers of the application: the security is native, over bytes that
 * JavaScript moves, and the muxer is negotiated here.
 */
import { abortable } from '../base/abort.ts'
import { type Clock, stopwatch } from '../base/clock.ts'
import type { ConnectionFacts } from '../connection/facts.ts'
import type { Connection } from '../connection.ts'
import {
  ConnectionErrorCode,
  type Limits,
  type MuxerName,
  RESERVATION_PRIORITY_ALWAYS,
  type SecurityName
} from '../constants.ts'
import {
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  type UpgradeStage
} from '../errors.ts'
import type { AskedStage } from '../gate/hooks.ts'
import type { SwarmGate } from '../gate/swarm-gate.ts'
import { NO_ADDRESS } from '../identity/address.ts'
import type { Identity } from '../identity/keys.ts'
import { transportOf } from '../identity/parsed-address.ts'
import { CLOSE_MS } from '../io/closing.ts'
import type { SessionFacts } from '../native/addon.ts'
import { Multiselect } from '../negotiation/multiselect.ts'
import { MultiselectClient } from '../negotiation/multiselect-client.ts'
import { MultiselectCommunicator } from '../negotiation/multiselect-communicator.ts'
import type {
  ConnManagementScope,
  ResourceScopeSpan,
  SwarmResourceManager
} from '../resource-manager/interfaces.ts'
import { CHUNK_BYTES, SecureCarrier } from '../secure/secure-carrier.ts'
import { sessionOf } from '../secure/session.ts'
import { CloseLimit } from '../upgrade/close-limit.ts'
import { FAILED_CLOSE_MS } from '../upgrade/pump.ts'
import {
  type Carriage,
  failedUpgrade,
  refusedUpgrade,
  type UpgradeOutcome,
  type UpgradeParameters,
  type UpgradeReports,
  type UpgradeUnderWay
} from '../upgrade/under-way.ts'
import { errorOf } from './failure.ts'
import { aMuxedConn, type Multiplexer, type MuxedConn } from './muxed.ts'
import { RawCarrier } from './raw-carrier.ts'

/** Preference of the security protocols, as of native upgrades. */
const SECURITY = ['tls', 'noise'] as const

/** Memory that a session is charged for: a chunk of ciphertext each way. */
const SESSION_BYTES = 2 * CHUNK_BYTES

/** A connection that a muxer of the application has made of a duplex. */
export interface Upgraded {
  readonly muxed: MuxedConn
  readonly facts: ConnectionFacts
  readonly scope: ResourceScopeSpan
  /** Aborted when nobody waits for the connection any more. */
  readonly signal: AbortSignal
  /** Called when it is listed, before anyone is notified. */
  done(connection: Connection): void
}

/** Adds connections to the swarm. */
export interface MuxedConnections {
  /**
   * Lists and announces a connection. Throws the refusal of the application's resource manager, `AbortError` by the
   * signal, and an error for a muxed connection that is closed or in use.
   */
  upgraded(upgraded: Upgraded): void
}

/** The swarm's interface to these upgrades. */
export interface MuxedUpgradesHost extends UpgradeReports {
  readonly clock: Clock
  readonly options: {
    readonly identity: Pick<Identity, 'privateKeyBytes'>
    readonly security: readonly SecurityName[] | undefined
    readonly limits: Limits
  }
  readonly gate: Pick<SwarmGate, 'ask'>
  readonly resourceManager: SwarmResourceManager
  readonly added: MuxedConnections
  /** Keeps the process alive until {@link release}. */
  retain(): void
  release(): void
}

/** A muxer of the list. */
export interface Offered {
  readonly muxer: Multiplexer
  /** The engine of a native one. */
  readonly engine: MuxerName | ''
}

/** Muxers by protocol id, preferred first. */
export type Muxers = ReadonlyMap<string, Offered>

/** One upgrade; owns the duplex, also below the connection that it makes. */
export class MuxedUpgrade implements UpgradeUnderWay, Carriage {
  readonly over: Promise<void>
  readonly #host: MuxedUpgradesHost
  readonly #muxers: Muxers
  readonly #parameters: UpgradeParameters
  readonly #scope: ConnManagementScope
  readonly #raw: RawCarrier
  readonly #limit: CloseLimit
  // Aborted when the upgrade is given up, and when the duplex is destroyed.
  readonly #abandoned = new AbortController()
  readonly #destroyed = new AbortController()
  #stage: UpgradeStage = 'security'
  #secured: SecureCarrier | undefined
  // Until a connection has it, and the code for its remote.
  #muxed: MuxedConn | undefined
  #closeCode = 0
  #closing: Promise<void> | undefined
  #end: () => void = () => {}

  /** Throws the refusal of a limit. */
  constructor(host: MuxedUpgradesHost, muxers: Muxers, parameters: UpgradeParameters) {
    this.#host = host
    this.#muxers = muxers
    this.#parameters = parameters
    this.#raw = new RawCarrier(parameters.duplex.conn)
    this.#limit = new CloseLimit(host.clock, () => this.destroy())
    this.#scope = this.#charged()
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  stage(): UpgradeStage {
    return this.#stage
  }

  begin({ done, failed }: UpgradeOutcome): void {
    this.#host.retain()
    this.#run(done).catch((err) => {
      failed(() => this.#errorOf(err))
      this.#scope.done()
      this.closeWithin(FAILED_CLOSE_MS)
    })
  }

  settled(): void {
    this.#host.release()
  }

  abandon(): void {
    this.#abandoned.abort()
    this.#scope.done()
    this.destroy()
  }

  closeWithin(ms: number): void {
    if (this.#limit.within(ms)) this.#closing ??= this.#close()
  }

  destroy(): void {
    this.#limit.end()
    this.#destroyed.abort()
    this.#closing ??= this.#close()
  }

  /** Charges the connection; throws the refusal of a limit. */
  #charged(): ConnManagementScope {
    const { direction, duplex, scope: given } = this.#parameters
    const { remote } = duplex.addresses()
    const endpoint = remote === NO_ADDRESS ? undefined : remote
    let scope: ConnManagementScope | undefined
    try {
      scope =
        given?.successor() ?? this.#host.resourceManager.openConnection(direction, false, endpoint)
      scope.reserveMemory(SESSION_BYTES, RESERVATION_PRIORITY_ALWAYS)
      return scope
    } catch (err) {
      scope?.done()
      // The native accounting throws errors.
      throw refusedUpgrade(this.#host, this.#parameters, err as Error)
    }
  }

  async #run(done: UpgradeOutcome['done']): Promise<void> {
    if (this.#parameters.direction === 'inbound') await this.#ask('accept')
    const time = stopwatch(this.#host.clock)
    const session = await this.#secure()
    const security = time()
    this.#stage = 'muxer'
    const [protocol, { muxer, engine }] = await this.#select()
    const muxed = await this.#start(muxer)
    await this.#ask('upgraded', session, protocol)
    const facts: ConnectionFacts = {
      ...this.#factsOf(session, protocol, engine),
      dialReport: { connect: 0, security, muxer: time() - security }
    }
    this.#host.added.upgraded({
      muxed,
      facts,
      scope: this.#scope,
      signal: this.#abandoned.signal,
      done: (connection) => {
        // The connection closes it.
        this.#muxed = undefined
        void connection.closed.then(() => {
          const isOrderly = connection.closeReason?.error === undefined
          this.closeWithin(isOrderly ? CLOSE_MS : FAILED_CLOSE_MS)
        })
        done(connection)
      }
    })
  }

  /** Asks a hook; throws its refusal. */
  async #ask(stage: AskedStage, session?: SessionFacts, muxer = ''): Promise<void> {
    const { direction, duplex } = this.#parameters
    const { remote, local } = duplex.addresses()
    const connection = {
      direction,
      localAddress: local,
      remoteAddress: remote,
      peer: session?.peerId ?? '',
      security: session?.security ?? '',
      muxer
    }
    const denied = await this.#host.gate.ask(stage, connection, this.#abandoned.signal)
    if (denied === undefined) return
    this.#closeCode = ConnectionErrorCode.Gated
    throw denied
  }

  async #secure(): Promise<SessionFacts> {
    const { direction, options, peer, scope } = this.#parameters
    const { identity, security = SECURITY } = this.#host.options
    const { signal } = this.#abandoned
    const carrier = new SecureCarrier(
      this.#raw,
      sessionOf({
        privateKey: identity.privateKeyBytes,
        security: options.security ?? security,
        initiator: direction === 'outbound',
        ...(peer === undefined ? {} : { remotePeer: peer })
      })
    )
    const facts = await abortable(carrier.handshake({ signal }), signal)
    this.#secured = carrier
    // Before the peer is charged: the connection is transient while the hook hesitates.
    await this.#ask('secured', facts)
    if (scope?.peer === undefined) this.#scope.setPeer(facts.peerId)
    return facts
  }

  /** Negotiates the muxer; the dialler proposes those of its list in their order. */
  async #select(): Promise<readonly [protocol: string, offered: Offered]> {
    const communicator = new MultiselectCommunicator(this.#carrier)
    // The call has a deadline of its own.
    const options = { signal: this.#abandoned.signal, timeout: Number.POSITIVE_INFINITY }
    const muxers = new Multiselect<Offered>(this.#muxers)
    if (this.#parameters.direction === 'inbound') return muxers.negotiate(communicator, options)
    const names = muxers.getProtocols()
    const protocol = await new MultiselectClient().selectOneOf(names, communicator, options)
    // One of those that were proposed.
    return [protocol, this.#muxers.get(protocol) as Offered]
  }

  async #start(muxer: Multiplexer): Promise<MuxedConn> {
    const { signal } = this.#abandoned
    const isServer = this.#parameters.direction === 'inbound'
    // A muxer may throw, or return no promise.
    const starting = (async () =>
      await muxer.newConnection(this.#carrier, { isServer, scope: this.#scope }))()
    try {
      const muxed = await abortable(starting, signal)
      aMuxedConn(muxed, 'the connection of the muxer')
      this.#muxed = muxed
      return muxed
    } catch (err) {
      // It may answer late.
      if (signal.aborted) starting.then((muxed) => muxed.closeWithError(0)).catch(() => {})
      throw errorOf(err, 'the muxer could not be started')
    }
  }

  // Only used above the security.
  get #carrier(): SecureCarrier {
    if (this.#secured === undefined) throw new TypeError('the duplex is not secured')
    return this.#secured
  }

  #factsOf(
    { peerId, publicKey, security }: SessionFacts,
    muxer: string,
    muxerEngine: MuxerName | ''
  ): Omit<ConnectionFacts, 'dialReport'> {
    const { direction, duplex, options } = this.#parameters
    const { remote, local } = duplex.addresses()
    const transport = transportOf(remote)
    return {
      direction,
      limited: options.limited ?? false,
      remotePeer: peerId,
      remotePublicKey: publicKey,
      remoteAddress: remote,
      localAddress: local,
      security: { transport, security, muxer, muxerEngine, usedEarlyMuxerNegotiation: false }
    }
  }

  #errorOf(err: unknown): Error {
    if (err instanceof ResourceLimitExceededError || err instanceof ResourceScopeClosedError) {
      this.#closeCode = ConnectionErrorCode.ResourceLimitExceeded
      return refusedUpgrade(this.#host, this.#parameters, err)
    }
    const cause = errorOf(err, 'it failed unexpectedly')
    return failedUpgrade(this.#host, this.#parameters, this.#stage, cause)
  }

  /** Closes the muxer unless a connection does, the session and the duplex; waits until they are destroyed at most. */
  async #close(): Promise<void> {
    const { signal } = this.#destroyed
    const attempt = async (close: () => Promise<void>): Promise<void> => {
      await abortable((async () => close())(), signal).catch(() => {
        // What cannot be closed is lost anyway.
      })
    }
    const muxed = this.#muxed
    if (muxed !== undefined) await attempt(() => muxed.closeWithError(this.#closeCode))
    await attempt(() => (this.#secured ?? this.#raw).close({ signal }))
    this.#limit.end()
    this.#end()
  }
}
