/**
 * Numbers of the native side into errors, made where the caller waits so that the stack is the caller's.
 */
import {
  AbortError,
  type ConnectionClock,
  ConnectionClosedError,
  DecryptionFailedError,
  DialAllFailedError,
  DialError,
  EncryptionFailedError,
  ERROR_CODES,
  type ErrorCode,
  errorCode,
  IncompleteReadError,
  InternalError,
  InvalidParametersError,
  IOError,
  type Libp2pError,
  type Libp2pErrorOptions,
  LimitedConnectionError,
  ListenError,
  MessageTooLargeError,
  MsgioError,
  MultiselectError,
  MuxerClosedError,
  NoConnectionError,
  NoRemoteAddrsError,
  RateLimitError,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  SelfDialError,
  StateError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError,
  StreamStateError,
  TimeoutError,
  UnexpectedPeerError,
  UnsupportedProtocolError,
  UpgradeError
} from '../errors.ts'
import { FLAG_FRAME_STALL, FLAG_KEEPALIVE, FLAG_WRITE_STALL, HANDLE_INDEX_MASK } from './record.ts'

/** Streams and connections that one environment can hold at a time; at that many the next one is refused. */
const HANDLES_MAX = HANDLE_INDEX_MASK + 1

/** Beside what every error takes, how a connection ended. */
export interface NativeErrorOptions extends Libp2pErrorOptions {
  /** `tcp`, ... */
  transport?: string
  /** The code on the wire. */
  closeCode?: number
}

type Make = (message: string | undefined, options: NativeErrorOptions) => Libp2pError

const limit =
  (scope: string, resource: string, standard: string): Make =>
  (message, options) =>
    new ResourceLimitExceededError(message ?? standard, { ...options, scope, resource })

const environment =
  (standard: string): Make =>
  (message, options) =>
    new DialError(message ?? standard, options)

const MAKERS: Readonly<Record<ErrorCode, Make>> = {
  ERR_INVALID_PARAMETERS: (message, options) => new InvalidParametersError(message, options),
  ERR_STATE: (message, options) => new StateError(message, options),
  ERR_STREAM_STATE: (message, options) => new StreamStateError(message, options),
  ERR_STALE_HANDLE: (message, options) =>
    new InternalError(message ?? 'a handle was used after its end', options),
  ERR_BUFFER_TOO_SMALL: (message, options) =>
    new InternalError(message ?? 'a buffer was too small', options),
  ERR_STREAM_CLOSED: (message, options) => new StreamClosedError(message, options),
  ERR_STREAM_EOF: (message, options) => new StreamEOFError(message, options),
  ERR_CONNECTION_CLOSED: (message, options) => new ConnectionClosedError(message, options),
  ERR_MUXER_CLOSED: (message, options) =>
    new MuxerClosedError(message ?? 'the peer takes no more streams on this connection', options),
  ERR_ABORTED: (message, options) => new AbortError(message, options),
  ERR_NODE_CLOSED: (message, options) => new StateError(message ?? 'the swarm is closed', options),
  ERR_STREAM_RESET: (message, options) => new StreamResetError(message, options),
  ERR_MULTISELECT: (message, options) => new MultiselectError(message, options),
  ERR_UNSUPPORTED_PROTOCOL: (message, options) => new UnsupportedProtocolError(message, options),
  ERR_UNEXPECTED_PEER: (message, options) => new UnexpectedPeerError(message, options),
  ERR_MESSAGE_TOO_LARGE: (message, options) => new MessageTooLargeError(message, options),
  ERR_DECRYPTION_FAILED: (message, options) => new DecryptionFailedError(message, options),
  ERR_INCOMPLETE_READ: (message, options) => new IncompleteReadError(message, options),
  ERR_ENCRYPTION_FAILED: (message, options) => new EncryptionFailedError(message, options),
  ERR_MUXER_PROTOCOL: (message, options) =>
    new ConnectionClosedError(message ?? 'the peer broke the muxer protocol', options),
  ERR_INVALID_FRAMING: (message, options) => new MsgioError(message, options),
  ERR_SELF_DIAL: (message, options) => new SelfDialError(message, options),
  ERR_DIAL: environment('the dial failed'),
  ERR_DIAL_ALL_FAILED: (message, options) => new DialAllFailedError(message, options),
  ERR_NO_REMOTE_ADDRS: (message, options) => new NoRemoteAddrsError(message, options),
  ERR_NO_CONNECTION: (message, options) => new NoConnectionError(message, options),
  ERR_LISTEN: (message, options) => new ListenError(message, options),
  ERR_TIMEOUT: (message, options) => new TimeoutError(message, options),
  ERR_CONNECTION_REFUSED: environment('connection refused'),
  ERR_UNREACHABLE: environment('host or network unreachable'),
  ERR_CONNECTION_RESET: (message, options) =>
    new ConnectionClosedError(message ?? 'connection reset by the peer', options),
  ERR_IO: (message, options) => new IOError(message ?? 'input or output failed', options),
  ERR_NO_TRANSPORT: environment('no transport for this address'),
  ERR_ADDRESS_IN_USE: (message, options) => new ListenError(message ?? 'address in use', options),
  ERR_ADDRESS_NOT_AVAILABLE: (message, options) =>
    new ListenError(message ?? 'address not available', options),
  ERR_UPGRADE: (message, options) => new UpgradeError(message, options),
  ERR_CONNECTION_ENDED: (message, options) =>
    new ConnectionClosedError(message ?? 'the peer closed the connection', options),
  ERR_PERMISSION: (message, options) => new IOError(message ?? 'permission denied', options),
  ERR_RESOURCE_LIMIT_EXCEEDED: (message, options) =>
    new ResourceLimitExceededError(
      message ?? `${HANDLES_MAX} streams and connections reach the limit of one environment`,
      {
        ...options,
        scope: 'environment',
        resource: 'handles',
        limit: HANDLES_MAX,
        current: HANDLES_MAX
      }
    ),
  ERR_RESOURCE_SCOPE_CLOSED: (message, options) => new ResourceScopeClosedError(message, options),
  ERR_RATE_LIMIT: (message, options) => new RateLimitError(message, options),
  ERR_LIMITED_CONNECTION: (message, options) => new LimitedConnectionError(message, options),
  ERR_STREAM_LIMIT: limit('connection', 'streams', 'the connection has no room for another stream'),
  ERR_CONNECTION_MEMORY: limit('connection', 'memory', 'the connection holds too many bytes'),
  ERR_INTERNAL: (message, options) => new InternalError(message, options)
}

