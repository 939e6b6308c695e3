/**
 * `/ipfs/id/1.0.0` and `/ipfs/id/push/1.0.0`: peers tell each other who they are, where they listen, what they speak.
 *
 * Every new connection is identified by itself; {@link identify} gives the answer. When our own protocols or
 * addresses change, connected peers that take pushes are told.
 */
import { createRequire } from 'node:module'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import { abortable } from '../base/abort.ts'
import { aBoolean, aSignal, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { connectionFacade } from '../connection/facade.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { MsgioError } from '../errors.ts'
import { multiaddrOf } from '../identity/address.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
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

/** The protocol that asks. */
export const IDENTIFY_PROTOCOL = '/ipfs/id/1.0.0'

/** The protocol that tells unasked. */
export const IDENTIFY_PUSH_PROTOCOL = '/ipfs/id/push/1.0.0'

/** What `protocolVersion` says in every implementation that talks to others. */
export const PROTOCOL_VERSION = 'ipfs/0.1.0'

/** Milliseconds for one identification or push; go's figure. */
const TIMEOUT_MS = 5_000

/** Inbound streams of one connection; a peer needs one at a time. */
const STREAMS_MAX = 4

/** Pushes under way at a time. */
const PUSHES_MAX = 32

/** What a peer told of itself. */
export interface IdentifyResult {
  /** Name and version of its software; peers may send anything. */
  readonly agentVersion: string | undefined
  readonly protocolVersion: string | undefined
  /** What it answers to, 1,024 at most. */
  readonly protocols: readonly string[]
  /** Where it says that it listens, 500 at most; an address that names another peer is told, and not remembered. */
  readonly listenAddrs: readonly Multiaddr[]
  /** Where it sees us. */
  readonly observedAddr: Multiaddr | undefined
  /** Its addresses, signed; not opened here. */
  readonly signedPeerRecord: Uint8Array | undefined
}

/** Options of {@link identify}. */
export interface IdentifyOptions extends AbortOptions {
  /** Ask again, although the peer was asked before. */
  force?: boolean
}

/** Milliseconds for which our own message is kept: interfaces come and go without a word. */
const OFFER_KEPT_MS = 10_000

/** What a peer told, in little memory: its addresses are parsed when somebody asks for them. */
class Told {
  readonly agentVersion: string | undefined
  readonly protocolVersion: string | undefined
  readonly protocols: readonly string[]
  readonly listenAddrs: readonly string[]
  readonly observedAddr: string | undefined
  readonly signedPeerRecord: Uint8Array | undefined
  #result: IdentifyResult | undefined

  /** `message`; what it leaves out is as it was `before`. */
  constructor(message: IdentifyMessage, before?: Told) {
    const told = { ...before, ...message }
    this.agentVersion = kept(told.agentVersion, last?.agentVersion)
    this.protocolVersion = kept(told.protocolVersion, last?.protocolVersion)
    this.protocols = keptList(told.protocols, last?.protocols)
    this.listenAddrs = keptList(told.listenAddrs, last?.listenAddrs)
    this.observedAddr = kept(told.observedAddr, last?.observedAddr)
    this.signedPeerRecord = told.signedPeerRecord
    last = this
  }

  get result(): IdentifyResult {
    this.#result ??= Object.freeze({
      agentVersion: this.agentVersion,
      protocolVersion: this.protocolVersion,
      protocols: this.protocols,
      listenAddrs: Object.freeze(this.listenAddrs.map(multiaddrOf)),
      observedAddr: this.observedAddr === undefined ? undefined : multiaddrOf(this.observedAddr),
      signedPeerRecord: this.signedPeerRecord
    })
    return this.#result
  }
}

// Most peers run the same software: what the next one says alike is kept once.
let last: Told | undefined

const NOTHING: readonly string[] = Object.freeze([])

/** `text`, in the memory of the one that is known already if they are the same. */
function kept(text: string | undefined, known: string | undefined): string | undefined {
  return text === known ? known : text
}

function keptList(
  texts: readonly string[] = NOTHING,
  known: readonly string[] = NOTHING
): readonly string[] {
  const isKnown = texts.length === known.length && texts.every((text, at) => text === known[at])
  return isKnown ? known : Object.freeze(texts)
}

const IDENTIFY_CHECKS: OptionChecks<IdentifyOptions> = { signal: aSignal, force: aBoolean }

const QUERIED = new WeakMap<Connection, Promise<Told>>()

/**
 * What the peer told, pushes included; asks it if nobody has.
 *
 * One bad field costs that field: what is left of the message is used. Rejects with `TimeoutError` after 5 s,
 * `MsgioError` for bytes that are no message, for one beyond 8 KiB and for more than ten, `AbortError`, and what the
 * stream's calls reject with. Throws `InvalidParametersError`.
 */
export function identify(
  connection: Connection,
  options: IdentifyOptions = {}
): Promise<IdentifyResult> {
  checkConnection(connection)
  checkOptions(options, IDENTIFY_CHECKS)
  const told = abortable(reportedBy(connection, options.force === true), options.signal)
  return told.then(({ result }) => result)
}

function reportedBy(connection: Connection, force: boolean): Promise<Told> {
  let asked = force ? undefined : QUERIED.get(connection)
  if (asked === undefined) {
    asked = ask(connection)
    QUERIED.set(connection, asked)
    // One that failed is asked again.
    asked.catch(() => {
      if (QUERIED.get(connection) === asked) QUERIED.delete(connection)
    })
  }
  return asked
}

