import type { InspectOptionsStylized, inspect } from 'node:util'
import type { DialStage, TransportName } from './constants.ts'

/**
 * Every error this package raises, and the one table of their stable codes.
 *
 * The numbers are the ones the native side answers with; `crates/node/src/error_code.rs` holds the same table.
 * The hundreds digit is the kind: who must act.
 */
export const ERROR_CODES = {
  ERR_INVALID_PARAMETERS: 100,
  ERR_STATE: 101,
  ERR_STREAM_STATE: 102,
  ERR_STALE_HANDLE: 103,
  ERR_BUFFER_TOO_SMALL: 104,
  ERR_STREAM_CLOSED: 200,
  ERR_STREAM_EOF: 201,
  ERR_CONNECTION_CLOSED: 202,
  ERR_MUXER_CLOSED: 203,
  ERR_ABORTED: 204,
  ERR_NODE_CLOSED: 205,
  ERR_STREAM_RESET: 300,
  ERR_MULTISELECT: 301,
  ERR_UNSUPPORTED_PROTOCOL: 302,
  ERR_UNEXPECTED_PEER: 303,
  ERR_MESSAGE_TOO_LARGE: 304,
  ERR_DECRYPTION_FAILED: 305,
  ERR_INCOMPLETE_READ: 306,
  ERR_ENCRYPTION_FAILED: 307,
  ERR_MUXER_PROTOCOL: 308,
  ERR_INVALID_FRAMING: 309,
  ERR_SELF_DIAL: 310,
  ERR_DIAL: 400,
  ERR_DIAL_ALL_FAILED: 401,
  ERR_NO_REMOTE_ADDRS: 402,
  ERR_NO_CONNECTION: 403,
  ERR_LISTEN: 404,
  ERR_TIMEOUT: 405,
  ERR_CONNECTION_REFUSED: 406,
  ERR_UNREACHABLE: 407,
  ERR_CONNECTION_RESET: 408,
  ERR_IO: 409,
  ERR_NO_TRANSPORT: 410,
  ERR_ADDRESS_IN_USE: 411,
  ERR_ADDRESS_NOT_AVAILABLE: 412,
  ERR_UPGRADE: 413,
  ERR_CONNECTION_ENDED: 414,
  ERR_PERMISSION: 415,
  ERR_RESOURCE_LIMIT_EXCEEDED: 500,
  ERR_RESOURCE_SCOPE_CLOSED: 501,
  ERR_RATE_LIMIT: 502,
  ERR_LIMITED_CONNECTION: 503,
  ERR_STREAM_LIMIT: 504,
  ERR_CONNECTION_MEMORY: 505,
  ERR_INTERNAL: 900
} as const

/** The stable text of an error, for `err.code`. */
export type ErrorCode = keyof typeof ERROR_CODES

/** Who must act: the caller, nobody, the peer, the environment, the operator's limits, or us. */
export type ErrorKind = 'misuse' | 'closed' | 'remote' | 'environment' | 'limit' | 'bug'

const KINDS: Readonly<Record<number, ErrorKind>> = {
  1: 'misuse',
  2: 'closed',
  3: 'remote',
  4: 'environment',
  5: 'limit'
}

const NAMES: ReadonlyMap<number, ErrorCode> = new Map(
  // `Object.entries` forgets the type of keys.
  Object.entries(ERROR_CODES).map(([code, number]) => [number, code as ErrorCode])
)

/** The kind of a code. */
export function errorKind(code: ErrorCode): ErrorKind {
  return KINDS[Math.floor(ERROR_CODES[code] / 100)] ?? 'bug'
}

/** The code of a number from the native side; a number outside the table is `ERR_INTERNAL`. */
export function errorCode(number: number): ErrorCode {
  return NAMES.get(number) ?? 'ERR_INTERNAL'
}

// A name on the prototype stands in the stack's first line and survives minification.
function named(type: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(type.prototype, 'name', {
    value: name,
    configurable: true,
    writable: true
  })
}

// A symbol has a type of its own only where it is made: `as never`.
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** Errors that `inspect` is at. */
const beingShown = new WeakSet<Error>()