/** The error of a code number, positive as in `ERROR_CODES`, with the addon's short text if it gave one. */
export function nativeError(
  number: number,
  detail?: string | undefined,
  options: NativeErrorOptions = {}
): Libp2pError {
  const code = errorCode(number)
  const message =
    code === 'ERR_INTERNAL' && number !== ERROR_CODES.ERR_INTERNAL
      ? `the native side answered with unknown code ${number}`
      : detail || undefined
  return MAKERS[code](message, { ...options, code })
}

const CLOCK_MESSAGES: Readonly<Record<ConnectionClock, string>> = {
  keepalive: 'the peer was silent after a keepalive ping for limits.keepaliveTimeoutMs',
  writeStall: 'the peer took none of the bytes that wait for it for limits.writeStallTimeoutMs',
  frame: 'the peer began a frame and sent nothing more of it for 20 s'
}

/** Why a connection ended: the code and the flags of its record. */
export function endError(number: number, flags: number, options: NativeErrorOptions): Libp2pError {
  const clock = clockOf(flags)
  if (clock === undefined) return nativeError(number, undefined, options)
  return new TimeoutError(CLOCK_MESSAGES[clock], { clock })
}

function clockOf(flags: number): ConnectionClock | undefined {
  if ((flags & FLAG_KEEPALIVE) !== 0) return 'keepalive'
  if ((flags & FLAG_WRITE_STALL) !== 0) return 'writeStall'
  return (flags & FLAG_FRAME_STALL) === 0 ? undefined : 'frame'
}

/** Throw the error of a negative answer; pass any other answer on. */
export function checked(answer: number): number {
  if (answer < 0) throw nativeError(-answer)
  return answer
}

/**
 * `work`, with the errors that it makes left without a stack.
 *
 * For what a record tells: there are but our own frames on the stack then, the same ones for each of them, and taking
 * them costs more than the rest of a stream's end. Nothing of the application's may run in `work`.
 */
export function withoutStack<T>(work: () => T): T {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = limit
  }
}
