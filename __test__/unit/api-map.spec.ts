/** Compares docs/api-map.md with the package: every name in it exists, and every export is named. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import * as ferroswarm from '../../ts/index.ts'
import * as io from '../../ts/io/index.ts'
import * as libp2p from '../../ts/libp2p/index.ts'
import * as testing from '../../ts/testing/index.ts'

// Errors are exported by both entries, and are the same in both.
const MAIN: Readonly<Record<string, unknown>> = { ...ferroswarm }
const EXPORTS: Readonly<Record<string, unknown>> = {
  ...MAIN,
  ...io,
  ...testing,
  // `yamux` is another function there.
  ...Object.fromEntries(Object.entries(libp2p).map(([name, value]) => [`libp2p/${name}`, value]))
}

const VALUES = ['class', 'constant', 'enum', 'error', 'function']
const MAP = read('docs/api-map.md').split('## Not yet')[0] ?? ''

interface Row {
  readonly names: readonly string[]
  readonly kind: string
  readonly tests: readonly string[]
}

const rows: Row[] = MAP.split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| reference'))
  .map((line) => {
    const [, , names = '', kind = '', tests = ''] = line.split('|').map((cell) => cell.trim())
    return { names: quoted(names), kind, tests: quoted(tests) }
  })

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
}

function quoted(cell: string): string[] {
  return Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name ?? '')
}

function namesOf(kinds: readonly string[]): string[] {
  return rows.filter(({ kind }) => kinds.includes(kind)).flatMap(({ names }) => names)
}

test('every row has a name, a known kind and a test that exists', (t) => {
  t.true(rows.length > 60)
  for (const { names, kind, tests } of rows) {
    t.true(names.length > 0)
    t.true([...VALUES, 'method', 'type'].includes(kind), `${names}: ${kind}`)
    for (const path of tests) {
      t.true(existsSync(fileURLToPath(new URL(`../../${path}`, import.meta.url))), path)
    }
    t.true(tests.length > 0, `${names}`)
  }
})

test('every value in the map is exported, and every export is in the map', (t) => {
  t.deepEqual(namesOf(VALUES).sort(), Object.keys(EXPORTS).sort())
  for (const name of Object.keys(io)) {
    if (name in MAIN) t.is(EXPORTS[name], MAIN[name])
  }
})

test('values are of the kind in the map', (t) => {
  for (const name of namesOf(['error'])) {
    const made = EXPORTS[name] as { prototype: unknown }
    t.true(name === 'Libp2pError' || made.prototype instanceof ferroswarm.Libp2pError, name)
  }
  for (const name of namesOf(['class', 'function'])) t.is(typeof EXPORTS[name], 'function', name)
  for (const name of namesOf(['enum'])) {
    for (const value of Object.values(EXPORTS[name] as object)) t.is(typeof value, 'number', name)
  }
})

test('every member in the map exists, and every member is in the map', (t) => {
  const classes = {
    Connection: ferroswarm.Connection,
    Stream: ferroswarm.Stream,
    Swarm: ferroswarm.Swarm
  }
  const members = Object.entries(classes).flatMap(([name, { prototype }]) =>
    Object.getOwnPropertyNames(prototype)
      // Overridden members belong to the base class.
      .filter((member) => !(member in Object.getPrototypeOf(prototype)))
      .map((member) => `${name}.${member}`)
  )
  t.deepEqual(namesOf(['method']).sort(), members.sort())
})

test('every type in the map is imported by the type test', (t) => {
  const [, list = ''] =
    /export type Named = \[([^\]]*)\]/.exec(read('__test__/types/api-map.test-d.ts')) ?? []
  t.deepEqual(
    namesOf(['type']).sort(),
    list
      .split(',')
      .map((name) => name.trim())
      .sort()
  )
})

test('enumerations have the numbers and names of go', (t) => {
  t.deepEqual(Object.values(ferroswarm.Direction), [0, 1, 2])
  t.is(ferroswarm.toString('Direction', 2), 'Outbound')
  t.is(ferroswarm.toString('Reachability', 2), 'Private')
  t.is(ferroswarm.toString('NATDeviceType', 1), 'Cone')
  t.is(ferroswarm.toString('NATTransportProtocol', 0), 'UDP')
  t.is(ferroswarm.toString('StreamErrorCode', 0x1006), 'GarbageCollected')
  t.is(ferroswarm.toString('ConnectionErrorCode', 0x1005), 'GarbageCollected')
  t.is(ferroswarm.toString('Connectedness', 5), '(unrecognized)')
})
