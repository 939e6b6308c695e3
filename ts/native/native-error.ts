/**
 * Converts native error codes to errors, created in the waiting call so that the stack is the caller's.
 */
import {
  AbortError,
  type ConnectionClock,
  ConnectionClosedError,
  DecryptionFailedError,
  DialAllFailedError,
  DialBackOffError,
  DialDeniedError,
  DialError,
  DialQueueFullError,
  DnsError,
  EncryptionFailedError,
  ERROR_CODES,
  type ErrorCode,
  errorCode,
  IncompleteReadError,
  InternalError,
  InvalidParametersError,
  InvalidRecordError,
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
  PeerstoreCorruptError,
  PeerstoreError,
  PeerstoreLimitError,
  PeerstoreLockedError,
  RateLimitError,
  RawConnectionError,
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
import { printable } from '../text/printable.ts'
import {
  FLAG_EXPLAINED,
  FLAG_FRAME_STALL,
  FLAG_KEEPALIVE,
  FLAG_WRITE_STALL,
  HANDLE_INDEX_MASK
} from './record.ts'

/** Maximum number of streams and connections of one environment at a time; further ones are refused. */
const HANDLES_MAX = HANDLE_INDEX_MASK + 1

/** Error options, and the details of a connection's end. */
export interface NativeErrorOptions extends Libp2pErrorOptions {
  /** `tcp`, ... */
  transport?: string
  /** The wire code. */
  closeCode?: number
  /** What the transport said of the end: text of the peer, or of a violation. */
  closeReason?: string
}

type Make = (message: string | undefined, options: NativeErrorOptions) => Libp2pError

const limit =
  (scope: string, resource: string, fallback: string): Make =>
  (message, options) =>
    new ResourceLimitExceededError(message ?? fallback, { ...options, scope, resource })

const environment =
  (fallback: string): Make =>
  (message, options) =>
    new DialError(message ?? fallback, options)

const names =
  (fallback: string): Make =>
  (message, options) =>
    new DnsError(message ?? fallback, options)

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
  ERR_INVALID_RECORD: (message, options) => new InvalidRecordError(message, options),
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
  ERR_RAW_CONNECTION: (message, options) => new RawConnectionError(message, options),
  ERR_BLACK_HOLE: (message, options) =>
    new DialError(message, { ...options, code: 'ERR_BLACK_HOLE' }),
  ERR_DIAL_BACK_OFF: (message, options) => new DialBackOffError(message, options),
  ERR_DNS_FAILURE: names('the name could not be resolved'),
  ERR_DNS_NOT_FOUND: names('the name does not exist'),
  ERR_DNS_NO_RECORDS: names('the name has no such records'),
  ERR_DNS_TIMEOUT: names('no name server answered in time'),
  ERR_DNS_BAD_NAME: names('it is not a host name'),
  ERR_PEERSTORE: (message, options) => new PeerstoreError(message, options),
  ERR_PEERSTORE_LOCKED: (message, options) => new PeerstoreLockedError(message, options),
  ERR_PEERSTORE_CORRUPT: (message, options) => new PeerstoreCorruptError(message, options),
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
  ERR_DIAL_DENIED: (message, options) => new DialDeniedError(message, options),
  ERR_PEERSTORE_LIMIT: (message, options) => new PeerstoreLimitError(message, options),
  ERR_DIAL_QUEUE_FULL: (message, options) => new DialQueueFullError(message, options),
  ERR_INTERNAL: (message, options) => new InternalError(message, options)
}

/** Returns the error of a code, positive as in `ERROR_CODES`, with the addon's short text if there is one. */
export function nativeError(
  number: number,
  detail?: string | undefined,
  options: NativeErrorOptions = {}
): Libp2pError {
  const code = errorCode(number)
  const message =
    code === 'ERR_INTERNAL' && number !== ERROR_CODES.ERR_INTERNAL
      ? `the native side returned unknown code ${number}`
      : detail || undefined
  return MAKERS[code](message, { ...options, code })
}

const CLOCK_MESSAGES: Readonly<Record<ConnectionClock, string>> = {
  keepalive: 'the peer was silent for limits.keepaliveTimeoutMs after a keepalive ping',
  writeStall: 'the peer accepted none of the pending bytes for limits.writeStallTimeoutMs',
  frame: 'the peer began a frame and sent no more of it for 20 s'
}

/** Returns the error of a connection's end from the code and flags of its record. */
export function endError(number: number, flags: number, options: NativeErrorOptions): Libp2pError {
  const clock = clockOf(flags)
  if (clock !== undefined) return new TimeoutError(CLOCK_MESSAGES[clock], { clock })
  const text = (flags & FLAG_EXPLAINED) === 0 ? undefined : transportText(number, options)
  return nativeError(number, text, options)
}

/** Returns why a WebSocket has ended. */
function transportText(
  number: number,
  { closeCode, closeReason = '' }: NativeErrorOptions
): string {
  const reason = printable(closeReason)
  switch (number) {
    case ERROR_CODES.ERR_CONNECTION_RESET: {
      const text = `the peer closed the WebSocket with code ${closeCode}`
      return reason === '' ? text : `${text}: ${reason}`
    }
    case ERROR_CODES.ERR_MUXER_PROTOCOL:
      return `the peer broke WebSocket: ${reason}`
    default:
      return `the TLS below WebSocket failed: ${reason}`
  }
}

function clockOf(flags: number): ConnectionClock | undefined {
  if ((flags & FLAG_KEEPALIVE) !== 0) return 'keepalive'
  if ((flags & FLAG_WRITE_STALL) !== 0) return 'writeStall'
  return (flags & FLAG_FRAME_STALL) === 0 ? undefined : 'frame'
}

/** Throws the error of a negative result; returns any other result. */
export function checked(answer: number): number {
  if (answer < 0) throw nativeError(-answer)
  return answer
}

/**
 * Runs `work` with stack capture disabled for the errors it creates.
 *
 * For errors reported by records: the stack would hold only the same internal frames each time, and capturing it costs
 * more than the rest of a stream's end. `work` must not call application code.
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
