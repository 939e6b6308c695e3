/** Errors of failed dials, and the attempts at single addresses that they and the errors of listens list. */
import type { DialStage } from '../constants.ts'
import {
  AbortError,
  type AddressAttempt,
  DialAllFailedError,
  DialBackOffError,
  DialDeniedError,
  DialError,
  ERROR_CODES,
  type ErrorCode,
  Libp2pError,
  NoConnectionError,
  NoRemoteAddrsError,
  ResourceLimitExceededError,
  SelfDialError,
  TimeoutError
} from '../errors.ts'
import {
  dialRefusal,
  type ParsedAddress,
  parseAddress,
  transportOf
} from '../identity/parsed-address.ts'
import type { Refusal } from '../identity/transport-forms.ts'
import type { NativeAttempt, NativeAttemptUnderWay } from '../native/addon.ts'
import { nativeError, withoutStack } from '../native/native-error.ts'
import { reasonOf } from '../text/printable.ts'
import type { FilteredAddress } from './address-manager.ts'

/** The peer of a dial, and those addresses of a call that are not dialled. */
export interface DialTarget {
  /** Required remote peer; any if undefined. */
  readonly peer: string | undefined
  readonly refused: readonly AddressAttempt[]
}

/** Returns the error of a dial whose every address failed. */
export function allFailed(
  peer: string | undefined,
  attempts: readonly AddressAttempt[]
): DialAllFailedError {
  const ofPeer = peer === undefined ? '' : ` of ${peer}`
  return new DialAllFailedError(`every address${ofPeer} failed: ${attemptsText(attempts)}`, {
    peerId: peer,
    attempts,
    cause: attempts[0]?.cause
  })
}

/** Returns the error of a caller whose timeout has expired. */
export function late(ms: number, attempts: readonly AddressAttempt[]): TimeoutError {
  const message = `the dial did not succeed within ${Math.round(ms)} ms`
  return new TimeoutError(`${message}${tried(attempts)}`, { attempts })
}

/** Returns the error of a caller that has aborted. */
export function abandoned(
  signal: AbortSignal | undefined,
  attempts: readonly AddressAttempt[]
): AbortError {
  const cause: unknown = signal?.reason
  return new AbortError(`the dial was aborted${tried(attempts)}`, { cause, attempts })
}

/** Returns the error of a dial without a dialable address. */
export function noAddress({ peer, refused }: DialTarget): Error {
  return refused.length > 0 || peer === undefined
    ? allFailed(peer, refused)
    : new NoRemoteAddrsError(`no address of ${peer} is known`)
}

/** Returns the error of a call with `noDial`; a string is its reason. */
export function notAllowed(reason: boolean | string | undefined): NoConnectionError {
  const because = typeof reason === 'string' ? `: ${reason}` : ''
  return new NoConnectionError(`no connection to the peer, and dialling is not allowed${because}`)
}

function tried(attempts: readonly AddressAttempt[]): string {
  const { length } = attempts
  if (length === 0) return ''
  return `; ${length} ${length === 1 ? 'address' : 'addresses'}: ${attemptsText(attempts)}`
}

const HUNG_UP = 'the remote may be at a limit, refuse this node, or not speak libp2p'

const HINTS: Partial<Record<ErrorCode, string>> = {
  ERR_CONNECTION_REFUSED: 'nothing listens there',
  ERR_UNREACHABLE: 'no route to that host or network',
  ERR_NO_TRANSPORT: 'this node has no transport for the address',
  ERR_UNEXPECTED_PEER: 'another peer listens there, or the peer has a new key',
  ERR_ADDRESS_IN_USE: 'another process listens there',
  ERR_ADDRESS_NOT_AVAILABLE: 'this host has no such address',
  ERR_PERMISSION: 'ports below 1024 need privileges',
  ERR_TIMEOUT: 'the host is down, or a firewall drops packets',
  ERR_CONNECTION_ENDED: HUNG_UP,
  ERR_CONNECTION_RESET: HUNG_UP
}

/** Hints for a connection that was accepted; {@link HINTS} is the fallback. */
const HANDSHAKE_HINTS: Partial<Record<ErrorCode, string>> = {
  // By a listener of QUIC, which does listen there.
  ERR_CONNECTION_REFUSED: HUNG_UP,
  ERR_TIMEOUT: 'the connection was accepted, but the remote stays silent: it may not speak libp2p',
  ERR_MULTISELECT: 'check the port: no libp2p node answers like this, unless its option psk is set'
}

/** Hint for a remote whose first bytes are not those of a node with our pre-shared key. */
const OTHER_NETWORK_HINT =
  'compare the option psk of both nodes: the remote may be in no private network, or in another'

