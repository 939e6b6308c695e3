/**
 * Types of the native addon; the only module that imports the binding.
 */
import { createRequire } from 'node:module'
import type * as Binding from './binding.js'
import type {
  ConnectionHandle,
  ListenerId,
  PipeHandle,
  RequestId,
  StreamHandle
} from './handles.ts'
import { addonError } from './load-error.ts'

/** The raw native calls. Each takes handles and typed arrays and returns a number, negative for an error code. */
export interface HotCalls {
  /** Id of this attachment, passed to the other calls of the addon. */
  readonly attachment: number
  drain(records: Uint32Array): number
  open(connection: ConnectionHandle, protocols: Uint32Array, isLazy: boolean): number
  read(stream: StreamHandle, into: Uint8Array): number
  readLeft(stream: StreamHandle, into: Uint8Array): number
  readMessages(stream: StreamHandle, into: Uint8Array, lengths: Uint32Array): number
  frame(stream: StreamHandle, framing: number, maxMessageBytes: number): number
  write(stream: StreamHandle, bytes: Uint8Array): number
  submit(table: Int32Array, count: number, staging: Uint8Array): number
  flush(): number
  flushBeforeDrain(): number
  closeRead(stream: StreamHandle): number
  discard(stream: StreamHandle): number
  remove(stream: StreamHandle): number
  reset(stream: StreamHandle, code: number): number
  resetBehind(stream: StreamHandle, code: number): number
  setState(stream: StreamHandle, state: number): number
  openForeign(direction: number): number
  feed(stream: StreamHandle, bytes: Uint8Array): number
  feedEnd(stream: StreamHandle): number
  feedReset(stream: StreamHandle, code: number, flags: number): number
  take(stream: StreamHandle, into: Uint8Array, orders: Uint32Array): number
  feedPipe(pipe: PipeHandle, bytes: Uint8Array): number
  takePipe(pipe: PipeHandle, into: Uint8Array): number
  endPipe(pipe: PipeHandle): number
  dropPipe(pipe: PipeHandle): number
  answer(stream: StreamHandle, handler: number, inboundMax: number): number
  closeConnection(connection: ConnectionHandle, code: number, atOnce: boolean): number
  allowEarlyFin(connection: ConnectionHandle): number
  counters(into: Float64Array): number
  measure(handle: ConnectionHandle | StreamHandle, into: Float64Array): number
  listenTo(levels: number): number
  takeDiagnostics(words: Uint32Array, texts: Uint8Array): number
  hold(on: boolean): number
}

/** Timeouts and bounds of the connections of a node: those of `connections`, and the public `Limits`. */
export interface NativeLimits {
  inboundUpgradeTimeoutMs: number
  outboundUpgradeTimeoutMs: number
  streamNegotiationTimeoutMs: number
  acceptBacklog: number
  windowMaxBytes: number
  keepaliveIntervalMs: number
  keepaliveTimeoutMs: number
  writeStallTimeoutMs: number
}

/** Limits of a class of scopes, or of one of them by name, in the order of `Resource::ALL` in Rust. */
export interface NativeScopeLimits {
  scope: string
  name?: string
  limits: number[]
}

/** Options of the native accounting. */
export interface NativeResourceConfig {
  scopes: NativeScopeLimits[]
  subnets: { family: number; prefix: number; connections: number }[]
  rates: { family: number; prefix: number; perSecond: number; burst: number }[]
  networks: { network: string; connections: number }[]
  allowlist: { network: string; peer?: string }[]
  trustedSources: string[]
  loopbackExempt: boolean
  dryRun: boolean
}

/** A refusal by a limit. */
export interface NativeRefusal {
  scope: string
  resource: string
  limit: number
  current: number
  requested: number
  priority: number
}

/** Result of a call on a scope: success if nothing but `scope` is set. */
export interface NativeScopeAnswer {
  scope?: number
  refusal?: NativeRefusal
  closed?: boolean
  misuse?: string
}

/** Usage and limits of a scope, in the order of `Resource::ALL` in Rust. */
export interface NativeScopeFigures {
  scope: string
  usage: number[]
  limits: number[]
}

/** A refusal by a rate. */
export interface NativeRateRefusal {
  refusal: NativeRefusal
  /** Points that are left. */
  left: number
}