/** What is on an error beside its message, without what says nothing. */
function detailsOf(err: Libp2pError): Record<string, unknown> {
  const details = Object.entries(err).flatMap(([name, value]): [string, unknown][] => {
    if (value === undefined || value === '' || (name === 'bytesAccepted' && value === 0)) return []
    // The field of that name is the same on every error that has it.
    return [[name, name === 'attempts' ? (value as AddressAttempt[]).map(attemptText) : value]]
  })
  // Not enumerable, as the language has it.
  if (err.cause !== undefined) details.push(['cause', err.cause])
  return Object.fromEntries(details)
}

function attemptText({ address, stage, elapsed, cause, hint }: AddressAttempt): string {
  const why = hint === '' ? cause.message : `${cause.message} (${hint})`
  return `${address}: ${stage} after ${Math.round(elapsed)} ms, ${cause.code}: ${why}`
}

/** What every constructor takes beside its message: the cause, and a code finer than the class's own. */
export interface Libp2pErrorOptions {
  /** What brought this error about. */
  cause?: unknown
  /** A code other than the class's own. */
  code?: ErrorCode
}

/** The arguments of an error: its message and its options, either of which may be left out. */
export type ErrorArguments<Options extends Libp2pErrorOptions = Libp2pErrorOptions> =
  | [message?: string | undefined, options?: Options | undefined]
  | [options: Options]

/** The message and the options of an error, with a standard message in the place of one that was left out. */
function given<Options extends Libp2pErrorOptions>(
  args: ErrorArguments<Options>,
  standard: string
): readonly [message: string, options: Partial<Options>] {
  const [first, second] = args
  return typeof first === 'object' ? [standard, first] : [first ?? standard, second ?? {}]
}

/** The root of every error of this package. */
export class Libp2pError extends Error {
  static {
    named(Libp2pError, 'Libp2pError')
  }

  /** Stable text for programs: `ERR_STREAM_RESET`. */
  readonly code: ErrorCode
  /** Who must act. */
  readonly kind: ErrorKind

  constructor(message: string, code: ErrorCode, options: Libp2pErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = options.code ?? code
    this.kind = errorKind(this.code)
  }

  /** @internal The stack, the details that say something, addresses one a line, and the cause. */
  [INSPECT](depth: number | null, options: InspectOptionsStylized, show: typeof inspect): string {
    const headline = `${this.name}: ${this.message}`
    if ((depth !== null && depth < 0) || beingShown.has(this)) return `[${headline}]`
    // Without it a chain of causes that comes back to this error would not end.
    beingShown.add(this)
    try {
      const details = detailsOf(this)
      const lines = 'attempts' in details ? { compact: false } : {}
      return `${this.stack || headline} ${show(details, { ...options, ...lines, depth })}`
    } finally {
      beingShown.delete(this)
    }
  }
}

/** The caller passed something outside the contract. Thrown synchronously where the call is. */
export class InvalidParametersError extends Libp2pError {
  static {
    named(InvalidParametersError, 'InvalidParametersError')
  }

  constructor(message = 'invalid parameters', options?: Libp2pErrorOptions) {
    super(message, 'ERR_INVALID_PARAMETERS', options)
  }
}

/** The call does not fit the swarm's life cycle: before `start`, or after `close`. */
export class StateError extends Libp2pError {
  static {
    named(StateError, 'StateError')
  }

  constructor(message = 'the swarm is not started', options?: Libp2pErrorOptions) {
    super(message, 'ERR_STATE', options)
  }
}

/** `setState` asked for a transition that the stream's table does not have. */
export class StreamStateError extends Libp2pError {
  static {
    named(StreamStateError, 'StreamStateError')
  }

  constructor(message = 'the stream cannot take this state', options?: Libp2pErrorOptions) {
    super(message, 'ERR_STREAM_STATE', options)
  }
}

/** The caller's `signal` was aborted. `bytesAccepted` tells how much of a write had gone through. */
export class AbortError extends Libp2pError {
  static {
    named(AbortError, 'AbortError')
  }

  /** Bytes of the aborted write that the peer will receive; 0 for anything but a write. */
  readonly bytesAccepted: number
  /** One entry an address that the aborted dial had tried or was trying; undefined for anything but a dial. */
  readonly attempts: readonly AddressAttempt[] | undefined

