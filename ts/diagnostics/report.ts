/** Diagnostic facts of the native side into lines of the log and messages of the channels. */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { DialStage, Limits } from '../constants.ts'
import type { NativeDiagnostic } from '../native/diagnostic.ts'
import { nativeError } from '../native/native-error.ts'
import type { Swarm } from '../swarm.ts'
import { connectionRefused, publishEnded, tracedUpgrade } from './channels.ts'
import {
  type DiagnosticName,
  diagnosticLevel,
  diagnosticName,
  type LogLevel,
  NAMESPACES
} from './codes.ts'
import type { Log } from './log.ts'
import { Repeats } from './repeats.ts'

/** What a logger gets beside the line: the fact for programs. */
export interface Diagnostic {
  readonly name: DiagnosticName
  readonly code: number
  readonly level: LogLevel
  /** Milliseconds since the epoch. */
  readonly time: number
  /** The connection that it is about, if there is one. */
  readonly connection: string | undefined
  /** Where the remote is, or the listener. */
  readonly address: string | undefined
  /** The cause in one clause; may be empty. */
  readonly cause: string
  /** Numbers by name; docs/diagnostics.md says which. */
  readonly details: Readonly<Record<string, number | string>>
  /** Facts of this kind and cause that the connection had since the last line and that have none of their own. */
  readonly suppressed: number
}

const STAGES: Readonly<Record<number, DialStage>> = { 1: 'dial', 2: 'security', 3: 'muxer' }

/** Tells the facts of one swarm to whoever listens. */
export class Reports {
  readonly #swarm: Swarm
  readonly #log: Log
  readonly #repeats: Repeats

  constructor(swarm: Swarm, log: Log, clock: Clock) {
    this.#swarm = swarm
    this.#log = log
    this.#repeats = new Repeats(clock)
  }

  /** Something has happened, maybe to a connection that is still there. */
  report(native: NativeDiagnostic, connection: Connection | undefined): void {
    const name = diagnosticName(native.code)
    if (name === undefined) return
    publish(this.#swarm, name, native)
    if (!this.#log.hears(diagnosticLevel(native.code))) return
    const suppressed = this.#repeats.admit(name, native, connection)
    if (suppressed !== undefined) this.#tell(name, native, connection, suppressed)
  }

  /** A connection has ended: what it had over and over is told now, and so is what came before its opening. */
  ended(connection: Connection): void {
    this.#end(undefined)
    this.#end(connection)
  }

  #end(subject: Connection | undefined): void {
    this.#repeats.end(subject, (native, suppressed) => {
      const name = diagnosticName(native.code)
      if (name !== undefined) this.#tell(name, native, subject, suppressed)
    })
  }

  /** So many facts nobody will see. */
  dropped(count: number): void {
    if (count === 0 || !this.#log.hears('warn')) return
    const message = `${count} diagnostic facts were dropped: there were too many at a time`
    this.#log.write('warn', 'swarm', message)
  }

  #tell(
    name: DiagnosticName,
    native: NativeDiagnostic,
    connection: Connection | undefined,
    suppressed: number
  ): void {
    const { code, time, address, text: cause } = native
    const level = diagnosticLevel(code)
    const details = detailsOf(name, native.details)
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
  const { address, text } = native
  const [first, second] = native.details
  if (name === 'connectionRefused' && connectionRefused.hasSubscribers) {
    // The text of this fact is the name of an option, of `limits` alone.
    const option = text as keyof Limits
    connectionRefused.publish({ swarm, address, option, limit: first, current: second })
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
  [first, second, third]: NativeDiagnostic['details']
): Details {
  switch (name) {
    case 'acceptFailed':
      return { errno: first, failures: second }
    case 'socketFailed':
      return { errno: first }
    case 'connectionRefused':
    case 'memoryShed':
    case 'readPaused':
    case 'streamRefused':
      return { limit: first, current: second }
    case 'budgetSpent':
    case 'muxerFailed':
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

/** The third number of a failed upgrade: a TLS alert where the handshake failed, else the system's. */
function numbered(errorCode: number, number: number): Details {
  return errorCode < 400 ? { alert: number } : { errno: number }
}

type Message = (where: string, cause: string, details: Details) => string

const MESSAGES: Readonly<Record<DiagnosticName, Message>> = {
  acceptFailed: (where, cause, { failures }) =>
    `connections to ${where} cannot be accepted: ${cause} (${failures === 1 ? 'once' : `${failures} times`})`,
  internal: (where) => `a task of connection ${where} panicked: please report this`,
  connectionRefused: (where, option, { limit }) =>
    `a connection from ${where} was refused: limits.${option} is ${limit}`,
  budgetSpent: (where, cause) => `connection ${where} is closed: ${cause}`,
  memoryShed: (where, option, { limit, current }) =>
    `a stream of connection ${where} was reset: ${current} bytes are not read, limits.${option} is ${limit}`,
  readPaused: (where, _, { current, limit }) =>
    `connection ${where} is not read: ${current} bytes wait for this thread, ${limit} may`,
  streamRefused: (where, option, { limit }) =>
    `a stream of connection ${where} was refused: ${option} is ${limit}`,
  upgradeFailed: (where, cause, { stage }) =>
    `a connection from ${where} failed at ${stage}: ${cause}`,
  muxerFailed: (where, cause) =>
    `the remote of connection ${where} broke the muxer's protocol: ${cause}`,
  recordFailed: (where, cause) => `connection ${where} ended: ${cause}`,
  connectionStalled: (where, stall) => `connection ${where} ended: ${STALLS[stall] ?? stall}`,
  socketFailed: (where, cause) => `the socket of connection ${where} failed: ${cause}`,
  upgradeAbandoned: (where, cause, { stage }) =>
    `a connection from ${where} left at ${stage}: ${cause}`
}

const STALLS: Readonly<Record<string, string>> = {
  keepalive: 'no answer to a keepalive ping',
  write: 'the remote takes no bytes',
  frame: 'a frame is not completed in time'
}
