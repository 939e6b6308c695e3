import type { InspectOptionsStylized, inspect } from 'node:util'
import type { DialStage, TransportName } from './constants.ts'
import { attemptTable } from './text/attempt-table.ts'

/**
 * Stable codes of all errors of this package.
 *
 * The native side returns the same numbers; `crates/node/src/error_code.rs` holds the same table. The hundreds digit
 * is the kind: who must act.
 *
 * @enum
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
  ERR_INVALID_RECORD: 311,
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
  ERR_DIAL_BACK_OFF: 416,
  ERR_RAW_CONNECTION: 417,
  ERR_DNS_FAILURE: 420,
  ERR_DNS_NOT_FOUND: 421,
  ERR_DNS_NO_RECORDS: 422,
  ERR_DNS_TIMEOUT: 423,
  ERR_DNS_BAD_NAME: 424,
  ERR_BLACK_HOLE: 425,
  ERR_PEERSTORE: 426,
  ERR_PEERSTORE_LOCKED: 427,
  ERR_PEERSTORE_CORRUPT: 428,
  ERR_RESOURCE_LIMIT_EXCEEDED: 500,
  ERR_RESOURCE_SCOPE_CLOSED: 501,
  ERR_RATE_LIMIT: 502,
  ERR_LIMITED_CONNECTION: 503,
  ERR_STREAM_LIMIT: 504,
  ERR_CONNECTION_MEMORY: 505,
  ERR_DIAL_QUEUE_FULL: 506,
  ERR_DIAL_DENIED: 507,
  ERR_PEERSTORE_LIMIT: 508,
  ERR_INTERNAL: 900
} as const

/** A stable error code, as in `err.code`. */
export type ErrorCode = keyof typeof ERROR_CODES

/**
 * The party that must act: the caller (`misuse`), nobody (`closed`), the peer (`remote`), the network or system
 * (`environment`), the operator (`limit`), or the maintainers (`bug`).
 */
export type ErrorKind = 'misuse' | 'closed' | 'remote' | 'environment' | 'limit' | 'bug'

const KINDS: Readonly<Record<number, ErrorKind>> = {
  1: 'misuse',
  2: 'closed',
  3: 'remote',
  4: 'environment',
  5: 'limit'
}

const NAMES: ReadonlyMap<number, ErrorCode> = new Map(
  // `Object.entries` widens keys to `string`.
  Object.entries(ERROR_CODES).map(([code, number]) => [number, code as ErrorCode])
)

/** Returns the kind of a code. */
export function errorKind(code: ErrorCode): ErrorKind {
  return KINDS[Math.floor(ERROR_CODES[code] / 100)] ?? 'bug'
}

/** Returns the code of a number from the native side; `ERR_INTERNAL` for a number outside the table. */
export function errorCode(number: number): ErrorCode {
  return NAMES.get(number) ?? 'ERR_INTERNAL'
}

// A name on the prototype appears in the first line of the stack and survives minification.
function named(type: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(type.prototype, 'name', {
    value: name,
    configurable: true,
    writable: true
  })
}

// A `unique symbol` type is inferred only for a direct `Symbol()` or `Symbol.for()` call: hence `as never`.
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** Errors being formatted by `inspect`, to detect cyclic causes. */
const inspecting = new WeakSet<Error>()

/** Returns the properties of an error beside its message, without undefined, empty and zero ones. */
function detailsOf(err: Libp2pError): Record<string, unknown> {
  const details = Object.entries(err).flatMap(([name, value]): [string, unknown][] => {
    const isUnset = value === undefined || value === '' || (name === 'bytesAccepted' && value === 0)
    // They are shown as a table.
    if (isUnset || name === 'attempts') return []
    if (name !== 'errors') return [[name, value]]
    // It has this type on every error that has it.
    const reasons = (value as DnsError[]).map(({ code, message }) => `${code}: ${message}`)
    return reasons.length === 0 ? [] : [[name, reasons]]
  })
  // Not enumerable, as ECMAScript specifies.
  if (err.cause !== undefined) details.push(['cause', err.cause])
  return Object.fromEntries(details)
}