/** Our own message but for what differs by peer, in parts, and when it was made. */
interface Offer {
  readonly parts: readonly Uint8Array[]
  readonly madeAt: number
}

/** Runs identify on every connection of a swarm, answers it, and pushes changes. */
export class IdentifyService implements Service {
  #swarm: Swarm | undefined
  #stopWatching: (() => void) | undefined
  #pushes = false
  #fresh: Connection[] = []

  // Our message but for what differs by peer, for each reach, and when it was made.
  readonly #offers = new Map<Reach, Offer>()

  // When the loop has turned: streams of the application's go first, and a connection that is over by then is not
  // asked at all.
  readonly #connected = (event: CustomEvent<Connection>): void => {
    this.#fresh.push(event.detail)
    if (this.#fresh.length === 1) setImmediate(() => this.#askFresh())
  }

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(IDENTIFY_PROTOCOL, (stream, connection) => this.#tell(stream, connection), {
      maxInbound: STREAMS_MAX
    })
    swarm.handle(
      IDENTIFY_PUSH_PROTOCOL,
      (stream, connection) =>
        hear(stream, connection).catch((err: unknown) => {
          // Whatever a peer says, this handler has not failed.
          swarm.options.logger.debug(`a push of ${connection.remotePeer} was refused`, err)
        }),
      { maxInbound: STREAMS_MAX }
    )
    swarm.addEventListener('connected', this.#connected)
    this.#stopWatching = watchOffers(swarm, () => {
      this.#offers.clear()
      this.#pushSoon()
    })
  }

  stop(): void {
    const swarm = this.#swarm
    this.#swarm = undefined
    this.#stopWatching?.()
    this.#fresh = []
    swarm?.removeEventListener('connected', this.#connected)
    swarm?.unhandle([IDENTIFY_PROTOCOL, IDENTIFY_PUSH_PROTOCOL])
  }

  #askFresh(): void {
    const fresh = this.#fresh
    this.#fresh = []
    for (const connection of fresh) {
      if (connection.isClosed) continue
      reportedBy(connection, false).catch((err: unknown) => {
        this.#swarm?.options.logger.debug(`identify of ${connection.remotePeer} failed`, err)
      })
    }
  }

  /** The answering side. */
  async #tell(stream: Stream, connection: Connection): Promise<void> {
    stream.setWriteDeadline(deadline(connection))
    const remote = connectionFacade.coreOf(connection).remoteAddressText
    await stream.write(frameIdentify(this.#offer(connection.swarm, reachOf(remote)), remote))
    await stream.close()
  }

  /** A peer that can take it is told how things are. */
  async #push(connection: Connection): Promise<void> {
    const told = await QUERIED.get(connection)
    if (told?.protocols.includes(IDENTIFY_PUSH_PROTOCOL) !== true) return
    const stream = await connection.newStream(IDENTIFY_PUSH_PROTOCOL)
    try {
      await this.#tell(stream, connection)
    } catch (err) {
      await resetFor(err, stream)
      throw err
    }
  }

  #offer(swarm: Swarm, reach: Reach): readonly Uint8Array[] {
    const now = swarm.options.clock.now()
    const known = this.#offers.get(reach)
    if (known !== undefined && now < known.madeAt + OFFER_KEPT_MS) return known.parts
    const parts = splitIdentify({
      publicKey: swarm.identity.publicKeyBytes,
      listenAddrs: addressesFor(reach, swarm.getListenAddrs().map(String)),
      protocols: swarm.getProtocols(),
      protocolVersion: PROTOCOL_VERSION,
      agentVersion: agentVersion()
    })
    this.#offers.set(reach, { parts, madeAt: now })
    return parts
  }

  /** Tell everybody at the end of this turn: handlers come in groups. */
  #pushSoon(): void {
    if (this.#pushes) return
    this.#pushes = true
    setImmediate(() => {
      this.#pushes = false
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

async function ask(connection: Connection): Promise<Told> {
  const stream = await connection.newStream(IDENTIFY_PROTOCOL)
  return new Told(await listen(stream, connection))
}

/** A peer tells how things are; what it leaves out is as it was. */
async function hear(stream: Stream, connection: Connection): Promise<void> {
  const message = await listen(stream, connection)
  const before = await QUERIED.get(connection)?.catch(() => undefined)
  QUERIED.set(connection, Promise.resolve(new Told(message, before)))
}

/** What the peer says on `stream`. */
async function listen(stream: Stream, connection: Connection): Promise<IdentifyMessage> {
  stream.setReadDeadline(deadline(connection))
  try {
    const reader = new IdentifyReader()
    for await (const bytes of stream) reader.take(bytes)
    // Our own close of the connection ends the loop as well.
    if (stream.error !== undefined) throw stream.error
    const message = reader.end()
    const key = connectionFacade.coreOf(connection).remotePublicKeyBytes
    if (message.publicKey !== undefined && Buffer.compare(message.publicKey, key) !== 0) {
      // The handshake has told who it is. go leaves such a key aside too.
      const { logger } = connection.swarm.options
      logger.debug(`identify of ${connection.remotePeer} names another public key than its own`)
    }
    await stream.close()
    const { listenAddrs } = message
    if (listenAddrs !== undefined) {
      connection.swarm.addressBook.add(connectionFacade.coreOf(connection).peer, listenAddrs)
    }
    if (acceptsEarlyFin(message.agentVersion)) connectionFacade.coreOf(connection).allowEarlyFin()
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

/** `ferroswarm/<version>`, of the package that this file belongs to. */
export function agentVersion(): string {
  agent ??= `ferroswarm/${(require('../../package.json') as { version: string }).version}`
  return agent
}
