/** Compares the tables kept by both Rust and TypeScript, and those of the documents. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { CONNECTION_DEFAULTS, nativeTimeouts } from '../../ts/connection/config.ts'
import { DEFAULT_LIMITS, Direction, StreamState } from '../../ts/constants.ts'
import { DiagnosticCode, LEVEL_BITS } from '../../ts/diagnostics/codes.ts'
import { ERROR_CODES } from '../../ts/errors.ts'
import { unixPathFault } from '../../ts/identity/transport-forms.ts'
import { type HotCalls, native } from '../../ts/native/addon.ts'
import { COUNTER_NAMES } from '../../ts/native/counters.ts'
import * as diagnostic from '../../ts/native/diagnostic.ts'
import { Order } from '../../ts/native/outbox.ts'
import * as record from '../../ts/native/record.ts'
import { resolveQuic } from '../../ts/transport/quic-options.ts'
import { checkCertificates } from '../../ts/transport/websocket-options.ts'

type Numbers = Readonly<Record<string, number>>

/** Complete: the compiler requires every call. */
const CALLS: Readonly<Record<Exclude<keyof HotCalls, 'attachment'>, true>> = {
  drain: true,
  open: true,
  read: true,
  readLeft: true,
  readMessages: true,
  frame: true,
  write: true,
  submit: true,
  flush: true,
  flushBeforeDrain: true,
  closeRead: true,
  discard: true,
  remove: true,
  reset: true,
  resetBehind: true,
  setState: true,
  openForeign: true,
  feed: true,
  feedEnd: true,
  feedReset: true,
  take: true,
  feedPipe: true,
  takePipe: true,
  endPipe: true,
  dropPipe: true,
  answer: true,
  closeConnection: true,
  allowEarlyFin: true,
  counters: true,
  measure: true,
  listenTo: true,
  takeDiagnostics: true,
  hold: true
}

/** For each table of Rust: that of TypeScript, and the conversion from Rust names to TypeScript names. */
const TABLES: Readonly<Record<string, readonly [Numbers, (name: string) => string]>> = {
  errors: [ERROR_CODES, same],
  kinds: [record.RecordKind, camel],
  flags: [constants(record, /^FLAG_/), same],
  taken: [record.Taken, withoutPrefix('TAKEN_')],
  pipes: [record.PipeReady, withoutPrefix('PIPE_')],
  hooks: [record.GateHook, withoutPrefix('HOOK_')],
  lists: [record.GateList, withoutPrefix('LIST_')],
  events: [record.MuxerEvent, withoutPrefix('EVENT_')],
  orders: [Order, withoutPrefix('ORDER_')],
  framings: [record.Framing, withoutPrefix('FRAMING_')],
  facts: [DiagnosticCode, lowerFirst],
  states: [StreamState, upperSnake],
  levels: [LEVEL_BITS, lowerFirst],
  directions: [{ Inbound: Direction.Inbound, Outbound: Direction.Outbound }, same],
  counters: [Object.fromEntries(COUNTER_NAMES.map((name, index) => [name, index])), camel],
  limits: [{ ...DEFAULT_LIMITS, ...nativeTimeouts(CONNECTION_DEFAULTS) }, camel],
  measures: [
    {
      ...constants(record, /^(RECORD_WORDS|RECORDS_PER_ENTRY|HANDLE_INDEX_MASK|HANDLE_PENDING)$/),
      ...constants(diagnostic, /^DIAGNOSTIC_/)
    },
    same
  ]
}

/** The numbers of the option `connections`, those of its member `reconnect` by their path. */
const CONNECTIONS = Object.fromEntries(
  Object.entries({
    ...CONNECTION_DEFAULTS,
    ...pathed('reconnect', CONNECTION_DEFAULTS.reconnect)
  }).filter(([, value]) => typeof value === 'number')
)

/** Tables of documents: the numbers, the page or pages, and a pattern of a row with its number and name. */
const DOCUMENTED: Readonly<
  Record<string, readonly [object | undefined, string | readonly string[], RegExp]>
> = {
  kinds: [TABLES.kinds?.[0], 'boundary.md', /^\| (?<number>\d+) \| (?<name>\w+) \|/gm],
  facts: [TABLES.facts?.[0], 'diagnostics.md', /^\| (?<number>\d+) \| `(?<name>\w+)` \|/gm],
  limits: [DEFAULT_LIMITS, 'limits.md', /^\| `limits\.(?<name>\w+)` \| (?<number>[\d,]+) \|/gm],
  connections: [
    CONNECTIONS,
    ['connections.md', 'connection-manager.md'],
    /^\| `connections\.(?<name>[\w.]+)` \| (?<number>[\d,]+) \|/gm
  ]
}

