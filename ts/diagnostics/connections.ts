/** Connections that come and go, told to the log and to the channels. */
import type { ConnectionCore } from '../connection/core.ts'
import {
  type ConnectionMessage,
  connectionClose,
  connectionOpen,
  publishEnded,
  tracedUpgrade
} from './channels.ts'
import type { Log } from './log.ts'

/** Messages of connections that somebody heard of, so that their end has the same object. */
const messages = new WeakMap<ConnectionCore, ConnectionMessage>()

/** A connection is up. */
export function connectionOpened(core: ConnectionCore, log: Log): void {
  if (connectionOpen.hasSubscribers) connectionOpen.publish(messageOf(core))
  if (tracedUpgrade.hasSubscribers) {
    const { connection, direction } = core
    const { swarm } = core.host
    const address = core.remoteAddressText
    publishEnded(tracedUpgrade, { swarm, direction, address, stage: undefined, result: connection })
  }
  if (log.hears('debug')) {
    const { direction, id, remoteAddressText } = core
    log.write('debug', 'connection', `${direction} connection ${id} is open: ${remoteAddressText}`)
  }
}

/** A connection has ended. */
export function connectionClosed(core: ConnectionCore, log: Log): void {
  const { closeReason } = core
  if (connectionClose.hasSubscribers) {
    const message = messageOf(core)
    message.reason = closeReason
    connectionClose.publish(message)
  }
  if (log.hears('debug')) {
    const why = closeReason?.error?.message ?? `code ${closeReason?.closeCode ?? 0}`
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
