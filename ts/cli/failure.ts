/** Formats an error as one readable block: the attempts, the stage and cause of each failure, and advice. */

import {
  AbortError,
  type AddressAttempt,
  DialAllFailedError,
  type ErrorCode,
  type ErrorKind,
  Libp2pError,
  ListenError,
  TimeoutError
} from '../errors.ts'
import { attemptTable } from '../text/attempt-table.ts'
import { printable, reasonOf } from '../text/printable.ts'
import { type Output, rounded } from './output.ts'

const HUNG_UP =
  'The other side hung up: its log should say why. If it is not a libp2p node, check the port.'

/** Advice for a connection that was accepted and then failed; {@link ADVICE} is the fallback. */
const HANDSHAKE_ADVICE: Partial<Record<ErrorCode, string>> = {
  ERR_CONNECTION_REFUSED: HUNG_UP,
  ERR_TIMEOUT:
    'Check the port: it accepts connections but does not answer the handshake, unlike a libp2p node.',
  ERR_MULTISELECT: 'Check the port: what answers there is not a libp2p node.',
  ERR_UNSUPPORTED_PROTOCOL:
    'The two sides have no protocol in common: offer all of them (no --security), or what the other side has.',
  ERR_ENCRYPTION_FAILED:
    'Check the port; if a libp2p node listens there, its log should say why the handshake failed.'
}

/** Advice by error code; {@link ADVICE_BY_KIND} is the fallback. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  ERR_CONNECTION_REFUSED: 'Check the port, and that the other node is running and listening there.',
  ERR_UNREACHABLE: 'Check the address, and that this machine has a route to it.',
  ERR_TIMEOUT: 'Check that the other host is up, and that a firewall lets the port through.',
  ERR_DNS_NOT_FOUND: 'Check the spelling of the name.',
  ERR_DNS_NO_RECORDS: 'Check the name, and the protocol before it: /dns4, /dns6 or /dnsaddr.',
  ERR_DNS_TIMEOUT: 'Check the name servers of this machine.',
  ERR_UNEXPECTED_PEER:
    'Check the /p2p part of the address: another peer answers, or the peer has a new key since its restart.',
  ERR_UPGRADE: 'Check that the other side speaks libp2p and offers the same security (--security).',
  ERR_MULTISELECT: 'The other side broke the protocol: its log should say why.',
  ERR_CONNECTION_ENDED: HUNG_UP,
  ERR_CONNECTION_RESET: HUNG_UP,
  ERR_DECRYPTION_FAILED:
    'Something on the path alters the bytes, or the other side is not who it claims to be.',
  ERR_NO_TRANSPORT: 'Use an address such as /ip4/127.0.0.1/tcp/4001/p2p/<peer id>.',
  ERR_UNSUPPORTED_PROTOCOL: 'The other side does not serve this protocol (perf is off by default).',
  ERR_LISTEN: 'Listen on another address: the text above says what this one lacks.',
  ERR_ADDRESS_IN_USE: 'Stop the listener on that port, or choose another (0 picks a free one).',
  ERR_ADDRESS_NOT_AVAILABLE: 'Listen on an address of this machine, or on /ip4/0.0.0.0.',
  ERR_PERMISSION: 'Ports below 1024 need permission: choose another one.',
  ERR_SELF_DIAL: 'This is the address of the node itself.'
}

const ADVICE_BY_KIND: Readonly<Record<ErrorKind, string>> = {
  misuse: 'See --help.',
  closed: 'Try again; if the other side closes each time, its log should say why.',
  remote: 'The other side broke off: its log should say why.',
  environment: 'Check the network between the two machines.',
  limit: 'Try again later, or raise the limit.',
  bug: 'This is a fault of ferroswarm: please report it with the text above.'
}

/** Attempts that were printed as they ended. */
const printed = new WeakSet<AddressAttempt>()