  constructor(
    ...args: ErrorArguments<
      Libp2pErrorOptions & { bytesAccepted?: number; attempts?: readonly AddressAttempt[] }
    >
  ) {
    const [message, options] = given(args, 'the operation was aborted')
    super(message, 'ERR_ABORTED', options)
    this.bytesAccepted = options.bytesAccepted ?? 0
    this.attempts = options.attempts
  }
}

/**
 * A clock that ends a connection: no answer to a keepalive ping, no bytes taken of those that wait, or no more of a
 * frame that has begun. See `limits.keepaliveTimeoutMs` and `limits.writeStallTimeoutMs`.
 */
export type ConnectionClock = 'keepalive' | 'writeStall' | 'frame'

/** A deadline or a timeout passed. `bytesAccepted` as in {@link AbortError}. */
export class TimeoutError extends Libp2pError {
  static {
    named(TimeoutError, 'TimeoutError')
  }

  /** Bytes of the timed-out write that the peer will receive; 0 for anything but a write. */
  readonly bytesAccepted: number
  /** Which clock ended a connection; undefined for anything but the `closeReason` of one. */
  readonly clock: ConnectionClock | undefined
  /** One entry an address that the timed-out dial had tried or was trying; undefined for anything but a dial. */
  readonly attempts: readonly AddressAttempt[] | undefined

  constructor(
    ...args: ErrorArguments<
      Libp2pErrorOptions & {
        bytesAccepted?: number
        clock?: ConnectionClock
        attempts?: readonly AddressAttempt[]
      }
    >
  ) {
    const [message, options] = given(args, 'the operation timed out')
    super(message, 'ERR_TIMEOUT', options)
    this.bytesAccepted = options.bytesAccepted ?? 0
    this.clock = options.clock
    this.attempts = options.attempts
  }
}

/** Something failed while bytes were read or written. */
export class IOError extends Libp2pError {
  static {
    named(IOError, 'IOError')
  }

  constructor(message: string, options?: Libp2pErrorOptions, code: ErrorCode = 'ERR_IO') {
    super(message, code, options)
  }
}

/** A stream failed; on a stream in state ERROR `cause` is `stream.error`. */
export class StreamError extends IOError {
  static {
    named(StreamError, 'StreamError')
  }
}

/** The remote ended the stream and everything it wrote has been read. */
export class StreamEOFError extends StreamError {
  static {
    named(StreamEOFError, 'StreamEOFError')
  }

  constructor(message = 'end of stream', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_STREAM_EOF')
  }
}

/** The stream was reset, by us, by the remote, or by the loss of its connection. */
export class StreamResetError extends StreamError {
  static {
    named(StreamResetError, 'StreamResetError')
  }

  /** The code on the wire; see `StreamErrorCode`. */
  readonly errorCode: number
  /** Whether the remote did it. */
  readonly remote: boolean

  constructor(
    ...args: ErrorArguments<Libp2pErrorOptions & { errorCode?: number; remote?: boolean }>
  ) {
    const [message, options] = given(args, 'stream reset')
    super(message, options, 'ERR_STREAM_RESET')
    this.errorCode = options.errorCode ?? 0
    this.remote = options.remote ?? false
  }
}

/** This half of the stream was closed by our own side. `bytesAccepted` as in {@link AbortError}. */
export class StreamClosedError extends StreamError {
  static {
    named(StreamClosedError, 'StreamClosedError')
  }

  /** Bytes of the interrupted write that the peer will receive; 0 for anything but a write. */
  readonly bytesAccepted: number

  constructor(...args: ErrorArguments<Libp2pErrorOptions & { bytesAccepted?: number }>) {
    const [message, options] = given(args, 'the stream is closed')
    super(message, options, 'ERR_STREAM_CLOSED')
    this.bytesAccepted = options.bytesAccepted ?? 0
  }
}

/** The connection has ended. */
export class ConnectionClosedError extends IOError {
  static {
    named(ConnectionClosedError, 'ConnectionClosedError')
  }

  /** The code on the wire, where the transport or the muxer carries one. */
  readonly closeCode: number | undefined
  /** What the peer or the operating system said. */
  readonly closeReason: string
  /** `tcp`, `quic`, ...; empty when unknown. */
  readonly transport: string

