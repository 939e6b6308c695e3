/**
 * `/ipfs/id/1.0.0` and `/ipfs/id/push/1.0.0`: peers exchange their keys, listen addresses and protocols.
 *
 * Every new connection is identified automatically; {@link identify} returns the result. When the local protocols or
 * addresses change, they are pushed to connected peers that support it.
 */
import { createRequire } from 'node:module'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import { abortable } from '../base/abort.ts'
import { aBoolean, aSignal, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { lazyModule } from '../base/lazy-module.ts'
import { connectionFacade } from '../connection/facade.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { MsgioError } from '../errors.ts'
import { multiaddrOf } from '../identity/address.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import { openCharged } from './charged.ts'
import {
  frameIdentify,
  type IdentifyMessage,
  IdentifyReader,
  splitIdentify
} from './identify-message.ts'
import { watchOffers } from './offers.ts'
import { addressesFor, type Reach, reachOf } from './own-addresses.ts'
import { acceptsEarlyFin } from './quirks.ts'
import type { Service } from './services.ts'

/** The service that its streams are charged to, as in go-libp2p. */
const SERVICE = 'libp2p.identify'

/** Protocol id of identify requests. */
export const IDENTIFY_PROTOCOL = '/ipfs/id/1.0.0'

/** Protocol id of identify pushes. */
export const IDENTIFY_PUSH_PROTOCOL = '/ipfs/id/push/1.0.0'

/** The `protocolVersion` of all interoperable implementations. */
export const PROTOCOL_VERSION = 'ipfs/0.1.0'

/** Timeout of one identify exchange or push in milliseconds, as in go. */
const TIMEOUT_MS = 5_000

/** Maximum inbound streams per connection; a peer needs one at a time. */
const STREAMS_MAX = 4

/** Maximum concurrent pushes. */
const PUSHES_MAX = 32

/** The properties that a peer has reported. */
export interface IdentifyResult {
  /** Name and version of the software of the peer; unverified. */
  readonly agentVersion: string | undefined
  /** Version of the protocol family, such as `ipfs/0.1.0`; unverified. */
  readonly protocolVersion: string | undefined
  /** Supported protocols, up to 1,024. */
  readonly protocols: readonly string[]
  /** Reported listen addresses, up to 500. Those of other peers are not stored. */
  readonly listenAddrs: readonly Multiaddr[]
  /** The address of this node as observed by the peer. */
  readonly observedAddr: Multiaddr | undefined
  /** The signed peer record; neither decoded nor verified. */
  readonly signedPeerRecord: Uint8Array | undefined
}

/** Options of {@link identify}. */
export interface IdentifyOptions extends AbortOptions {
  /** Query the peer again instead of returning the stored result. Defaults to false. */
  force?: boolean
}

/** Milliseconds for which the local message is cached: changes of network interfaces are not notified. */
const OFFER_KEPT_MS = 10_000

/** A compact record of a peer; addresses are parsed on first use. */
class PeerReport {
  readonly agentVersion: string | undefined
  readonly protocolVersion: string | undefined
  readonly protocols: readonly string[]
  readonly listenAddrs: readonly string[]
  readonly observedAddr: string | undefined
  readonly signedPeerRecord: Uint8Array | undefined
  #result: IdentifyResult | undefined

  /** Creates a report from `message`; absent fields keep their values of `before`. */
  constructor(message: IdentifyMessage, before?: PeerReport) {
    const merged = { ...before, ...message }
    this.agentVersion = shared(merged.agentVersion, last?.agentVersion)
    this.protocolVersion = shared(merged.protocolVersion, last?.protocolVersion)
    this.protocols = sharedList(merged.protocols, last?.protocols)
    this.listenAddrs = sharedList(merged.listenAddrs, last?.listenAddrs)
    this.observedAddr = shared(merged.observedAddr, last?.observedAddr)
    this.signedPeerRecord = sharedRecord(merged.signedPeerRecord)
    last = this
  }

  get result(): IdentifyResult {
    this.#result ??= Object.freeze({
      agentVersion: this.agentVersion,
      protocolVersion: this.protocolVersion,
      protocols: this.protocols,
      listenAddrs: Object.freeze(this.listenAddrs.map(multiaddrOf)),
      observedAddr: this.observedAddr === undefined ? undefined : multiaddrOf(this.observedAddr),
      // A copy, as the peerstore has it too.
      signedPeerRecord: this.signedPeerRecord && Uint8Array.from(this.signedPeerRecord)
    })
    return this.#result
  }
}