/** Returns the attempts of an error as an indented table; empty if it has none. */
function attemptLines(err: Libp2pError): string {
  const { attempts = [] } = err as { attempts?: readonly AddressAttempt[] | undefined }
  if (attempts.length === 0) return ''
  return attemptTable(attempts)
    .map((line) => `\n  ${line}`)
    .join('')
}

/** Options of every error constructor. */
export interface Libp2pErrorOptions {
  /** The underlying error. */
  cause?: unknown
  /** A more specific code than that of the class. */
  code?: ErrorCode
}

/** Arguments of an error constructor: message and options, both optional. */
export type ErrorArguments<Options extends Libp2pErrorOptions = Libp2pErrorOptions> =
  | [message?: string | undefined, options?: Options | undefined]
  | [options: Options]

/** Returns the message and options of an error. The message defaults to `standard`. */
function messageAndOptions<Options extends Libp2pErrorOptions>(
  args: ErrorArguments<Options>,
  standard: string
): readonly [message: string, options: Partial<Options>] {
  const [first, second] = args
  return typeof first === 'object' ? [standard, first] : [first ?? standard, second ?? {}]
}

/** The base class of all errors of this package. */
export class Libp2pError extends Error {
  static {
    named(Libp2pError, 'Libp2pError')
  }

  /** The stable code, such as `ERR_STREAM_RESET`. */
  readonly code: ErrorCode
  /** The party that must act. */
  readonly kind: ErrorKind

  constructor(message: string, code: ErrorCode, options: Libp2pErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = options.code ?? code
    this.kind = errorKind(this.code)
  }

  /** @internal The stack, a table of the attempts, the details that are set, and the cause. */
  [INSPECT](depth: number | null, options: InspectOptionsStylized, show: typeof inspect): string {
    const headline = `${this.name}: ${this.message}`
    if ((depth !== null && depth < 0) || inspecting.has(this)) return `[${headline}]`
    // A cyclic chain of causes would recurse forever.
    inspecting.add(this)
    try {
      const table = attemptLines(this)
      const details = show(detailsOf(this), { ...options, depth })
      return `${this.stack || headline}${table}${table === '' ? ' ' : '\n'}${details}`
    } finally {
      inspecting.delete(this)
    }
  }
}

/** An argument or option is invalid. Thrown synchronously by the call, before it has any effect. */
export class InvalidParametersError extends Libp2pError {
  static {
    named(InvalidParametersError, 'InvalidParametersError')
  }

  constructor(message = 'invalid parameters', options?: Libp2pErrorOptions) {
    super(message, 'ERR_INVALID_PARAMETERS', options)
  }
}

/** The call is not possible in this state of the swarm: before `start`, or after `close`. */
export class StateError extends Libp2pError {
  static {
    named(StateError, 'StateError')
  }

  constructor(message = 'the swarm is not started', options?: Libp2pErrorOptions) {
    super(message, 'ERR_STATE', options)
  }
}

/** `setState` was called with a state that the stream cannot move to. */
export class StreamStateError extends Libp2pError {
  static {
    named(StreamStateError, 'StreamStateError')
  }

  constructor(message = 'the stream cannot move to this state', options?: Libp2pErrorOptions) {
    super(message, 'ERR_STREAM_STATE', options)
  }
}

/** The caller's `signal` was aborted. `bytesAccepted` is the part of a write that was accepted. */
export class AbortError extends Libp2pError {
  static {
    named(AbortError, 'AbortError')
  }

  /** Bytes of the aborted write that the peer will receive; 0 for other calls. */
  readonly bytesAccepted: number
  /** One entry for each address that the aborted dial had tried or was trying; undefined for other calls. */
  readonly attempts: readonly AddressAttempt[] | undefined

