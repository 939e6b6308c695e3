/** Turns native diagnostic facts into log lines and channel messages. */

import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { DialStage } from '../constants.ts'
import type { ResourceLimitExceededError } from '../errors.ts'
import { type NativeDiagnostic, refusalOf } from '../native/diagnostic.ts'
import { nativeError } from '../native/native-error.ts'
import { CLOSED, optionOf } from '../resource-manager/refusal.ts'
import type { Swarm } from '../swarm.ts'
import { printable } from '../text/printable.ts'
import { connectionRefused, publishEnded, tracedUpgrade } from './channels.ts'
import {
  DiagnosticCode,
  type DiagnosticName,
  diagnosticLevel,
  diagnosticName,
  type LogLevel,
  NAMESPACES
} from './codes.ts'
import type { LimitReports } from './limit-reports.ts'
import type { Log } from './log.ts'
import { Repeats } from './repeats.ts'

/** The structured form of a fact, passed to loggers with the line. */
export interface Diagnostic {
  readonly name: DiagnosticName
  readonly code: number
  readonly level: LogLevel
  /** Milliseconds since the epoch. */
  readonly time: number
  /** Id of the connection concerned, if any. */
  readonly connection: string | undefined
  /** Address of the remote or the listener. */
  readonly address: string | undefined
  /** The cause in one clause; may be empty. */
  readonly cause: string
  /** Named values, listed in docs/diagnostics.md. */
  readonly details: Readonly<Record<string, number | string>>
  /** Number of facts of this kind, cause and connection suppressed since the last line. */
  readonly suppressed: number
}

/** A refusal by the application's resource manager, which is no native fact but is reported as one. */
interface UserRefusal extends NativeDiagnostic {
  readonly error: ResourceLimitExceededError
}

/** The option that names the manager, as the cause of a refusal. */
const USER_OPTION = 'resourceManager'

const STAGES: Readonly<Record<number, DialStage>> = {
  1: 'connect',
  2: 'security',
  3: 'muxer',
  4: 'psk'
}

/** Reports the facts of one swarm to its log and to channel subscribers. */
export class Reports {
  readonly #swarm: Swarm
  readonly #log: Log
  readonly #clock: Clock
  readonly #limits: LimitReports | undefined
  readonly #gated: ((address: string, rule: string) => void) | undefined
  readonly #repeats: Repeats

  /** `gated` is called with each remote that the lists of the gate have refused. */
  constructor(
    swarm: Swarm,
    log: Log,
    clock: Clock,
    limits?: LimitReports,
    gated?: (address: string, rule: string) => void
  ) {
    this.#swarm = swarm
    this.#log = log
    this.#clock = clock
    this.#limits = limits
    this.#gated = gated
    this.#repeats = new Repeats(clock)
  }