/** The accounting of one node; also works after the node is closed. */
export interface NativeResources {
  openConnection(direction: number, fds: number, endpoint?: string): NativeScopeAnswer
  setPeer(scope: number, peer: string, endpoint?: string): NativeScopeAnswer
  openStream(peer: string, direction: number): NativeScopeAnswer
  setProtocol(scope: number, protocol: string): NativeScopeAnswer
  setService(scope: number, service: string): NativeScopeAnswer
  reserveMemory(scope: number, bytes: number, priority: number): NativeScopeAnswer
  releaseMemory(scope: number, bytes: number): NativeScopeAnswer
  beginSpan(scope: number): NativeScopeAnswer
  done(scope: number): void
  hold(kind: string, label?: string, peer?: string): number
  unhold(scope: number): void
  stat(scope: number): NativeScopeFigures | null
  setLimit(scope: number, limits: number[]): NativeScopeAnswer
  holders(
    kind: string,
    label: string | undefined,
    peer: string | undefined,
    resource: string,
    count: number
  ): { scope: string; used: number }[]
  report(): NativeScopeFigures[]
  refused(): number
  takePassed(): NativeRefusal | null
  consume(address: string, points: number): NativeRateRefusal | null
  resetRates(address?: string): void
  mustVerify(address: string): boolean
  close(): void
}

/** A question about a connection that is being set up. */
export interface NativeGateQuestion {
  ticket: number
  /** A bit of `GateHook`. */
  hook: number
  /** Request of the dial or the upgrade; 0 for a connection that a listener has accepted. */
  request: number
  /** The listener that has accepted it; 0 for other connections. */
  listener: number
  direction: number
  localAddress: string
  remoteAddress: string
  /** Empty while the remote is not authenticated. */
  peer: string
  /** Empty before the upgrade is complete, as is the muxer. */
  security: string
  muxer: string
}

/** The gate of one node, which may exist before it. */
export interface NativeGate {
  /** Adds networks to a list; returns false, and adds none, if it would have too many. */
  add(list: number, networks: string[]): boolean
  /** Returns how many of these networks the list had. */
  remove(list: number, networks: string[]): number
  networks(list: number): string[]
  /** Returns the rule of the lists that refuses a remote; its address is not known if left out. */
  ruleOf(address?: string): string | null
  takeQuestions(): NativeGateQuestion[]
  /** Answers a question, with the reason of a refusal; returns false if its connection was given up. */
  answer(ticket: number, refusal?: string): boolean
}

/** A request to a WebSocket listener that is no upgrade. */
export interface NativeHttpRequest {
  ticket: number
  method: string
  target: string
  /** Names and values, in turn. */
  headers: string[]
  body: Uint8Array
  localAddress: string
  remoteAddress: string
  isSecure: boolean
}

/** The answer to it. */
export interface NativeHttpAnswer {
  /** From 200 to 599. */
  status: number
  /** The name of the status. */
  reason: string
  headers: string[]
  /** At most 1 MiB. */
  body: Uint8Array
}

/** Options of a native node. */
export interface NativeNodeOptions {
  attachment: number
  privateKey: Uint8Array
  security?: string[]
  muxers?: string[]
  ioThreads?: number
  busyPollUs?: number
  keepUnread?: boolean
  limits?: NativeLimits
  resources?: NativeResourceConfig
  dns?: NativeDnsOptions
  quic?: NativeQuicOptions
  webSocket?: NativeWebSocketOptions
  /** Contents of a `swarm.key` file, or 64 hexadecimal digits, in UTF-8: the node is in a private network. */
  psk?: Uint8Array
}

/** Options of QUIC. */
export interface NativeQuicOptions {
  idleTimeoutMs: number
  keepaliveIntervalMs: number
  handshakeTimeoutMs: number
  streamWindowBytes: number
  /** The largest one. */
  connectionWindowBytes: number
  /** Inbound ones at a time. */
  maxStreams: number
}

/** A certificate with its chain, and its private key, in PEM. */
export interface NativeCertificate {
  cert: string
  key: string
}

/** Options of WebSocket. */
export interface NativeWebSocketOptions {
  /** What listeners present: the first if no name fits. */
  certificates: NativeCertificate[]
  /** Authorities in PEM; those of the operating system if empty. */
  roots: string[]
  /** Whether certificates of remotes are verified. */
  verify: boolean
  /** Whether requests to listeners that are no upgrade wait for `answerRequest`. */
  passesRequests: boolean
}

/** Options of native lookups. */
export interface NativeDnsOptions {
  /** As `ip:port`; those of the system if empty. */
  servers: string[]
  timeoutMs?: number
  attempts?: number
}