for (const [table, [numbers, named]] of Object.entries(TABLES)) {
  test(`the ${table} are the same in Rust and in TypeScript`, (t) => {
    const entries = Object.entries(native.nativeTables()[table] ?? {})
    t.deepEqual(Object.fromEntries(entries.map(([name, value]) => [named(name), value])), {
      ...numbers
    })
  })
}

for (const [table, [numbers, page, row]] of Object.entries(DOCUMENTED)) {
  test(`docs/${page} has the ${table} of TypeScript`, (t) => {
    const text = [page].flat().map(document).join('\n')
    const rows = [...text.matchAll(row)].map(({ groups }) => [
      groups?.name,
      Number(groups?.number?.replaceAll(',', ''))
    ])
    t.deepEqual(Object.fromEntries(rows), { ...numbers })
  })
}

test('the hot calls are those declared by TypeScript and described in docs/boundary.md', (t) => {
  const calls = Object.keys(native.nativeTables().calls ?? {}).sort()
  t.deepEqual(calls, Object.keys(CALLS).sort())
  const page = document('boundary.md')
  t.deepEqual(
    calls.filter((call) => !page.includes(`\`${call}(`) && !page.includes(`\`${call}\``)),
    []
  )
})

test('no table of Rust is left out', (t) => {
  const compared = [...Object.keys(TABLES), 'calls']
  t.deepEqual(Object.keys(native.nativeTables()).sort(), compared.sort())
})

/** Returns the numbers that a source file of Rust has where groups of a pattern match. */
function rust(path: string, pattern: RegExp): number[] {
  const source = readFileSync(new URL(`../../crates/${path}`, import.meta.url), 'utf8')
  return [...(pattern.exec(source)?.slice(1) ?? [])].map((text) => Number(text.replaceAll('_', '')))
}

test('the bounds of certificates and of paths of Unix sockets are the same in Rust and in TypeScript', (t) => {
  const [certificates = 0] = rust(
    'runtime/src/transport/websocket/certificates.rs',
    /const CERTIFICATES_MAX: usize = ([\d_]+);/
  )
  t.true(certificates > 0)
  const pem = { cert: 'a.pem', key: 'b.pem' }
  t.notThrows(() => checkCertificates(Array(certificates).fill(pem), 'certificate'))
  t.throws(() => checkCertificates(Array(certificates + 1).fill(pem), 'certificate'), {
    message: `expected certificate to have at most ${certificates} entries, received ${certificates + 1}`
  })
  const [onLinux = 0, elsewhere = 0] = rust(
    'runtime/src/transport/unix.rs',
    /const PATH_BYTES_MAX: usize = if cfg!\(any\(target_os = "linux", target_os = "android"\)\) \{\s+(\d+)\s+\} else \{\s+(\d+)\s+\};/
  )
  const path = ['linux', 'android'].includes(process.platform) ? onLinux : elsewhere
  t.true(path > 0)
  t.is(unixPathFault(`/${'a'.repeat(path - 1)}`), undefined)
  t.is(unixPathFault(`/${'a'.repeat(path)}`), `is a path of ${path + 1} bytes, of ${path} at most`)
})

test('the defaults of QUIC are the same in Rust and in TypeScript', (t) => {
  const of = (name: string, value: string): number[] =>
    rust('quic/src/config.rs', RegExp(`impl Default for Config \\{[^}]*\\b${name}: ${value},`))
  const seconds = (name: string): number =>
    1_000 * (of(name, 'Duration::from_secs\\((\\d+)\\)')[0] ?? 0)
  const mebibytes = (name: string): number => (of(name, '(\\d+) << 20')[0] ?? 0) * 2 ** 20
  t.deepEqual(resolveQuic(), {
    idleTimeout: seconds('idle_timeout'),
    keepAliveInterval: seconds('keep_alive_interval'),
    handshakeTimeout: seconds('handshake_timeout'),
    streamWindow: mebibytes('stream_window'),
    connectionWindow: mebibytes('connection_window'),
    maxStreams: of('streams_max', '(\\d+)')[0] ?? 0
  })
})

function document(page: string): string {
  return readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
}

/** Returns the numbers that a module exports under matching names. */
function constants(module: object, names: RegExp): Numbers {
  return Object.fromEntries(Object.entries(module).filter(([name]) => names.test(name)))
}

function same(name: string): string {
  return name
}

/** Converts `STREAM_OPENED` and `bytes_read` to `streamOpened` and `bytesRead`. */
function camel(name: string): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

function withoutPrefix(prefix: string): (name: string) => string {
  return (name) => camel(name.slice(prefix.length))
}

/** Converts `AcceptFailed` to `acceptFailed`. */
function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

/** Converts `CloseRead` to `CLOSE_READ`. */
function upperSnake(name: string): string {
  return name.replace(/\B[A-Z]/g, '_$&').toUpperCase()
}

/** Returns the members of an object by their path. */
function pathed(path: string, object: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => [`${path}.${name}`, value])
  )
}
