/**
 * `/ipfs/id/1.0.0` and `/ipfs/id/push/1.0.0`: peers tell each other who they are, where they listen, what they speak.
 *
 * Every new connection is identified by itself; {@link identify} gives the answer. When our own protocols or
 * addresses change, connected peers that take pushes are told.
 */
import { readFileSync } from 'node:fs'
import type { Multiaddr } from '@multiformats/multiaddr'
import { Connection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { AbortError, MsgioError } from '../errors.ts'
import { parseAddress } from '../identity/address.ts'
import type { Service } from '../services.ts'
import type { AbortOptions } from '../stream/read-queue.ts'
import type { Stream } from '../stream.ts'
import { Swarm } from '../swarm.ts'
import type { IdentifyMessage } from './identify-message.ts'
import { addressesFor } from './own-addresses.ts'

/** The protocol that asks. */
export const IDENTIFY_PROTOCOL = '/ipfs/id/1.0.0'

/** The protocol that tells unasked. */
export const IDENTIFY_PUSH_PROTOCOL = '/ipfs/id/push/1.0.0'

/** What `protocolVersion` says in every implementation that talks to others. */
export const PROTOCOL_VERSION = 'ipfs/0.1.0'

/** Milliseconds for one identification or push; go's figure. */
const TIMEOUT_MS = 5_000

/** Messages merged at most, as go has it. */
const MESSAGES_MAX = 10

/** Inbound streams of one connection; a peer needs one at a time. */
const STREAMS_MAX = 4

/** Pushes under way at a time. */
const PUSHES_MAX = 32

/** What a peer told of itself. */
export interface IdentifyResult {
  /** Name and version of its software; peers may send anything. */
  readonly agentVersion: string | undefined
  readonly protocolVersion: string | undefined
  /** What it answers to. */
  readonly protocols: readonly string[]
  /** Where it says that it listens. */
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

type MessageModule = typeof import('./identify-message.ts')

let messageModule: Promise<MessageModule> | undefined

// Loaded with the first message: a node that never connects does without. Kept, as a second `import()` costs a
// connection more than the message does.
function loadMessages(): Promise<MessageModule> {
  messageModule ??= import('./identify-message.ts')
  return messageModule
}

const ASKED = new WeakMap<Connection, Promise<IdentifyResult>>()

/**
 * What the peer told, pushes included; asks it if nobody has.
 *
 * Rejects with `TimeoutError` after 5 s, `MsgioError` for a message that breaks the protocol's bounds or names another
 * key than the connection's, `AbortError`, and what the stream's calls reject with.
 */
export function identify(
  connection: Connection,
  options: IdentifyOptions = {}
): Promise<IdentifyResult> {
  let asked = options.force === true ? undefined : ASKED.get(connection)
  if (asked === undefined) {
    asked = ask(connection)
    ASKED.set(connection, asked)
    // One that failed is asked again.
    asked.catch(() => {
      if (ASKED.get(connection) === asked) ASKED.delete(connection)
    })
  }
  return abortable(asked, options.signal)
}

/** Runs identify on every connection of a swarm, answers it, and pushes changes. */
export class IdentifyService implements Service {
  #swarm: Swarm | undefined
  #stopWatching: (() => void) | undefined
  #pushes = false
  #fresh: Connection[] = []

  // When the loop has turned: streams of the application's go first, and a connection that is over by then is not
  // asked at all.
  readonly #connected = (event: CustomEvent<Connection>): void => {
    this.#fresh.push(event.detail)
    if (this.#fresh.length === 1) setImmediate(() => this.#askFresh())
  }

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(IDENTIFY_PROTOCOL, (stream, connection) => tell(stream, connection), {
      maxInbound: STREAMS_MAX
    })
    swarm.handle(IDENTIFY_PUSH_PROTOCOL, (stream, connection) => hear(stream, connection), {
      maxInbound: STREAMS_MAX
    })
    swarm.addEventListener('connected', this.#connected)
    this.#stopWatching = Swarm.watchOffers(swarm, () => this.#pushSoon())
  }

  stop(): void {
    const swarm = this.#swarm
    this.#swarm = undefined
    this.#stopWatching?.()
    swarm?.removeEventListener('connected', this.#connected)
    swarm?.unhandle([IDENTIFY_PROTOCOL, IDENTIFY_PUSH_PROTOCOL])
  }

  #askFresh(): void {
    const fresh = this.#fresh
    this.#fresh = []
    for (const connection of fresh) {
      if (connection.isClosed) continue
      identify(connection).catch((err: unknown) => {
        this.#swarm?.options.logger.debug(`identify of ${connection.remotePeer} failed`, err)
      })
    }
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
          await push(next)
        } catch (err) {
          swarm.options.logger.debug(`the push to ${next.remotePeer} failed`, err)
        }
      }
    }
    await Promise.all(Array.from({ length: PUSHES_MAX }, worker))
  }
}