/** Options of the upgrade of a duplex. */
export interface NativeUpgradeOptions {
  direction: number
  /** Addresses for diagnostics; ignored unless the native side knows their form. */
  remoteAddress: string
  localAddress: string
  /** The IP address of the remote. */
  endpoint?: string | undefined
  /** The scope of a connection that the application has opened; ends with the connection, or with the failure. */
  scope?: number | undefined
  peer?: string | undefined
  /** Whether the scope is charged to `peer`. */
  isChargedToPeer: boolean
  security?: string[] | undefined
  /** Security protocol that was agreed on before, so that only the muxer is negotiated. */
  agreed?: string
  /** Whether the muxer alone runs over the duplex, without security or negotiation. */
  muxerOnly?: boolean
}

/** A failed attempt of a dial, or a failed upgrade. */
export interface NativeAttempt {
  /** Index of its entry in the dial. */
  index: number
  stage: string
  code: number
  detail: string
  elapsedMs: number
  /** That of a limit of ours. */
  refusal?: NativeRefusal
}

/** An attempt of a dial in flight. */
export interface NativeAttemptUnderWay {
  /** Index of its entry in the dial. */
  index: number
  stage: string
  elapsedMs: number
}

/** The attempts of a dial. */
export interface NativeAttempts {
  /** Those not returned before. */
  failed: NativeAttempt[]
  underWay: NativeAttemptUnderWay[]
}

/** Result of a command; code 0 is success. */
export interface CommandResult {
  code: number
  detail?: string
  listener?: number
  addresses?: string[]
  /** Failed attempts of a dial not returned before, or the failed upgrade. */
  attempts?: NativeAttempt[]
  records?: string[]
  /** Number of texts left out of `records`. */
  omitted?: number
  /** Entries of a store. */
  page?: Uint8Array
}

/** The immutable facts of a connection. */
export type NativeConnectionFacts = readonly [
  remotePeer: string,
  /** Protobuf encoding, one character per byte. */
  remotePublicKey: string,
  remoteAddress: string,
  localAddress: string,
  direction: number,
  security: string,
  muxer: string,
  muxerEngine: string,
  /** 1 if the muxer was negotiated within the security handshake. */
  earlyMuxer: number,
  connectUs: number,
  securityUs: number,
  muxerUs: number
]

/** Options of a native dial. */
export interface NativeDialOptions {
  security?: string[]
  /** Whether this side has the dialer's role in the upgrade. Defaults to true. */
  initiator?: boolean
  /** For each address the name that a WebSocket asks for, or an empty string. */
  hosts?: string[]
}

/** One native node. */
export interface NativeNode {
  readonly id: number
  readonly peerId: string
  readonly publicKey: Uint8Array
  setHandlers(
    entries: { protocol: number; inboundMax: number; service: number }[],
    ask: boolean
  ): void
  resources(): NativeResources
  scopeOf(handle: ConnectionHandle | StreamHandle): number | null
  /** Returns what the transport of a connection whose end was just drained said of it; null if nothing. */
  endText(connection: ConnectionHandle): string | null
  takeRefusal(stream?: StreamHandle): NativeRefusal | null
  setRaw(on: boolean): void
  takeRequests(): NativeHttpRequest[]
  /** Answers a request; returns false if its connection was given up. */
  answerRequest(ticket: number, answer: NativeHttpAnswer): boolean
  /** Replaces the certificates of WebSocket listeners, from the next handshake on; throws and keeps them if one is invalid. */
  setCertificates(certificates: NativeCertificate[]): void
  listen(request: RequestId, address: string, reusePort: boolean): void
  unlisten(request: RequestId, listener: ListenerId): void
  resolve(request: RequestId, hostname: string, kind: string): void
  /**
   * Dials addresses, each with the peer that the remote must be, or an empty string, and three times in milliseconds: the
   * delay from the start of the dial, the timeout including the upgrade, and the hold: none of the later ones starts
   * within that time from its connection. A failure of the one that started last starts the next one earlier, and brings
   * forward those behind.
   */
  dial(
    request: RequestId,
    addresses: string[],
    peers: string[],
    times: number[],
    parallel: number,
    options?: NativeDialOptions | undefined
  ): void
  /** Returns the handle of a pipe, which the caller fills and empties. */
  upgrade(request: RequestId, options: NativeUpgradeOptions): number
  /** Answers the question about an accepted connection: its upgrade becomes a command, with the result of a duplex's. */
  accept(request: RequestId, ticket: number): void
  takeAttempts(request: RequestId): NativeAttempts
  cancel(request: RequestId): void
  connection(handle: ConnectionHandle): NativeConnectionFacts
  takeResult(request: RequestId): CommandResult
  stopAccepting(): void
  drain(request: RequestId, timeoutMs: number): void
  close(request: RequestId, timeoutMs: number): void
}