// The latest report. Most peers run the same software, so equal fields of the next one share its memory.
let last: PeerReport | undefined

const NOTHING: readonly string[] = Object.freeze([])

/** Returns `known` if it equals `text`, so that both share memory; otherwise `text`. */
function shared(text: string | undefined, known: string | undefined): string | undefined {
  return text === known ? known : text
}

// The latest signed record: several connections to a peer report the same one. Most peers have one of their own.
let lastRecord: Uint8Array | undefined

function sharedRecord(record: Uint8Array | undefined): Uint8Array | undefined {
  if (record === undefined) return undefined
  if (lastRecord === undefined || Buffer.compare(record, lastRecord) !== 0) lastRecord = record
  return lastRecord
}

function sharedList(
  texts: readonly string[] = NOTHING,
  known: readonly string[] = NOTHING
): readonly string[] {
  const isKnown = texts.length === known.length && texts.every((text, at) => text === known[at])
  return isKnown ? known : Object.freeze(texts)
}

const IDENTIFY_CHECKS: OptionChecks<IdentifyOptions> = { signal: aSignal, force: aBoolean }

const QUERIED = new WeakMap<Connection, Promise<PeerReport>>()

/**
 * Resolves to the properties reported by the peer, including pushes. Queries the peer if that has not been done.
 *
 * Malformed addresses are skipped. Also rejects with the errors of `connection.newStream` and `stream.read`.
 *
 * @throws {@link UnsupportedProtocolError} as the cause of a {@link StreamError}, if the peer does not support it.
 * @throws {@link TimeoutError} after 5 s.
 * @throws {@link MsgioError} for a malformed message, one over 8 KiB, or more than ten.
 * @throws {@link AbortError} by `signal`.
 * @throws {@link InvalidParametersError} for an invalid connection or option.
 * @example
 * ```ts
 * import { identify } from 'ferroswarm'
 *
 * const { agentVersion, protocols, observedAddr } = await identify(connection)
 * console.log(agentVersion, protocols.includes('/chat/1.0.0'), `${observedAddr}`)
 * ```
 */
export function identify(
  connection: Connection,
  options: IdentifyOptions = {}
): Promise<IdentifyResult> {
  checkConnection(connection)
  checkOptions(options, IDENTIFY_CHECKS)
  const report = abortable(reportedBy(connection, options.force === true), options.signal)
  return report.then(({ result }) => result)
}

function reportedBy(connection: Connection, force: boolean): Promise<PeerReport> {
  let report = force ? undefined : QUERIED.get(connection)
  if (report === undefined) {
    report = query(connection)
    QUERIED.set(connection, report)
    // A failed query is not stored, so that the next call repeats it.
    report.catch(() => {
      if (QUERIED.get(connection) === report) QUERIED.delete(connection)
    })
  }
  return report
}

// Loaded at the first message that has addresses.
const loadSignedRecord = lazyModule<typeof import('../peerstore/signed-record.ts')>(
  import.meta.url,
  '../peerstore/signed-record'
)

/** The parts of the local message, without fields that differ by peer, and their time of creation. */
interface Offer {
  readonly parts: readonly Uint8Array[]
  readonly madeAt: number
  /** The signed record, and the addresses that it is of; undefined without addresses. */
  readonly record: { readonly of: string; readonly envelope: Uint8Array } | undefined
}