  constructor(
    ...args: ErrorArguments<
      Libp2pErrorOptions & {
        closeCode?: number
        closeReason?: string
        transport?: string
      }
    >
  ) {
    const [message, options] = given(args, 'the connection is closed')
    super(message, options, 'ERR_CONNECTION_CLOSED')
    this.closeCode = options.closeCode
    this.closeReason = options.closeReason ?? ''
    this.transport = options.transport ?? ''
  }
}

/** The muxer has ended, so no stream can be opened. */
export class MuxerClosedError extends Libp2pError {
  static {
    named(MuxerClosedError, 'MuxerClosedError')
  }

  constructor(message = 'the muxer is closed', options?: Libp2pErrorOptions) {
    super(message, 'ERR_MUXER_CLOSED', options)
  }
}

/** Fewer bytes than asked for arrived before the end. */
export class IncompleteReadError extends IOError {
  static {
    named(IncompleteReadError, 'IncompleteReadError')
  }

  /** Bytes asked for. */
  readonly expectedBytes: number
  /** Bytes that came. */
  readonly receivedBytes: number
  /** True when not a single byte came: the end lay on a boundary. False for an end that may be a cut. */
  readonly isCleanClose: boolean
  /** `tcp`, `quic`, ...; empty when unknown. */
  readonly transport: string
  /** Milliseconds the connection had lasted, where known. */
  readonly ageMs: number | undefined
  /** What to look at first, in one clause; empty when there is nothing to say. */
  readonly likelyCause: string

  constructor(
    ...args: ErrorArguments<
      Libp2pErrorOptions & {
        expectedBytes?: number
        receivedBytes?: number
        isCleanClose?: boolean
        transport?: string
        ageMs?: number
        likelyCause?: string
      }
    >
  ) {
    const [message, options] = given(args, 'the stream ended early')
    super(message, options, 'ERR_INCOMPLETE_READ')
    this.expectedBytes = options.expectedBytes ?? 0
    this.receivedBytes = options.receivedBytes ?? 0
    this.isCleanClose = options.isCleanClose ?? this.receivedBytes === 0
    this.transport = options.transport ?? ''
    this.ageMs = options.ageMs
    this.likelyCause = options.likelyCause ?? ''
  }
}

/** A length-prefixed message could not be read or written. */
export class MsgioError extends IOError {
  static {
    named(MsgioError, 'MsgioError')
  }

  constructor(
    message = 'invalid framing',
    options?: Libp2pErrorOptions,
    code: ErrorCode = 'ERR_INVALID_FRAMING'
  ) {
    super(message, options, code)
  }
}

/** The stream ended before or inside a length prefix. */
export class MissingLengthError extends MsgioError {
  static {
    named(MissingLengthError, 'MissingLengthError')
  }

  constructor(...args: ErrorArguments) {
    const [message, options] = given(args, 'the stream ended before a length')
    super(message, options, 'ERR_INCOMPLETE_READ')
  }
}

/** The stream ended inside a message. */
export class MissingMessageError extends MsgioError {
  static {
    named(MissingMessageError, 'MissingMessageError')
  }

  constructor(message = 'the stream ended inside a message', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_INCOMPLETE_READ')
  }
}

/** A message exceeds its limit. Raised before its body is read or written. */
export class MessageTooLargeError extends MsgioError {
  static {
    named(MessageTooLargeError, 'MessageTooLargeError')
  }

  constructor(message = 'the message exceeds its limit', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_MESSAGE_TOO_LARGE')
  }
}

/** Ciphertext did not authenticate. */
export class DecryptionFailedError extends MsgioError {
  static {
    named(DecryptionFailedError, 'DecryptionFailedError')
  }

  constructor(message = 'decryption failed', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_DECRYPTION_FAILED')
  }
}

/** Protocol negotiation failed. */
export class MultiselectError extends Libp2pError {
  static {
    named(MultiselectError, 'MultiselectError')
  }

  constructor(
    message = 'protocol negotiation failed',
    options?: Libp2pErrorOptions,
    code: ErrorCode = 'ERR_MULTISELECT'
  ) {
    super(message, code, options)
  }
}

/** The proposing side's negotiation failed. */
export class MultiselectClientError extends MultiselectError {
  static {
    named(MultiselectClientError, 'MultiselectClientError')
  }
}

