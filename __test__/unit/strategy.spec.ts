import test from 'ava'
import { type ConnectionStrategy, selectionOf } from '../../ts/connection/strategy.ts'
import { ConnectionTable } from '../../ts/connection/table.ts'
import type { Connection } from '../../ts/connection.ts'
import { StreamResetError, TimeoutError, UnsupportedProtocolError } from '../../ts/errors.ts'
import type { ConnectionConfig } from '../../ts/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeConnection } from '../support/fake-connection.ts'

/** Three connections to one peer, oldest first, by a strategy. */
function setUp(strategy: ConnectionConfig['strategy'] = 'best') {
  const fakes = [fakeConnection(), fakeConnection(), fakeConnection()]
  const connections = fakes.map(({ connection }) => connection)
  const peer = `${connections[0]?.remotePeer}`
  const clock = new FakeClock()
  const errors: unknown[] = []
  const table = new ConnectionTable(
    clock,
    selectionOf(strategy, clock, (err) => errors.push(err))
  )
  for (const connection of connections) table.add(peer, connection)
  return {
    table,
    peer,
    clock,
    errors,
    connections,
    /** The order as positions in the order of opening. */
    order: () => table.ranked(peer).map((connection) => connections.indexOf(connection)),
    async open(counts: readonly number[]) {
      for (const [index, count] of counts.entries()) {
        for (let opened = 0; opened < count; opened += 1) await fakes[index]?.open()
      }
    }
  }
}

function withRoundTrip(connection: Connection | undefined, roundTripMs: number | undefined): void {
  const none = { bytesReceived: 0, bytesSent: 0, framesReceived: 0, framesSent: 0 }
  const value = () => ({ ...none, roundTripMs })
  Object.defineProperty(connection, 'counters', { value, configurable: true })
}

// S13
test('best takes the most streams, then the newest', async (t) => {
  const { order, open } = setUp()
  t.deepEqual(order(), [2, 1, 0])
  await open([1, 2, 1])
  t.deepEqual(order(), [1, 2, 0])
})

// S13
test('least_loaded takes the fewest streams, then the newest', async (t) => {
  const { order, open } = setUp('least_loaded')
  t.deepEqual(order(), [2, 1, 0])
  await open([1, 2, 1])
  t.deepEqual(order(), [2, 0, 1])
})

// S13
test('round_robin cycles, and looking at the order does not advance it', (t) => {
  const { order, table, peer, connections } = setUp('round_robin')
  const picked: number[] = []
  for (let turn = 0; turn < 7; turn += 1) {
    t.deepEqual(order(), order())
    const [next = 0] = order()
    picked.push(next)
    table.picked(connections[next] as Connection)
  }
  t.deepEqual(picked, [0, 1, 2, 0, 1, 2, 0])
  const late = fakeConnection().connection
  table.add(peer, late)
  t.is(table.ranked(peer)[0], late)
  table.picked(late)
  table.remove(peer, connections[1] as Connection, true)
  t.deepEqual(order(), [2, 0, -1])
})

// S13
test('latency_based takes the lowest round trip, and an unknown one last', (t) => {
  const { order, connections } = setUp('latency_based')
  t.deepEqual(order(), [2, 1, 0])
  withRoundTrip(connections[0], 30)
  withRoundTrip(connections[1], 20)
  t.deepEqual(order(), [1, 0, 2])
  withRoundTrip(connections[2], 20)
  t.deepEqual(order(), [2, 1, 0])
})

// S13
test('health_based weighs round trip, ends of streams and age', (t) => {
  const { order, connections, table, clock } = setUp('health_based')
  t.deepEqual(order(), [2, 1, 0])
  for (const connection of connections) withRoundTrip(connection, 100)
  withRoundTrip(connections[1], 50)
  t.deepEqual(order(), [1, 2, 0])
  const ended = (which: number, failure: Error | undefined): void =>
    table.streamEnded(connections[which] as Connection, failure)
  // 0.4 * 0.05 of latency against 0.4 * 0.3 of success.
  ended(1, new TimeoutError('silent'))
  t.deepEqual(order(), [2, 0, 1])
  ended(2, new StreamResetError({ remote: true, errorCode: 0 }))
  ended(2, new StreamResetError({ remote: true, errorCode: 0 }))
  t.deepEqual(order(), [0, 1, 2])
  // Neither a local reset nor a refused protocol is the fault of a connection, and success makes up for failures.
  ended(0, new StreamResetError({ remote: false, errorCode: 0 }))
  ended(0, new UnsupportedProtocolError('none'))
  for (let streams = 0; streams < 20; streams += 1) ended(1, undefined)
  t.deepEqual(order(), [1, 0, 2])
  // An unknown round trip scores as one of a second.
  withRoundTrip(connections[1], undefined)
  withRoundTrip(connections[0], 2_000)
  t.deepEqual(order(), [2, 0, 1])
  // A whole hour counts for 0.2.
  clock.advance(3_600_000)
  for (const which of [0, 2]) {
    const stat = { ...connections[which]?.stat, opened: clock.now() }
    Object.defineProperty(connections[which], 'stat', { value: stat })
  }
  t.deepEqual(order(), [1, 2, 0])
})

test('with one connection no strategy is asked', (t) => {
  const { table, peer, connections } = setUp(() => t.fail() as never)
  table.remove(peer, connections[0] as Connection, true)
  table.remove(peer, connections[1] as Connection, true)
  t.deepEqual(table.ranked(peer), [connections[2]])
})

test('a function orders a copy, may leave connections out, and sees usable ones only', (t) => {
  const seen: number[] = []
  const { order, table, peer, connections, errors } = setUp((given) => {
    seen.push(given.length)
    const [, ...rest] = given
    // A function that sorts in place harms nothing.
    ;(given as Connection[]).length = 0
    return rest
  })
  t.deepEqual(order(), [1, 2])
  t.is(table.of(peer).length, 3)
  t.deepEqual(seen, [3])
  void connections
  t.deepEqual(errors, [])
})

test('a function that leaves all connections out is reported once', (t) => {
  const { order, errors } = setUp(() => [])
  t.deepEqual([order(), order()], [[], []])
  t.is(errors.length, 1)
  t.regex(`${errors[0]}`, /list that is not empty/)
})

test('a function that throws, or returns anything else, is reported and replaced by best', (t) => {
  const stranger = fakeConnection().connection
  const wrong: unknown[] = [
    () => {
      throw new Error('thrown')
    },
    () => undefined,
    () => [stranger],
    () => ({ 0: stranger }),
    async () => {
      throw new Error('rejected')
    }
  ]
  for (const strategy of wrong) {
    const { order, errors } = setUp(strategy as ConnectionStrategy)
    t.deepEqual(order(), [2, 1, 0])
    t.is(errors.length, 1, `${strategy}`)
    t.true(errors[0] instanceof Error)
  }
})