  constructor(
    ...args: ErrorArguments<
      Libp2pErrorOptions & { bytesAccepted?: number; attempts?: readonly AddressAttempt[] }
    >
  ) {
    const [message, options] = messageAndOptions(args, 'the operation was aborted')
    super(message, 'ERR_ABORTED', options)
    this.bytesAccepted = options.bytesAccepted ?? 0
    this.attempts = options.attempts
  }
}

/**
 * A timeout that ends a connection: no answer to a keepalive ping, no progress of unsent bytes, or no further bytes of
 * a partially received frame. See `limits.keepaliveTimeoutMs` and `limits.writeStallTimeoutMs`.
 */
export type ConnectionClock = 'keepalive' | 'writeStall' | 'frame'

/** A deadline or a timeout expired. */
export class TimeoutError extends Libp2pError {
  static {
    named(TimeoutError, 'TimeoutError')
  }

  /** Bytes of the timed-out write that the peer will receive; 0 for other calls. */
  readonly bytesAccepted: number
  /** The timeout that ended the connection; undefined except in a `closeReason`. */
  readonly clock: ConnectionClock | undefined
  /** One entry for each address that the timed-out dial had tried or was trying; undefined for other calls. */
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
    const [message, options] = messageAndOptions(args, 'the operation timed out')
    super(message, 'ERR_TIMEOUT', options)
    this.bytesAccepted = options.bytesAccepted ?? 0
    this.clock = options.clock
    this.attempts = options.attempts
  }
}

/** Reading or writing bytes failed. */
export class IOError extends Libp2pError {
  static {
    named(IOError, 'IOError')
  }

  constructor(message: string, options?: Libp2pErrorOptions, code: ErrorCode = 'ERR_IO') {
    super(message, code, options)
  }
}

/** A stream failed; for a stream in state ERROR, `cause` is `stream.error`. */
export class StreamError extends IOError {
  static {
    named(StreamError, 'StreamError')
  }
}

/** The remote closed its half of the stream and everything it wrote has been read. */
export class StreamEOFError extends StreamError {
  static {
    named(StreamEOFError, 'StreamEOFError')
  }

  constructor(message = 'end of stream', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_STREAM_EOF')
  }
}

/** The stream was reset: locally, by the remote, or by the loss of its connection. */
export class StreamResetError extends StreamError {
  static {
    named(StreamResetError, 'StreamResetError')
  }

  /** The code on the wire; see `StreamErrorCode`. */
  readonly errorCode: number
  /** Whether the remote reset it. */
  readonly remote: boolean

  constructor(
    ...args: ErrorArguments<Libp2pErrorOptions & { errorCode?: number; remote?: boolean }>
  ) {
    const [message, options] = messageAndOptions(args, 'stream reset')
    super(message, options, 'ERR_STREAM_RESET')
    this.errorCode = options.errorCode ?? 0
    this.remote = options.remote ?? false
  }
}

/** This half of the stream was closed locally. */
export class StreamClosedError extends StreamError {
  static {
    named(StreamClosedError, 'StreamClosedError')
  }

  /** Bytes of the interrupted write that the peer will receive; 0 for other calls. */
  readonly bytesAccepted: number

  constructor(...args: ErrorArguments<Libp2pErrorOptions & { bytesAccepted?: number }>) {
    const [message, options] = messageAndOptions(args, 'the stream is closed')
    super(message, options, 'ERR_STREAM_CLOSED')
    this.bytesAccepted = options.bytesAccepted ?? 0
  }
}

/** The connection has ended. */
export class ConnectionClosedError extends IOError {
  static {
    named(ConnectionClosedError, 'ConnectionClosedError')
  }

  /** The code on the wire, if the transport or the muxer carries one. */
  readonly closeCode: number | undefined
  /** The reason given by the peer or the operating system; empty when unknown. */
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
    const [message, options] = messageAndOptions(args, 'the connection is closed')
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

/** The stream ended before the requested number of bytes arrived. */
export class IncompleteReadError extends IOError {
  static {
    named(IncompleteReadError, 'IncompleteReadError')
  }