/** A negotiation line could not be read or written. */
export class MultiselectCommunicatorError extends MultiselectError {
  static {
    named(MultiselectCommunicatorError, 'MultiselectCommunicatorError')
  }
}

/** The remote speaks none of the proposed protocols. */
export class UnsupportedProtocolError extends MultiselectClientError {
  static {
    named(UnsupportedProtocolError, 'UnsupportedProtocolError')
  }

  /** What was proposed, in order. */
  readonly protocols: readonly string[]

  constructor(
    message = 'the remote speaks none of the protocols',
    options: Libp2pErrorOptions & { protocols?: readonly string[] } = {}
  ) {
    super(message, options, 'ERR_UNSUPPORTED_PROTOCOL')
    this.protocols = options.protocols ?? []
  }
}

/** The peer at the other end is not the one that was dialled. */
export class UnexpectedPeerError extends Libp2pError {
  static {
    named(UnexpectedPeerError, 'UnexpectedPeerError')
  }

  constructor(message = 'another peer answered', options?: Libp2pErrorOptions) {
    super(message, 'ERR_UNEXPECTED_PEER', options)
  }
}

/** The security handshake failed. */
export class EncryptionFailedError extends Libp2pError {
  static {
    named(EncryptionFailedError, 'EncryptionFailedError')
  }

  constructor(message = 'the security handshake failed', options?: Libp2pErrorOptions) {
    super(message, 'ERR_ENCRYPTION_FAILED', options)
  }
}

/** The root of what goes wrong between a swarm and its network. */
export class SwarmError extends Libp2pError {
  static {
    named(SwarmError, 'SwarmError')
  }
}

/** One dial of one address, or the call as a whole, failed. */
export class DialError extends SwarmError {
  static {
    named(DialError, 'DialError')
  }

  constructor(
    message = 'the dial failed',
    options?: Libp2pErrorOptions,
    code: ErrorCode = 'ERR_DIAL'
  ) {
    super(message, code, options)
  }
}

/** The dialled peer is ourselves. */
export class SelfDialError extends DialError {
  static {
    named(SelfDialError, 'SelfDialError')
  }

  constructor(message = 'a swarm cannot dial itself', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_SELF_DIAL')
  }
}

/** What happened at one address of a dial or of a listen. */
export interface AddressAttempt {
  /** The address, as text. */
  readonly address: string
  /** The name it was resolved from, if any. */
  readonly resolvedFrom: string | undefined
  /** Empty when the address names none that is known. */
  readonly transport: TransportName | ''
  /** The stage at which it failed or was given up. */
  readonly stage: DialStage | 'listen'
  /** Milliseconds from the start of this attempt to its end, or until it was given up. */
  readonly elapsed: number
  /** Why it failed, or what it was doing. */
  readonly cause: Libp2pError
  /** What to look at, in one clause; empty when there is nothing to say. */
  readonly hint: string
}

/** Every address of a peer failed. */
export class DialAllFailedError extends DialError {
  static {
    named(DialAllFailedError, 'DialAllFailedError')
  }

  /** The peer, as text; undefined where only an address was known. */
  readonly peerId: string | undefined
  /** One entry an address tried, in the order of their ends. */
  readonly attempts: readonly AddressAttempt[]

  constructor(
    message = 'every address failed',
    options: Libp2pErrorOptions & {
      peerId?: string | undefined
      attempts?: readonly AddressAttempt[]
    } = {}
  ) {
    super(message, options, 'ERR_DIAL_ALL_FAILED')
    this.peerId = options.peerId
    this.attempts = options.attempts ?? []
  }

  /** How many addresses were tried. */
  get numAddrsTried(): number {
    return this.attempts.length
  }
}

/** No address of the peer is known. */
export class NoRemoteAddrsError extends DialError {
  static {
    named(NoRemoteAddrsError, 'NoRemoteAddrsError')
  }

  constructor(message = 'no address of the peer is known', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_NO_REMOTE_ADDRS')
  }
}

/** There is no connection to the peer, and dialling was ruled out. */
export class NoConnectionError extends SwarmError {
  static {
    named(NoConnectionError, 'NoConnectionError')
  }

  constructor(message = 'no connection to the peer', options?: Libp2pErrorOptions) {
    super(message, 'ERR_NO_CONNECTION', options)
  }
}