/** Ends of an attempt that say nothing of the remote. */
const OWN_ENDS: ReadonlySet<ErrorCode> = new Set(['ERR_ABORTED', 'ERR_INTERNAL'])

/** Hints for a remote that has no protocol in common with this node. */
const UNSUPPORTED_HINTS = {
  security: 'compare the option security of both nodes',
  muxer: 'compare the option muxers of both nodes'
}

/** An attempt that has ended, of a dial or a listen. */
type Ended = Omit<NativeAttempt, 'index'>

/** Converts a native attempt at `address`; its cause is `refusal` if this node has refused it. */
export function attemptOf(
  address: string,
  { code, detail, elapsedMs, ...ended }: Ended,
  refusal?: Libp2pError
): AddressAttempt {
  // Rust sets the stages of an attempt, `listener.ts` that of a listen.
  const stage = ended.stage as AddressAttempt['stage']
  const cause = refusal ?? withoutStack(() => nativeError(code, detail))
  // By the lists, which have changed since the dial was planned.
  const isGated = cause instanceof DialDeniedError && stage === 'connect'
  return {
    address,
    resolvedFrom: undefined,
    transport: transportOf(address),
    stage: isGated ? 'gate' : stage,
    elapsed: elapsedMs,
    cause,
    hint: hintOf(stage, cause)
  }
}

/** Progress of an attempt by stage. */
const PROGRESS: Readonly<Record<string, string>> = {
  connect: 'still connecting',
  psk: 'still exchanging nonces in the private network',
  security: 'still in the security handshake',
  muxer: 'still negotiating the muxer'
}

/** Converts an unfinished attempt at `address`, cancelled for the reason `code`. */
export function unfinishedAttempt(
  address: string,
  { stage, elapsedMs }: Omit<NativeAttemptUnderWay, 'index'>,
  code: 'ERR_TIMEOUT' | 'ERR_ABORTED'
): AddressAttempt {
  const detail = PROGRESS[stage] ?? stage
  return attemptOf(address, { stage, code: ERROR_CODES[code], detail, elapsedMs })
}

/** Returns the entry of an address whose attempt had not begun, cancelled for the reason `code`. */
export function notBegun(address: string, code: 'ERR_TIMEOUT' | 'ERR_ABORTED'): AddressAttempt {
  const cause = nativeError(ERROR_CODES[code], 'its turn had not come')
  return { ...notTried(address, cause, ''), stage: 'connect' }
}

function hintOf(stage: AddressAttempt['stage'], cause: Libp2pError): string {
  if (cause instanceof ResourceLimitExceededError && cause.option !== '') {
    return `a limit of this node: ${cause.option}`
  }
  const hint = HINTS[cause.code] ?? ''
  if (stage === 'psk') return OWN_ENDS.has(cause.code) ? hint : OTHER_NETWORK_HINT
  if (stage !== 'security' && stage !== 'muxer') return hint
  if (cause.code === 'ERR_UNSUPPORTED_PROTOCOL') return UNSUPPORTED_HINTS[stage]
  return HANDSHAKE_HINTS[cause.code] ?? hint
}

/** Returns the entry of an address refused without an attempt. */
export function refusedAttempt(
  { text }: ParsedAddress,
  { reason, hint, code = 'ERR_NO_TRANSPORT' }: Refusal,
  stage: AddressAttempt['stage']
): AddressAttempt {
  return {
    address: text,
    resolvedFrom: undefined,
    transport: transportOf(text),
    stage,
    elapsed: 0,
    cause: nativeError(ERROR_CODES[code], reason),
    hint
  }
}

/** Returns the entry of an address that the address manager has refused. */
export function filteredAttempt({ address, reason, hint }: FilteredAddress): AddressAttempt {
  const isForeign = dialRefusal(parseAddress(address)) !== undefined
  const code = isForeign ? 'ERR_NO_TRANSPORT' : 'ERR_DIAL'
  return notTried(address, new DialError(reason, { code }), hint)
}

/** Returns the entry of an address that the address manager has left out. */
export function leftOut(address: string): AddressAttempt {
  return notTried(address, new DialError('other addresses were preferred'), 'name this one')
}

/** Returns the entry of an address that is dialled again in `ms`. */
export function backedOff(address: string, ms: number): AddressAttempt {
  const seconds = Math.ceil(ms / 1_000)
  const reason = `dialling it has failed: not tried again for ${seconds} s`
  return notTried(address, new DialBackOffError(reason), 'the option force tries it now')
}