  /** Bytes requested. */
  readonly expectedBytes: number
  /** Bytes received. */
  readonly receivedBytes: number
  /** True if no byte arrived: the end was at a boundary. False for an end that may be a truncation. */
  readonly isCleanClose: boolean
  /** `tcp`, `quic`, ...; empty when unknown. */
  readonly transport: string
  /** Age of the connection in milliseconds, if known. */
  readonly ageMs: number | undefined
  /** The likely cause, in one clause; empty when unknown. */
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
    const [message, options] = messageAndOptions(args, 'the stream ended early')
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
    const [message, options] = messageAndOptions(args, 'the stream ended before a length')
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

/** Ciphertext failed authentication. */
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

/** Protocol negotiation failed on the proposing side. */
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

/** The remote supports none of the proposed protocols. */
export class UnsupportedProtocolError extends MultiselectClientError {
  static {
    named(UnsupportedProtocolError, 'UnsupportedProtocolError')
  }

  /** The proposed protocols, in order. */
  readonly protocols: readonly string[]

  constructor(
    message = 'the remote speaks none of the protocols',
    options: Libp2pErrorOptions & { protocols?: readonly string[] } = {}
  ) {
    super(message, options, 'ERR_UNSUPPORTED_PROTOCOL')
    this.protocols = options.protocols ?? []
  }
}

/** The remote peer is not the expected one. */
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

/** The base class of failures between a swarm and its network. */
export class SwarmError extends Libp2pError {
  static {
    named(SwarmError, 'SwarmError')
  }
}

/** The dial of one address, or the whole call, failed. */
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

/** The dialled peer is the local node. */
export class SelfDialError extends DialError {
  static {
    named(SelfDialError, 'SelfDialError')
  }

  constructor(message = 'a swarm cannot dial itself', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_SELF_DIAL')
  }
}

/** The address is not dialled for some time, as dialling it has failed. */
export class DialBackOffError extends DialError {
  static {
    named(DialBackOffError, 'DialBackOffError')
  }

  constructor(
    message = 'the address is not dialled yet, as dialling it has failed',
    options?: Libp2pErrorOptions
  ) {
    super(message, options, 'ERR_DIAL_BACK_OFF')
  }
}

/** Too many dials wait for their turn. */
export class DialQueueFullError extends DialError {
  static {
    named(DialQueueFullError, 'DialQueueFullError')
  }

  constructor(message = 'too many dials wait', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_DIAL_QUEUE_FULL')
  }
}

/** The application's gater, or a list of the connection gate, has refused a connection. */
export class DialDeniedError extends DialError {
  static {
    named(DialDeniedError, 'DialDeniedError')
  }

  constructor(message = 'the gater refuses the dial', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_DIAL_DENIED')
  }
}

/**
 * A name could not be resolved. `code` is `ERR_DNS_NOT_FOUND` if it does not exist, `ERR_DNS_NO_RECORDS` if it has no
 * records of that kind, `ERR_DNS_TIMEOUT`, `ERR_DNS_BAD_NAME`, or `ERR_DNS_FAILURE` for other and mixed failures.
 */
export class DnsError extends DialError {
  static {
    named(DnsError, 'DnsError')
  }

  /** The name; empty when unknown. */
  readonly hostname: string
  /** The reasons, if several lookups failed or several entries were skipped. */
  readonly errors: readonly DnsError[]

