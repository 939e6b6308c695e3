/** Dials, told to the log when they begin and when they end. */
import type { Clock } from '../clock.ts'
import { Connection } from '../connection.ts'
import { type AddressAttempt, DialAllFailedError } from '../errors.ts'
import type { Log } from './log.ts'

/** Whom a call dials, and where. */
export interface DialTarget {
  /** Who must answer; anybody if undefined. */
  readonly peer: string | undefined
  readonly addresses: readonly string[]
  /** Addresses that nothing here can dial. */
  readonly refused: readonly AddressAttempt[]
}

/** Tell of a dial that has just begun, at `debug`; a caller who joins another one's has lines of its own. */
export function tellDial(
  log: Log,
  clock: Clock,
  { peer, addresses, refused }: DialTarget,
  dial: Promise<Connection>
): void {
  const began = clock.now()
  const tell = (line: string): void => void log.write('debug', 'dial', line)
  const after = (): string => `after ${clock.now() - began} ms`
  const places = [...addresses, ...refused.map(({ address }) => address)].join(', ')
  tell(`dialling ${[peer, places].filter(Boolean).join(' at ')}`)
  dial.then(
    (connection) => {
      const { id, peer: reached, remoteAddressText } = Connection.core(connection)
      tell(`dialled ${reached} at ${remoteAddressText} ${after()}: connection ${id}`)
    },
    (err: unknown) => tell(`the dial of ${peer ?? places} failed ${after()}: ${reasonOf(err)}`)
  )
}

function reasonOf(err: unknown): string {
  if (!(err instanceof DialAllFailedError)) return err instanceof Error ? err.message : String(err)
  const reasons = err.attempts.map(
    ({ address, stage, elapsed, cause }) =>
      `${address} at ${stage} after ${Math.round(elapsed)} ms: ${cause.message}`
  )
  return reasons.join('; ')
}