/** Queries the peer of every connection of a swarm, responds to queries, and pushes changes. */
export class IdentifyService implements Service {
  #swarm: Swarm | undefined
  #stopWatching: (() => void) | undefined
  #pushScheduled = false
  #newConnections: Connection[] = []
  readonly #offers = new Map<Reach, Offer>()
  /** The number of the latest signed record. */
  #seq = 0n

  // Deferred to the next turn of the event loop, so that streams of the application go first and a connection that has
  // ended by then is not queried.
  readonly #connected = (event: CustomEvent<Connection>): void => {
    this.#newConnections.push(event.detail)
    if (this.#newConnections.length === 1) setImmediate(() => this.#queryNew())
  }

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(IDENTIFY_PROTOCOL, (stream, connection) => this.#answer(stream, connection), {
      maxInbound: STREAMS_MAX,
      service: SERVICE,
      runOnLimited: true
    })
    swarm.handle(
      IDENTIFY_PUSH_PROTOCOL,
      (stream, connection) =>
        receivePush(stream, connection).catch((err: unknown) => {
          // An invalid message of a peer is not a failure of this handler.
          swarm.options.logger.debug(`a push of ${connection.remotePeer} was refused`, err)
        }),
      { maxInbound: STREAMS_MAX, service: SERVICE, runOnLimited: true }
    )
    swarm.addEventListener('connected', this.#connected)
    this.#stopWatching = watchOffers(swarm, () => {
      // The records of unchanged addresses are kept.
      for (const [reach, offer] of this.#offers) {
        this.#offers.set(reach, { ...offer, madeAt: Number.NEGATIVE_INFINITY })
      }
      this.#pushSoon()
    })
  }

  stop(): void {
    const swarm = this.#swarm
    this.#swarm = undefined
    this.#stopWatching?.()
    this.#newConnections = []
    swarm?.removeEventListener('connected', this.#connected)
    swarm?.unhandle([IDENTIFY_PROTOCOL, IDENTIFY_PUSH_PROTOCOL])
  }

  #queryNew(): void {
    const connections = this.#newConnections
    this.#newConnections = []
    for (const connection of connections) {
      if (connection.isClosed) continue
      reportedBy(connection, false).catch((err: unknown) => {
        this.#swarm?.options.logger.debug(`identify of ${connection.remotePeer} failed`, err)
      })
    }
  }

  /** Answers a query; not before what the application does with the new connection, as it may close it. */
  async #answer(stream: Stream, connection: Connection): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (connection.isClosed) await stream.reset()
    else await this.#respond(stream, connection)
  }

  /** Sends the local message. */
  async #respond(stream: Stream, connection: Connection): Promise<void> {
    stream.setWriteDeadline(deadline(connection))
    const remote = connectionFacade.coreOf(connection).remoteAddressText
    await stream.write(frameIdentify(this.#offer(connection.swarm, reachOf(remote)), remote))
    await stream.close()
  }

  /** Pushes the local message to a peer that supports it. */
  async #push(connection: Connection): Promise<void> {
    const report = await QUERIED.get(connection)
    if (report?.protocols.includes(IDENTIFY_PUSH_PROTOCOL) !== true) return
    const stream = await openCharged(connection, IDENTIFY_PUSH_PROTOCOL, SERVICE, {
      allowLimited: true
    })
    try {
      await this.#respond(stream, connection)
    } catch (err) {
      await resetFor(err, stream)
      throw err
    }
  }

  #offer(swarm: Swarm, reach: Reach): readonly Uint8Array[] {
    const now = swarm.options.clock.now()
    const known = this.#offers.get(reach)
    if (known !== undefined && now < known.madeAt + OFFER_KEPT_MS) return known.parts
    const listenAddrs = addressesFor(reach, swarm.getListenAddrs().map(String))
    const record = this.#recordOf(swarm, listenAddrs, known?.record)
    const parts = splitIdentify({
      publicKey: swarm.identity.publicKeyBytes,
      listenAddrs,
      ...(record === undefined ? {} : { signedPeerRecord: record.envelope }),
      protocols: swarm.getProtocols(),
      protocolVersion: PROTOCOL_VERSION,
      agentVersion: agentVersion()
    })
    this.#offers.set(reach, { parts, madeAt: now, record })
    return parts
  }

  /** Returns the signed record of addresses: the known one if it is of the same. */
  #recordOf(swarm: Swarm, addresses: readonly string[], known: Offer['record']): Offer['record'] {
    const of = addresses.join()
    if (addresses.length === 0) return undefined
    if (known?.of === of) return known
    // Nanoseconds, as in go: a record must have a larger number than those of earlier runs, in any implementation.
    const now = BigInt(Math.floor(swarm.options.clock.now())) * 1_000_000n
    this.#seq = now > this.#seq ? now : this.#seq + 1n
    return { of, envelope: loadSignedRecord().signPeerRecord(swarm.identity, addresses, this.#seq) }
  }

  /** Pushes to all peers at the end of this turn of the event loop, as handlers are registered in groups. */
  #pushSoon(): void {
    if (this.#pushScheduled) return
    this.#pushScheduled = true
    setImmediate(() => {
      this.#pushScheduled = false
      const swarm = this.#swarm
      if (swarm === undefined || swarm.getTotalConnections() === 0) return
      void this.#pushAll(swarm)
    })
  }

  async #pushAll(swarm: Swarm): Promise<void> {
    const connections = swarm.getConnections()
    const worker = async (): Promise<void> => {
      for (let next = connections.pop(); next !== undefined; next = connections.pop()) {
        try {
          await this.#push(next)
        } catch (err) {
          swarm.options.logger.debug(`the push to ${next.remotePeer} failed`, err)
        }
      }
    }
    await Promise.all(Array.from({ length: PUSHES_MAX }, worker))
  }
}