  constructor(
    message = 'the name could not be resolved',
    options: Libp2pErrorOptions & { hostname?: string; errors?: readonly DnsError[] } = {}
  ) {
    super(message, options, 'ERR_DNS_FAILURE')
    this.hostname = options.hostname ?? ''
    this.errors = options.errors ?? []
  }
}

/** The attempt to dial or to listen on one address. */
export interface AddressAttempt {
  /** The address, as text. */
  readonly address: string
  /** The name it was resolved from, if any. */
  readonly resolvedFrom: string | undefined
  /** The transport of the address; empty if it names no known one. */
  readonly transport: TransportName | ''
  /** The stage at which the attempt failed or was abandoned. */
  readonly stage: 'filter' | 'gate' | 'resolve' | DialStage | 'listen'
  /** Milliseconds from the start of the attempt until it ended or was abandoned. */
  readonly elapsed: number
  /** The reason for the failure, or the operation that was in progress. */
  readonly cause: Libp2pError
  /** Advice in one clause; empty if there is none. */
  readonly hint: string
}

/** Every address of a peer failed. */
export class DialAllFailedError extends DialError {
  static {
    named(DialAllFailedError, 'DialAllFailedError')
  }

  /** The peer, as text; undefined if only an address was known. */
  readonly peerId: string | undefined
  /** One entry for each address tried, in the order in which they failed. */
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

  /** The number of addresses tried. */
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

/** There is no connection to the peer, and the call did not allow dialling. */
export class NoConnectionError extends SwarmError {
  static {
    named(NoConnectionError, 'NoConnectionError')
  }

  constructor(message = 'no connection to the peer', options?: Libp2pErrorOptions) {
    super(message, 'ERR_NO_CONNECTION', options)
  }
}

/** Listening failed on every address. */
export class ListenError extends SwarmError {
  static {
    named(ListenError, 'ListenError')
  }

  /** One entry for each address. */
  readonly attempts: readonly AddressAttempt[]

  constructor(
    message = 'listening failed',
    options: Libp2pErrorOptions & { attempts?: readonly AddressAttempt[] } = {}
  ) {
    super(message, 'ERR_LISTEN', options)
    this.attempts = options.attempts ?? []
  }
}

/** A stage of an upgrade: private network, security handshake, muxer negotiation. */
export type UpgradeStage = 'psk' | 'security' | 'muxer'

/** A raw connection could not be upgraded to a secured and multiplexed one. */
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

/** A duplex of the application failed, or had ended before its upgrade; a failure is the `cause`. */
export class RawConnectionError extends IOError {
  static {
    named(RawConnectionError, 'RawConnectionError')
  }

  constructor(message = 'the raw connection failed', options?: Libp2pErrorOptions) {
    super(message, options, 'ERR_RAW_CONNECTION')
  }
}

/** Details of a limit in a limit error. */
export interface ResourceLimitDetails {
  /** `system`, `peer:…`, `connection-…`, `user`, ... */
  scope?: string
  /** `streams`, `memory`, ... */
  resource?: string
  /** The configured limit. */
  limit?: number | undefined
  /** The usage at the time of the refusal. */
  current?: number | undefined
  /** The amount requested. */
  requested?: number | undefined
  /** The priority of a memory reservation, 0 to 255. */
  priority?: number | undefined
  /** The option that sets the limit, such as `limits.peerDefault.streamsInbound`. */
  option?: string | undefined
  /** The largest users of the resource within the scope, the largest first. */
  holders?: readonly ResourceHolder[] | undefined
}

/** A scope that uses a resource. */
export interface ResourceHolder {
  /** Name of the scope, such as `peer:12D3…`. */
  readonly scope: string
  /** The amount that it uses. */
  readonly used: number
}

/** A configured limit was reached; a later attempt may succeed. */
export class ResourceLimitExceededError extends SwarmError {
  static {
    named(ResourceLimitExceededError, 'ResourceLimitExceededError')
  }