/** None of the addresses could be listened on. */
export class ListenError extends SwarmError {
  static {
    named(ListenError, 'ListenError')
  }

  /** One entry an address. */
  readonly attempts: readonly AddressAttempt[]

  constructor(
    message = 'listening failed',
    options: Libp2pErrorOptions & { attempts?: readonly AddressAttempt[] } = {}
  ) {
    super(message, 'ERR_LISTEN', options)
    this.attempts = options.attempts ?? []
  }
}

/** A stage of an upgrade: the private network, the security handshake, the agreement on a muxer. */
export type UpgradeStage = 'psk' | 'security' | 'muxer'

/** A raw connection could not be made into a secured and multiplexed one. */
export class UpgradeError extends SwarmError {
  static {
    named(UpgradeError, 'UpgradeError')
  }

  /** The stage that failed; empty when unknown. */
  readonly stage: UpgradeStage | ''

  constructor(
    message = 'the connection could not be upgraded',
    options: Libp2pErrorOptions & { stage?: UpgradeStage } = {}
  ) {
    super(message, 'ERR_UPGRADE', options)
    this.stage = options.stage ?? ''
  }
}

/** What a limit error tells about the limit. */
export interface ResourceLimitDetails {
  /** `connection`, `node`, `system`, ... */
  scope?: string
  /** `streams`, `memory`, ... */
  resource?: string
  /** The bound. */
  limit?: number | undefined
  /** The use at the refusal. */
  current?: number | undefined
}

/** A configured bound said no; trying later may work. */
export class ResourceLimitExceededError extends SwarmError {
  static {
    named(ResourceLimitExceededError, 'ResourceLimitExceededError')
  }

  /** Always true: the bound may free up. */
  readonly temporary = true
  /** `connection`, `node`, `system`, ...; empty when unknown. */
  readonly scope: string
  /** `streams`, `memory`, ...; empty when unknown. */
  readonly resource: string
  /** The bound, where known. */
  readonly limit: number | undefined
  /** The use at the refusal, where known. */
  readonly current: number | undefined

  constructor(
    message = 'a resource limit is reached',
    options: Libp2pErrorOptions & ResourceLimitDetails = {},
    code: ErrorCode = 'ERR_RESOURCE_LIMIT_EXCEEDED'
  ) {
    super(message, code, options)
    this.scope = options.scope ?? ''
    this.resource = options.resource ?? ''
    this.limit = options.limit
    this.current = options.current
  }
}

/** The resource scope was already done. */
export class ResourceScopeClosedError extends SwarmError {
  static {
    named(ResourceScopeClosedError, 'ResourceScopeClosedError')
  }

  constructor(message = 'the resource scope is closed', options?: Libp2pErrorOptions) {
    super(message, 'ERR_RESOURCE_SCOPE_CLOSED', options)
  }
}

/** A rate limit said no. */
export class RateLimitError extends ResourceLimitExceededError {
  static {
    named(RateLimitError, 'RateLimitError')
  }

  /** Points used in the window. */
  readonly consumedPoints: number
  /** Points left in the window. */
  readonly remainingPoints: number

  constructor(
    message = 'the rate limit is reached',
    options: Libp2pErrorOptions &
      ResourceLimitDetails & { consumedPoints?: number; remainingPoints?: number } = {}
  ) {
    super(message, options, 'ERR_RATE_LIMIT')
    this.consumedPoints = options.consumedPoints ?? 0
    this.remainingPoints = options.remainingPoints ?? 0
  }
}

/** The only connection is a limited one, and the call did not allow that. */
export class LimitedConnectionError extends SwarmError {
  static {
    named(LimitedConnectionError, 'LimitedConnectionError')
  }

  constructor(message = 'the connection is limited', options?: Libp2pErrorOptions) {
    super(message, 'ERR_LIMITED_CONNECTION', options)
  }
}

/** An invariant of this package broke. Please report it. */
export class InternalError extends Libp2pError {
  static {
    named(InternalError, 'InternalError')
  }

  constructor(
    message = 'an internal invariant broke, please report this',
    options?: Libp2pErrorOptions
  ) {
    super(message, 'ERR_INTERNAL', options)
  }
}