  /** Reports a fact; `connection` is the one concerned, if it is still known. */
  report(native: NativeDiagnostic, connection: Connection | undefined): void {
    const name = diagnosticName(native.code)
    if (name === undefined) return
    if (name === 'connectionGated') this.#gated?.(native.address, native.text)
    const fact = withOption(name, native, this.#swarm.options.limits)
    publish(this.#swarm, name, fact)
    const direction = DIRECTIONS[name]
    if (fact.refusal !== undefined && direction !== undefined) {
      this.#limits?.refusedNatively(fact.refusal, fact.text, {
        ...direction,
        address: fact.address === '' ? undefined : fact.address,
        connection
      })
    }
    if (!this.#log.hears(diagnosticLevel(native.code))) return
    const suppressed = this.#repeats.admit(name, fact, connection)
    if (suppressed !== undefined) this.#write(name, fact, connection, suppressed)
  }

  /** Reports an inbound connection, or stream of a connection, refused by the application's resource manager. */
  refused(
    address: string,
    connection: Connection | undefined,
    refusal: ResourceLimitExceededError
  ): void {
    const name = connection === undefined ? 'connectionRefused' : 'streamRefused'
    const code = DiagnosticCode[name]
    const { scope, resource, limit, current } = refusal
    if (connection === undefined && connectionRefused.hasSubscribers) {
      connectionRefused.publish({
        swarm: this.#swarm,
        address,
        option: USER_OPTION,
        scope,
        resource,
        limit,
        current
      })
    }
    this.#limits?.refused(refusal, { direction: 'inbound', address, connection })
    if (!this.#log.hears(diagnosticLevel(code))) return
    const fact: UserRefusal = {
      code,
      node: 0,
      connection: 0,
      time: this.#clock.now(),
      details: [0, 0, 0],
      address,
      text: USER_OPTION,
      error: refusal
    }
    const suppressed = this.#repeats.admit(name, fact, connection)
    if (suppressed !== undefined) this.#write(name, fact, connection, suppressed)
  }

  /** Reports the suppressed facts of a connection that has ended, and those from before connections were reported. */
  ended(connection: Connection): void {
    this.#reportSuppressed(undefined)
    this.#reportSuppressed(connection)
  }

  #reportSuppressed(subject: Connection | undefined): void {
    this.#repeats.end(subject, (native, suppressed) => {
      const name = diagnosticName(native.code)
      if (name !== undefined) this.#write(name, native, subject, suppressed)
    })
  }

  /** Reports the number of facts lost to overflow. */
  dropped(count: number): void {
    if (count === 0 || !this.#log.hears('warn')) return
    const message = `${count} diagnostic facts were dropped: there were too many at a time`
    this.#log.write('warn', 'swarm', message)
  }

  #write(
    name: DiagnosticName,
    native: NativeDiagnostic | UserRefusal,
    connection: Connection | undefined,
    suppressed: number
  ): void {
    const { code, time, address, text: cause } = native
    const level = diagnosticLevel(code)
    const details = 'error' in native ? reasonOf(native.error) : detailsOf(name, native)
    const where = connection === undefined ? address : `${connection.id} (${address})`
    const diagnostic: Diagnostic = {
      name,
      code,
      level,
      time,
      connection: connection?.id,
      address: address === '' ? undefined : address,
      cause,
      details,
      suppressed
    }
    const more = suppressed === 0 ? '' : ` (and ${suppressed} more)`
    const message = `${MESSAGES[name](where, cause, details)}${more}`
    this.#log.write(level, NAMESPACES[name], message, diagnostic)
  }
}

function publish(swarm: Swarm, name: DiagnosticName, native: NativeDiagnostic): void {
  const { address, text, refusal } = native
  const [first, second] = native.details
  if (name === 'connectionRefused' && connectionRefused.hasSubscribers) {
    connectionRefused.publish({ swarm, address, option: text, ...figuresOf(refusal) })
  }
  if ((name === 'upgradeFailed' || name === 'upgradeAbandoned') && tracedUpgrade.hasSubscribers) {
    const error = nativeError(second, text)
    const stage = STAGES[first]
    publishEnded(tracedUpgrade, { swarm, direction: 'inbound', address, stage, error })
  }
}

type Details = Readonly<Record<string, number | string>>

function detailsOf(
  name: DiagnosticName,
  { details: [first, second, third], refusal }: NativeDiagnostic
): Details {
  switch (name) {
    case 'acceptFailed':
      return { errno: first, failures: second }
    case 'datagramsDropped':
      return { count: first }
    case 'socketFailed':
      return { errno: first }
    case 'connectionRefused':
    case 'memoryShed':
    case 'readPaused':
    case 'streamRefused':
    case 'writesHeld':
      return figuresOf(refusal)
    case 'budgetSpent':
    case 'muxerFailed':
    case 'transportFailed':
      return { closeCode: first }
    case 'recordFailed':
      return first === 0 ? {} : { alert: first }
    case 'upgradeFailed':
    case 'upgradeAbandoned': {
      const stage = STAGES[first] ?? ''
      return { stage, errorCode: second, ...(third === 0 ? {} : numbered(second, third)) }
    }
    default:
      return {}
  }
}

/** What a limit has refused, by the fact that reports it: a connection or stream, or memory. */
const DIRECTIONS: Partial<Record<DiagnosticName, { readonly direction: 'inbound' | undefined }>> = {
  connectionRefused: { direction: 'inbound' },
  streamRefused: { direction: 'inbound' },
  memoryShed: { direction: undefined },
  writesHeld: { direction: undefined }
}

/** Facts whose text describes a refusal by a limit. */
const REFUSALS: ReadonlySet<DiagnosticName> = new Set([
  'connectionRefused',
  'memoryShed',
  'readPaused',
  'streamRefused',
  'writesHeld'
])

/** Text in place of an option for limits that follow none. */
const BY_HAND = 'setLimit'

/** Bounds that are set elsewhere than in `limits`, or fixed. */
const OTHER_BOUNDS: ReadonlySet<string> = new Set(['maxInbound', 'awaiting', CLOSED])

/**
 * Returns the fact of a refusal with the option that sets the limit as its text. Refusals by the same option are
 * repetitions, whatever scope they are of: a remote may cause those of any number of scopes.
 */