/** A map of bytes in a file. */
export interface NativeStore {
  load(request: RequestId, after?: Uint8Array): void
  commit(request: RequestId, batch: Uint8Array): void
  close(request: RequestId): void
  takeResult(request: RequestId): CommandResult
}

/** Constructor options of a native session. */
export interface NativeSessionInit {
  privateKey: Uint8Array
  security: string[]
  negotiate: boolean
  initiator: boolean
  remotePeer?: string
  /** Muxers that the handshake may select. */
  muxers?: string[]
}

/** The remote of a session. */
export interface SessionFacts {
  peerId: string
  publicKey: Uint8Array
  security: string
  /** Selected by the handshake. */
  muxer?: string
}

/** One end of a secured byte stream; every error is fatal. Input and output are copied. */
export interface NativeSecureSession {
  /** The remote has ended the session (close_notify in TLS). */
  readonly hasEnded: boolean
  /** Bytes of an incomplete record. */
  readonly partialBytes: number
  /** Null until the handshake is complete. */
  peer(): SessionFacts | null
  receive(bytes: Uint8Array): void
  write(bytes: Uint8Array): void
  close(): void
  /** Starts a muxer within the session, which carries nothing itself any more. */
  multiplex(init: NativeMuxerInit): NativeMuxerSession
  takeOutput(): Uint8Array
  takePlaintext(): Uint8Array
}

/** Options of a muxer. */
export interface NativeMuxerInit {
  initiator: boolean
  streamsInbound: number
  streamsOutbound: number
  windowMaxBytes: number
  keepaliveIntervalMs: number
  keepaliveTimeoutMs: number
}

/** One end of a multiplexed connection; errors of `receive` and `handleDeadline` are fatal. Bytes are copied. */
export interface NativeMuxerSession {
  /** The remote has ended the channel (close_notify in TLS). */
  readonly hasEnded: boolean
  receive(bytes: Uint8Array): void
  /** Processes bytes that were opened before the muxer took over a session. */
  receivePlaintext(bytes: Uint8Array): void
  /** Rows of `MUXER_EVENT_WORDS`: a kind of `MuxerEvent`, the stream, and a length or a code. */
  takeEvents(): Uint32Array
  /** The bytes of the data events, one after the other. */
  takeData(): Uint8Array
  takeOutput(): Uint8Array
  /** Null until the remote has acknowledged other streams. */
  open(): number | null
  write(stream: number, bytes: Uint8Array): number
  finish(stream: number): void
  consumed(stream: number, bytes: number): void
  discard(stream: number): void
  reset(stream: number, code: number): void
  remove(stream: number): void
  close(code: number): void
  deadlineMs(): number | null
  handleDeadline(): void
}

/** Description of a private key. */
export interface KeyDescription {
  type: string
  peerId: string
  publicKey: Uint8Array
}

/** The peer id of a public key, as text and as a multihash. */
export interface PeerOfKey {
  peerId: string
  multihash: Uint8Array
}

/** The addon. */
export interface Native {
  attach(ring: () => void): HotCalls
  enableLoopPolling(attachment: number, ring: () => void): void
  openFilesMax(): number
  internProtocol(attachment: number, name: string): number
  forgetProtocol(attachment: number, protocol: number): void
  protocolName(attachment: number, protocol: number): string
  queriedProtocol(attachment: number, stream: StreamHandle): string
  generateKey(type: 'ed25519' | 'secp256k1' | 'rsa' | 'ecdsa'): Uint8Array
  describeKey(privateKey: Uint8Array): KeyDescription
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array
  peerOfKey(publicKey: Uint8Array): PeerOfKey
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
  /** Throws unless these are the contents of a `swarm.key` file, or 64 hexadecimal digits, in UTF-8. */
  swarmKeyFingerprint(contents: Uint8Array): string
  /** For a test: the tables of numbers by name that TypeScript mirrors. */
  nativeTables(): Record<string, Record<string, number>>
  NativeGate: new (hooks: number) => NativeGate
  NativeNode: new (options: NativeNodeOptions, gate?: NativeGate) => NativeNode
  NativeStore: new (attachment: number, request: RequestId, path: string) => NativeStore
  NativeMuxerSession: new (init: NativeMuxerInit) => NativeMuxerSession
  NativeSecureSession: new (init: NativeSessionInit) => NativeSecureSession
}

/** The addon of this platform. */
export const native: Native = load()

// `require`, so that errors of the generated binding can be converted to one message.
function load(): typeof Binding {
  try {
    return createRequire(import.meta.url)('./binding.js')
  } catch (err) {
    throw addonError(err)
  }
}