/** Returns the entry of a relayed address where the call asks for a direct connection. */
export function relayedAddress(address: string): AddressAttempt {
  return notTried(address, new DialError('a relayed address, and forceDirectDial is set'), '')
}

/** Returns the entry of an address whose port is dialled without WebSocket, or over QUIC as it is. */
export function samePort(address: string): AddressAttempt {
  const how = transportOf(address) === 'ws' ? 'TCP without WebSocket' : '/quic-v1'
  const reason = `the same port is dialled over ${how}`
  return notTried(address, new DialError(reason), 'dialAddr dials it')
}

/** Returns the entry of an address on which this swarm listens. */
export function ownAddress(address: string): AddressAttempt {
  return notTried(address, new SelfDialError('this swarm itself listens there'), '')
}

/** Returns the entry of a Unix socket or a place in memory that a name has led to: names are those of others. */
export function namedHere({ text }: ParsedAddress): AddressAttempt {
  const cause = new DialError('a name leads to a socket of this host')
  return notTried(text, cause, 'name the address itself')
}

/** Returns the entry of an address of a kind that nobody answers. */
export function inBlackHole(address: string): AddressAttempt {
  const reason = 'no address of its kind has answered lately'
  const cause = new DialError(reason, { code: 'ERR_BLACK_HOLE' })
  return notTried(address, cause, 'the network may drop IPv6 or UDP; the option force tries it now')
}

/** Returns the entry of an address that the gater has refused. */
export function gated(address: string, reason: string): AddressAttempt {
  return { ...notTried(address, new DialDeniedError(reason), ''), stage: 'gate' }
}

/** Returns the entry of an attempt that a transport of the application has made. */
export function customAttempt(
  address: string,
  stage: DialStage | 'listen',
  elapsed: number,
  err: unknown
): AddressAttempt {
  const cause = err instanceof Libp2pError ? err : transportError(err)
  return { ...notTried(address, cause, hintOf(stage, cause)), stage, elapsed }
}

/** Codes by those of system errors of Node.js. */
const CODES = {
  EACCES: 'ERR_PERMISSION',
  EADDRINUSE: 'ERR_ADDRESS_IN_USE',
  EADDRNOTAVAIL: 'ERR_ADDRESS_NOT_AVAILABLE',
  ECONNREFUSED: 'ERR_CONNECTION_REFUSED',
  ECONNRESET: 'ERR_CONNECTION_RESET',
  EHOSTUNREACH: 'ERR_UNREACHABLE',
  ENETUNREACH: 'ERR_UNREACHABLE',
  ETIMEDOUT: 'ERR_TIMEOUT'
} as const

/** Returns the error of this package for what a transport of the application has thrown. */
function transportError(err: unknown): Libp2pError {
  // Any value but null and undefined allows property access.
  const { code } = (err ?? {}) as { code?: unknown }
  const known = Object.entries(CODES).find(([name]) => name === code)?.[1]
  return known === undefined
    ? new DialError(reasonOf(err), { cause: err })
    : nativeError(ERROR_CODES[known], reasonOf(err))
}

/** Returns the entry of an address of a transport that the swarm does not use. */
export function unused(address: string, { reason, hint }: Refusal): AddressAttempt {
  return notTried(address, new DialError(reason, { code: 'ERR_NO_TRANSPORT' }), hint)
}

/** Returns the entry of a name that could not be resolved. */
export function unresolved(address: string, elapsed: number, err: unknown): AddressAttempt {
  const cause =
    err instanceof Libp2pError
      ? err
      : new DialError(`the name could not be resolved: ${reasonOf(err)}`, { cause: err })
  return { ...notTried(address, cause, ''), stage: 'resolve', elapsed }
}

/** Returns the entry of a name whose resolution was abandoned for the reason `code`. */
export function unresolvedYet(
  address: string,
  elapsed: number,
  code: 'ERR_TIMEOUT' | 'ERR_ABORTED'
): AddressAttempt {
  return unresolved(address, elapsed, nativeError(ERROR_CODES[code], 'still resolving the name'))
}

/** Returns the entry of a name that the resolution of another name has led to. */
export function unresolvedName(address: string): AddressAttempt {
  return unresolved(address, 0, new DialError('the resolver has not resolved it further'))
}

function notTried(address: string, cause: Libp2pError, hint: string): AddressAttempt {
  return {
    address,
    resolvedFrom: undefined,
    transport: transportOf(address),
    stage: 'filter',
    elapsed: 0,
    cause,
    hint
  }
}

/** Formats the attempts of an error in one line. */
export function attemptsText(attempts: readonly AddressAttempt[]): string {
  return attempts.map(({ address, cause }) => `${address}: ${cause.message}`).join('; ')
}