function withOption(
  name: DiagnosticName,
  native: NativeDiagnostic,
  limits: object
): NativeDiagnostic {
  if (!REFUSALS.has(name)) return native
  const refusal = refusalOf(native.text)
  const { scope, resource, limit } = refusal
  const bound = OTHER_BOUNDS.has(resource) ? resource : `limits.${resource}`
  const option = (): string => optionOf(scope, resource, limits, limit) || BY_HAND
  return { ...native, refusal, text: scope === '' ? bound : option() }
}

interface RefusalFigures {
  readonly scope: string
  readonly resource: string
  readonly limit: number
  readonly current: number
}

const UNKNOWN: RefusalFigures = { scope: '', resource: '', limit: 0, current: 0 }

function figuresOf({ scope, resource, limit, current } = UNKNOWN): Details & RefusalFigures {
  return { scope, resource, limit, current }
}

/** Names the third number of a failed upgrade: a TLS alert if the handshake failed, else an errno. */
function numbered(errorCode: number, number: number): Details {
  return errorCode < 400 ? { alert: number } : { errno: number }
}

/** Returns the figures of a refusal that the application's resource manager has given, and its message. */
function reasonOf({ limit, current, message }: ResourceLimitExceededError): Details {
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(current === undefined ? {} : { current }),
    reason: message
  }
}

type Message = (where: string, cause: string, details: Details) => string

const MESSAGES: Readonly<Record<DiagnosticName, Message>> = {
  acceptFailed: (where, cause, { failures }) =>
    `connections to ${where} cannot be accepted: ${cause} (${failures === 1 ? 'once' : `${failures} times`})`,
  internal: (where) => `a task of connection ${where} panicked: please report this`,
  connectionRefused: (where, option, details) =>
    `a connection from ${where} was refused: ${whyRefused(option, details)}`,
  budgetSpent: (where, cause) => `connection ${where} is closed: ${cause}`,
  memoryShed: (where, option, { scope, limit, current }) =>
    `a stream of connection ${where} was reset: ${named(scope)} holds ${current} of ${limit} bytes (${option})`,
  readPaused: (where, _, { current, limit }) =>
    `connection ${where} is not read: ${current} bytes are pending, the limit is ${limit}`,
  streamRefused: (where, option, details) =>
    `a stream of connection ${where} was refused: ${whyRefused(option, details)}`,
  writesHeld: (where, option, { scope, limit, current }) =>
    `writers of connection ${where} are held back: ${named(scope)} holds ${current} of ${limit} bytes (${option})`,
  datagramsDropped: (where, _, { count }) =>
    `connection ${where} is too slow for its remote: ${count} datagrams were dropped, which are sent again`,
  upgradeFailed: (where, cause, { stage }) =>
    `a connection from ${where} failed at ${stage}: ${cause}`,
  muxerFailed: (where, cause) =>
    `the remote of connection ${where} broke the muxer's protocol: ${cause}`,
  recordFailed: (where, cause) => `connection ${where} ended: ${cause}`,
  connectionStalled: (where, stall) => `connection ${where} ended: ${STALLS[stall] ?? stall}`,
  socketFailed: (where, cause) => `the socket of connection ${where} failed: ${cause}`,
  quicFailed: (where, cause) => `connection ${where} ended, as QUIC was broken: ${cause}`,
  transportFailed: (where, cause) => `connection ${where} ended: ${cause}`,
  upgradeAbandoned: (where, cause, { stage }) =>
    `a connection from ${where} left at ${stage}: ${cause}`,
  connectionGated: (where, rule) => `a connection from ${where} was refused: ${rule}`
}

/** Returns the figures of a refusal by a scope, the bound of another one, or the message of the application's. */
function whyRefused(option: string, { scope, resource, current, limit, reason }: Details): string {
  if (reason !== undefined) return String(reason)
  if (resource === CLOSED) return 'the resource manager is closed'
  if (scope === '') return `${option} is ${limit}`
  if (resource === 'connectionsPerSecond') {
    return `${named(scope)} may open ${limit} connections per second, and ${current} at once (${option})`
  }
  return `${named(scope)} has ${current} of ${limit} ${resource} (${option})`
}

function named(scope: Details[string] | undefined): string {
  return printable(String(scope ?? ''))
}

const STALLS: Readonly<Record<string, string>> = {
  keepalive: 'no answer to a keepalive ping',
  write: 'the remote accepts no bytes',
  frame: 'a frame was not completed in time'
}
