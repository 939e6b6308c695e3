/** Reports dials and opened and closed connections to the log and to the channels. */
import type { Clock } from '../base/clock.ts'
import type { ConnectionCore } from '../connection/core.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { Connection } from '../connection.ts'
import { DialAllFailedError } from '../errors.ts'
import { reasonOf } from '../text/printable.ts'
import {
  type ConnectionMessage,
  connectionClose,
  connectionOpen,
  publishEnded,
  tracedUpgrade
} from './channels.ts'
import type { Log } from './log.ts'

/** Published messages by connection, so that its close event publishes the same object. */
const messages = new WeakMap<ConnectionCore, ConnectionMessage>()

/** Runs `dial` and logs its start and outcome at `debug`; a caller that joins a dial gets its own lines. */
export async function logDial(
  log: Log,
  clock: Clock,
  { peer, addresses }: { readonly peer: string | undefined; readonly addresses: readonly string[] },
  dial: () => Promise<Connection>
): Promise<Connection> {
  const began = clock.now()
  const report = (line: string): void => void log.write('debug', 'dial', line)
  const after = (): string => `after ${clock.now() - began} ms`
  const places = addresses.join(', ')
  report(`dialling ${[peer, places].filter(Boolean).join(' at ')}`)
  try {
    const connection = await dial()
    const { id, peer: reached, remoteAddressText } = connectionFacade.coreOf(connection)
    report(`dialled ${reached} at ${remoteAddressText} ${after()}: connection ${id}`)
    return connection
  } catch (err) {
    report(`the dial of ${peer ?? places} failed ${after()}: ${whyOf(err)}`)
    throw err
  }
}

/** Reports a connection as open. */
export function connectionOpened(core: ConnectionCore, log: Log): void {
  if (connectionOpen.hasSubscribers) connectionOpen.publish(messageOf(core))
  const { connection, direction } = core
  // One that the application has added was not upgraded here.
  if (core.muxed === undefined && direction !== 'unknown' && tracedUpgrade.hasSubscribers) {
    const { swarm } = core.host
    const address = core.remoteAddressText
    publishEnded(tracedUpgrade, { swarm, direction, address, stage: undefined, result: connection })
  }
  if (log.hears('debug')) {
    const { id, remoteAddressText } = core
    log.write('debug', 'connection', `${direction} connection ${id} is open: ${remoteAddressText}`)
  }
}

/** Reports a connection as closed. */
export function connectionClosed(core: ConnectionCore, log: Log): void {
  const { closeReason } = core
  if (connectionClose.hasSubscribers) {
    const message = messageOf(core)
    message.reason = closeReason
    connectionClose.publish(message)
  }
  if (log.hears('debug')) {
    const code = `code ${closeReason?.closeCode ?? 0}`
    const why = closeReason?.error?.message ?? (closeReason?.rule || code)
    const by = closeReason?.remote === true ? 'by the remote' : 'by us'
    log.write('debug', 'connection', `connection ${core.id} is closed ${by}: ${why}`)
  }
}

function messageOf(core: ConnectionCore): ConnectionMessage {
  const known = messages.get(core)
  if (known !== undefined) return known
  const message = { swarm: core.host.swarm, connection: core.connection, reason: undefined }
  messages.set(core, message)
  return message
}

function whyOf(err: unknown): string {
  if (!(err instanceof DialAllFailedError)) return reasonOf(err)
  const reasons = err.attempts.map(
    ({ address, stage, elapsed, cause }) =>
      `${address} at ${stage} after ${Math.round(elapsed)} ms: ${cause.message}`
  )
  return reasons.join('; ')
}