/** Prints an attempt that has failed while others go on. */
export function printAttempt(out: Output, attempt: AddressAttempt): void {
  printed.add(attempt)
  if (out.json) {
    out.event({ event: 'attempt', ...attemptFields(attempt) }, '')
    return
  }
  const { address, stage, elapsed, cause, hint, resolvedFrom } = attempt
  const from = resolvedFrom === undefined ? '' : ` from ${resolvedFrom}`
  const why = hint === '' ? cause.message : `${cause.message} (${hint})`
  const how = stage === 'filter' ? 'not tried' : `${stage} failed after ${Math.round(elapsed)} ms`
  const line = `${address}${from}: ${how}: ${why}`
  process.stderr.write(`  ${printable(line)}\n`)
}

/** The fields of an attempt in `--json`. */
export function attemptFields(attempt: AddressAttempt): Readonly<Record<string, unknown>> {
  return {
    address: attempt.address,
    resolvedFrom: attempt.resolvedFrom ?? null,
    stage: attempt.stage,
    code: attempt.cause.code,
    message: attempt.cause.message,
    elapsedMs: rounded(attempt.elapsed),
    hint: attempt.hint
  }
}

/** Prints an error of `verb`; `doing` is the failed operation as a clause. */
export function printFailure(out: Output, verb: string, doing: string, err: unknown): void {
  const attempts = attemptsOf(err)
  const telling = furthest(attempts)
  const reason = telling?.cause ?? rootOf(err)
  const message = reasonOf(err)
  const event = {
    event: 'error',
    code: codeOf(err),
    message,
    attempts: attempts.map(attemptFields)
  }
  const rest = attempts.filter((attempt) => !printed.has(attempt))
  const lines = [
    `${out.style('red', `ferroswarm ${verb}: ${doing} failed`)} (${codeOf(err)})`,
    ...(rest.length === 0 ? [] : attemptTable(rest).map((line) => `  ${line}`)),
    ...(attempts.length === 0 ? [`  ${message}`] : []),
    ...(attempts.length === 0 && reason.message !== message
      ? [`  because: ${reason.message}`]
      : []),
    `  ${out.style('bold', 'What to do:')} ${adviceFor(reason, telling?.stage)}`
  ]
  if (out.json) out.event(event, '')
  else process.stderr.write(`${lines.join('\n')}\n`)
}

/** Returns the attempts of a failed dial or listen. */
export function attemptsOf(err: unknown): readonly AddressAttempt[] {
  if (err instanceof DialAllFailedError || err instanceof ListenError) return err.attempts
  return err instanceof TimeoutError ? (err.attempts ?? []) : []
}

/** Stages in their order. */
const STAGES: readonly AddressAttempt['stage'][] = [
  'listen',
  'filter',
  'gate',
  'resolve',
  'connect',
  'psk',
  'security',
  'muxer'
]

/** Returns the attempt that got furthest: it says most about the other side. */
export function furthest(attempts: readonly AddressAttempt[]): AddressAttempt | undefined {
  const rank = ({ stage }: AddressAttempt): number => STAGES.indexOf(stage)
  return attempts.reduce<AddressAttempt | undefined>(
    (best, next) => (best === undefined || rank(next) > rank(best) ? next : best),
    undefined
  )
}

/** Returns the last error of this package in the chain of causes: the most specific one. */
function rootOf(err: unknown): Error {
  let root = err instanceof Error ? err : new Error(reasonOf(err))
  while (root.cause instanceof Libp2pError) root = root.cause
  return root
}

function codeOf(err: unknown): string {
  if (err instanceof AbortError) return 'ERR_INTERRUPTED'
  if (err instanceof Libp2pError) return err.code
  // Every value but null and undefined allows property access.
  const { code } = (err ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : 'ERR_FAILED'
}

/** Returns what the reader of an error can do about it. */
export function adviceFor(reason: Error, stage: AddressAttempt['stage'] | undefined): string {
  if (reason instanceof AbortError) return 'Nothing: the command was interrupted.'
  if (!(reason instanceof Libp2pError)) return 'See the text above.'
  const inHandshake = stage === 'psk' || stage === 'security' || stage === 'muxer'
  const advice = inHandshake ? HANDSHAKE_ADVICE[reason.code] : undefined
  return advice ?? ADVICE[reason.code] ?? ADVICE_BY_KIND[reason.kind]
}