  /** Always true: usage may drop below the limit. */
  readonly temporary = true
  /** `system`, `peer:…`, `connection-…`, `user`, ...; empty when unknown. */
  readonly scope: string
  /** `streams`, `memory`, ...; empty when unknown. */
  readonly resource: string
  /** The configured limit, if known. */
  readonly limit: number | undefined
  /** The usage at the time of the refusal, if known. */
  readonly current: number | undefined
  /** The amount requested, if known. */
  readonly requested: number | undefined
  /** The priority of a memory reservation, 0 to 255; undefined for other resources. */
  readonly priority: number | undefined
  /** The option that sets the limit, such as `limits.peerDefault.streamsInbound`; empty if none does. */
  readonly option: string
  /** The largest users of the resource within the scope, the largest first; empty within a connection or stream. */
  readonly holders: readonly ResourceHolder[]

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
    this.requested = options.requested
    this.priority = options.priority
    this.option = options.option ?? ''
    this.holders = options.holders ?? []
  }
}

/** The resource scope was already closed. */
export class ResourceScopeClosedError extends SwarmError {
  static {
    named(ResourceScopeClosedError, 'ResourceScopeClosedError')
  }

  constructor(message = 'the resource scope is closed', options?: Libp2pErrorOptions) {
    super(message, 'ERR_RESOURCE_SCOPE_CLOSED', options)
  }
}

/** A rate limit was exceeded. */
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

/** The only connection is a limited one, which the call did not allow. */
export class LimitedConnectionError extends SwarmError {
  static {
    named(LimitedConnectionError, 'LimitedConnectionError')
  }

  constructor(message = 'the connection is limited', options?: Libp2pErrorOptions) {
    super(message, 'ERR_LIMITED_CONNECTION', options)
  }
}

/** A signed peer record is malformed, or not signed by its peer. */
export class InvalidRecordError extends Libp2pError {
  static {
    named(InvalidRecordError, 'InvalidRecordError')
  }

  constructor(message = 'the signed peer record is invalid', options?: Libp2pErrorOptions) {
    super(message, 'ERR_INVALID_RECORD', options)
  }
}

/** The storage of a peerstore failed. What was not stored stays in memory; see docs/peerstore.md. */
export class PeerstoreError extends Libp2pError {
  static {
    named(PeerstoreError, 'PeerstoreError')
  }

  /** The file, if it is one. */
  readonly path: string | undefined

  constructor(
    message = 'the peerstore failed',
    options: Libp2pErrorOptions & { path?: string | undefined } = {},
    code: 'ERR_PEERSTORE' | 'ERR_PEERSTORE_LOCKED' | 'ERR_PEERSTORE_CORRUPT' = 'ERR_PEERSTORE'
  ) {
    super(message, code, options)
    this.path = options.path
  }
}

/** Another swarm, of this process or another one, has the file of a peerstore open. */
export class PeerstoreLockedError extends PeerstoreError {
  static {
    named(PeerstoreLockedError, 'PeerstoreLockedError')
  }

  constructor(
    message = 'the peerstore is open elsewhere',
    options?: Libp2pErrorOptions & { path?: string | undefined }
  ) {
    super(message, options, 'ERR_PEERSTORE_LOCKED')
  }
}

/** The file of a peerstore is not one, is damaged, or has the format of another version. It is left as it is. */
export class PeerstoreCorruptError extends PeerstoreError {
  static {
    named(PeerstoreCorruptError, 'PeerstoreCorruptError')
  }

  constructor(
    message = 'the file of the peerstore is damaged',
    options?: Libp2pErrorOptions & { path?: string | undefined }
  ) {
    super(message, options, 'ERR_PEERSTORE_CORRUPT')
  }
}

/** What is to be stored of one peer exceeds its bound. */
export class PeerstoreLimitError extends Libp2pError {
  static {
    named(PeerstoreLimitError, 'PeerstoreLimitError')
  }

  constructor(message = 'a bound of the peerstore is reached', options?: Libp2pErrorOptions) {
    super(message, 'ERR_PEERSTORE_LIMIT', options)
  }
}

/** An internal invariant was violated. Please report it. */
export class InternalError extends Libp2pError {
  static {
    named(InternalError, 'InternalError')
  }

  constructor(
    message = 'an internal invariant was violated, please report this',
    options?: Libp2pErrorOptions
  ) {
    super(message, 'ERR_INTERNAL', options)
  }
}