async function ask(connection: Connection): Promise<IdentifyResult> {
  const stream = await connection.newStream(IDENTIFY_PROTOCOL)
  stream.setDeadline(connection.swarm.options.clock.now() + TIMEOUT_MS)
  const message = await orReset(stream, async () => {
    const message = await read(stream, connection, {})
    await stream.close()
    return message
  })
  return learned(connection, message)
}

/** The answering side. */
async function tell(stream: Stream, connection: Connection): Promise<void> {
  stream.setDeadline(connection.swarm.options.clock.now() + TIMEOUT_MS)
  const { encodeIdentify, IDENTIFY_MESSAGE_BYTES_MAX } = await loadMessages()
  const messages = stream.messages({ maxMessageBytes: IDENTIFY_MESSAGE_BYTES_MAX })
  await messages.writeMsg(encodeIdentify(ownMessage(connection)))
  await stream.close()
}

/** A peer that can take it is told how things are. */
async function push(connection: Connection): Promise<void> {
  const known = await ASKED.get(connection)
  if (known === undefined || !known.protocols.includes(IDENTIFY_PUSH_PROTOCOL)) return
  const stream = await connection.newStream(IDENTIFY_PUSH_PROTOCOL)
  await orReset(stream, () => tell(stream, connection))
}

/** A peer tells how things are; what it leaves out is as it was. */
async function hear(stream: Stream, connection: Connection): Promise<void> {
  stream.setDeadline(connection.swarm.options.clock.now() + TIMEOUT_MS)
  const message = await read(stream, connection, {})
  await stream.close()
  const before = await ASKED.get(connection)?.catch(() => undefined)
  const heard = learned(connection, { ...before, ...message } as IdentifyMessage)
  ASKED.set(connection, Promise.resolve(heard))
}

async function read(
  stream: Stream,
  connection: Connection,
  into: IdentifyMessage
): Promise<IdentifyMessage> {
  const { IDENTIFY_MESSAGE_BYTES_MAX, mergeIdentify } = await loadMessages()
  let count = 0
  for await (const bytes of stream.messages({ maxMessageBytes: IDENTIFY_MESSAGE_BYTES_MAX })) {
    count += 1
    if (count > MESSAGES_MAX)
      throw new MsgioError(`identify took more than ${MESSAGES_MAX} messages`)
    mergeIdentify(into, bytes)
  }
  if (count === 0) throw new MsgioError('the peer said nothing to identify')
  const key = Connection.core(connection).remotePublicKeyBytes
  if (into.publicKey !== undefined && Buffer.compare(into.publicKey, key) !== 0) {
    throw new MsgioError("identify names another public key than the connection's")
  }
  return into
}

function learned(connection: Connection, message: IdentifyMessage): IdentifyResult {
  const { listenAddrs = [], protocols = [] } = message
  connection.swarm.addressBook.add(connection.remotePeer, listenAddrs)
  return Object.freeze({
    agentVersion: message.agentVersion,
    protocolVersion: message.protocolVersion,
    protocols: Object.freeze(protocols),
    listenAddrs: Object.freeze(listenAddrs),
    observedAddr: message.observedAddr,
    signedPeerRecord: message.signedPeerRecord
  })
}

function ownMessage(connection: Connection): IdentifyMessage {
  const { swarm } = connection
  const { remoteAddressText } = Connection.core(connection)
  return {
    publicKey: swarm.identity.publicKeyBytes,
    listenAddrs: addressesFor(remoteAddressText, swarm.getListenAddrs()),
    protocols: swarm.getProtocols(),
    // Not `connection.remoteAddr`, which would stay with every idle connection.
    observedAddr: parseAddress(remoteAddressText),
    protocolVersion: PROTOCOL_VERSION,
    agentVersion: agentVersion()
  }
}

let agent: string | undefined

/** `ferroswarm/<version>`, of the package that this file belongs to. */
export function agentVersion(): string {
  if (agent === undefined) {
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    agent = `ferroswarm/${(JSON.parse(manifest) as { version: string }).version}`
  }
  return agent
}

async function orReset<T>(stream: Stream, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (err) {
    await stream.reset(err instanceof MsgioError ? StreamErrorCode.ProtocolViolation : 0)
    throw err
  }
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new AbortError(undefined, { cause: signal.reason }))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
