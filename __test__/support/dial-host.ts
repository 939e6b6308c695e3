/** A dialer over the scripted addon, whose dials end as a test decides. */
import { ConnectionTable } from '../../ts/connection/table.ts'
import { Log } from '../../ts/diagnostics/log.ts'
import type { Logger } from '../../ts/diagnostics/logger.ts'
import { AddressManager } from '../../ts/dial/address-manager.ts'
import { Dialer, type DialHost } from '../../ts/dial/dialer.ts'
import type { DialSink } from '../../ts/dial/native-dials.ts'
import type { PlannedAttempt } from '../../ts/dial/plan.ts'
import type { DialDetail } from '../../ts/dial/report.ts'
import { type RetryConfig, resolveRetry } from '../../ts/dial/retry.ts'
import { ERROR_CODES, type ErrorCode } from '../../ts/errors.ts'
import type { ConnectionGater } from '../../ts/gate/gater.ts'
import { Hooks } from '../../ts/gate/hooks.ts'
import type { NativeAttempt, NativeAttempts, NativeDialOptions } from '../../ts/native/addon.ts'
import { RecordKind } from '../../ts/native/record.ts'
import { TableBook } from '../../ts/peerstore/peer-book.ts'
import { Peerstore } from '../../ts/peerstore/peerstore.ts'
import { refusalError } from '../../ts/resource-manager/refusal.ts'
import type { TransportChoice } from '../../ts/transport/choice.ts'
import { Transports } from '../../ts/transport/transports.ts'
import { FakeClock } from './fake-clock.ts'
import { fakeConnection } from './fake-connection.ts'

export const SELF = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
export const at = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`
export const refused = (index: number): NativeAttempt => ({
  index,
  stage: 'connect',
  code: 406,
  detail: '',
  elapsedMs: 3
})

/** Retries are off unless given. */
export function setUp(
  logger: Partial<Logger> = {},
  retry: RetryConfig = { maxRetries: 0 },
  options: Partial<
    Pick<DialHost, 'dns' | 'isOwnAddress' | 'upgradeDialled'> &
      DialHost['options'] & {
        transports: readonly TransportChoice[]
        gater: ConnectionGater
        ruleOf: (address: string) => string | undefined
      }
  > = {}
) {
  const ended: DialDetail[] = []
  const failures: unknown[] = []
  const refusals: unknown[][] = []
  const onFailure = (err: unknown): void => void failures.push(err)
  const { fake, engine, clock, connection } = fakeConnection()
  const peer = connection.remotePeer.toString()
  const table = new ConnectionTable(clock)
  // Has its own clock, so that tests count neither its timer nor its readings.
  const peerstore = new Peerstore({ clock: new FakeClock() })
  const book = new TableBook(peerstore.table)
  const dials: {
    request: number
    addresses: string[]
    parallel: number
    entries: PlannedAttempt[]
    initiator: boolean
    security: string[] | undefined
  }[] = []
  const cancelled: number[] = []
  const sinks = new Map<number, DialSink>()
  const attempts = new Map<number, NativeAttempts>()
  const node = {
    ...fake.node,
    dial: (
      request: number,
      addresses: string[],
      peers: string[],
      times: number[],
      parallel: number,
      options?: NativeDialOptions
    ) => {
      const entries = addresses.map((address, index) => {
        const [delayMs = 0, timeoutMs = 0, holdMs = 0] = times.slice(3 * index)
        return { address, peer: peers[index] ?? '', delayMs, timeoutMs, holdMs }
      })
      const { initiator = true, security } = options ?? {}
      dials.push({ request, addresses, parallel, entries, initiator, security })
    },
    takeAttempts: (request: number): NativeAttempts => {
      const { failed, underWay } = attempts.get(request) ?? { failed: [], underWay: [] }
      attempts.set(request, { failed: [], underWay })
      return { failed, underWay }
    },
    cancel: (request: number) => void cancelled.push(request),
    upgrade: () => 0
  }
  const host: DialHost = {
    engine,
    clock,
    node,
    options: {
      identity: { peer: SELF },
      log: new Log(logger, ''),
      addressManager: options.addressManager ?? new AddressManager(),
      retry: resolveRetry(retry),
      random: () => 0.5,
      connections: { dialTimeout: 10_000 },
      blackHoleDetection: options.blackHoleDetection ?? {}
    },
    gate: {
      hooks: options.gater && new Hooks(options.gater, { clock, onFailure }),
      ruleOf: options.ruleOf ?? (() => undefined),
      refused: (...refusal) => void refusals.push(refusal)
    },
    dns: options.dns ?? { resolve: () => Promise.reject(new Error('no resolver')) },
    limits: { peerDefault: { connections: 8, connectionsOutbound: 8 } },
    transports: new Transports(options.transports ?? ['tcp'], () => {}),
    upgradeDialled: options.upgradeDialled ?? (() => Promise.reject(new Error('no upgrades'))),
    isOwnAddress: options.isOwnAddress ?? (() => false),
    dialEnded: (detail) => void ended.push(detail()),
    onFailure,
    refusalError: (refusal) => refusalError(refusal, {}),
    connectionRefused: () => {},
    command: (begin, from) => engine.command(node, (request) => begin(node, request), from),
    expectDialled: (request, sink) => void sinks.set(request, sink),
    forgetDialled: (request) => void sinks.delete(request)
  }
  const dialer = new Dialer(host, table, book)
  const complete = (
    attempts?: NativeAttempt[],
    which = -1,
    failure: ErrorCode = 'ERR_DIAL_ALL_FAILED'
  ): void => {
    const request = dials.at(which)?.request ?? 0
    const code = attempts === undefined ? 0 : ERROR_CODES[failure]
    fake.results.set(request, attempts === undefined ? { code } : { code, attempts })
    if (code === 0) sinks.get(request)?.onConnection(connection, at(4001))
    fake.put(RecordKind.completion, request, code)
    fake.ring()
  }
  /** Sets the attempts of the last dial on the native side, and reports their failures unless `unreported`. */
  const progress = (state: Partial<NativeAttempts>, unreported = false): void => {
    const request = dials.at(-1)?.request ?? 0
    attempts.set(request, { failed: [], underWay: [], ...state })
    if (!unreported) sinks.get(request)?.onAttemptsFailed()
  }
  return {
    dialer,
    table,
    book,
    peerstore,
    dials,
    cancelled,
    complete,
    progress,
    clock,
    connection,
    peer,
    ended,
    failures,
    refusals
  }
}