async function query(connection: Connection): Promise<PeerReport> {
  const stream = await openCharged(connection, IDENTIFY_PROTOCOL, SERVICE, { allowLimited: true })
  return new PeerReport(await receive(stream, connection))
}

/** Receives a push; absent fields keep their values. */
async function receivePush(stream: Stream, connection: Connection): Promise<void> {
  const message = await receive(stream, connection)
  const before = await QUERIED.get(connection)?.catch(() => undefined)
  QUERIED.set(connection, Promise.resolve(new PeerReport(message, before)))
}

/** Receives the message of the peer on `stream`, and stores what it reports. */
async function receive(stream: Stream, connection: Connection): Promise<IdentifyMessage> {
  stream.setReadDeadline(deadline(connection))
  try {
    const reader = new IdentifyReader()
    for await (const bytes of stream) reader.take(bytes)
    // A local close of the connection ends the loop as well.
    if (stream.error !== undefined) throw stream.error
    const message = reader.end()
    const core = connectionFacade.coreOf(connection)
    const key = core.remotePublicKeyBytes
    if (message.publicKey !== undefined && Buffer.compare(message.publicKey, key) !== 0) {
      // The handshake has authenticated the peer, so the key is ignored, as in go.
      const { logger } = connection.swarm.options
      logger.debug(`identify of ${connection.remotePeer} names another public key than its own`)
    }
    await stream.close()
    core.host.identified(core, { ...message, publicKey: key })
    if (acceptsEarlyFin(message.agentVersion)) core.allowEarlyFin()
    return message
  } catch (err) {
    await resetFor(err, stream)
    throw err
  }
}

function deadline(connection: Connection): number {
  return connection.swarm.options.clock.now() + TIMEOUT_MS
}

function resetFor(err: unknown, stream: Stream): Promise<void> {
  return stream.reset(err instanceof MsgioError ? StreamErrorCode.ProtocolViolation : 0)
}

const require = createRequire(import.meta.url)

let agent: string | undefined

/** Returns `ferroswarm/<version>`, from this package's package.json. */
export function agentVersion(): string {
  agent ??= `ferroswarm/${(require('../../package.json') as { version: string }).version}`
  return agent
}
