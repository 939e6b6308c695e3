import test from 'ava'
import { selectionOf } from '../../ts/connection/strategy.ts'
import { ConnectionTable } from '../../ts/connection/table.ts'
import { Connectedness, toString as nameOf } from '../../ts/constants.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeConnection } from '../support/fake-connection.ts'

const MINUTE = 60_000

function setUp() {
  const clock = new FakeClock()
  const changes: string[] = []
  const name = (value: Connectedness): string => nameOf('Connectedness', value)
  const table = new ConnectionTable(
    clock,
    selectionOf('best', clock, () => {}),
    (peer, now, before) => {
      // What is reported is what is returned from now on.
      changes.push(`${peer}: ${name(before)} > ${name(now)}`)
      if (table.connectedness(peer) !== now) changes.push('not yet')
    }
  )
  const take = (): string[] => changes.splice(0)
  return { clock, table, take }
}

test('connectedness changes with the first and the last connection of a peer alone', (t) => {
  const { table, take } = setUp()
  const [one, two, other] = [fakeConnection(), fakeConnection(), fakeConnection()]
  table.add('a', one.connection)
  t.deepEqual(take(), ['a: NotConnected > Connected'])
  table.add('a', two.connection)
  table.add('b', other.connection)
  t.deepEqual(take(), ['b: NotConnected > Connected'])
  table.leave('a', one.connection)
  table.remove('a', one.connection, true)
  t.deepEqual(take(), [])
  table.leave('a', two.connection)
  t.deepEqual(take(), ['a: Connected > CanConnect'])
  table.remove('a', two.connection, false)
  t.deepEqual(take(), [])
  table.remove('b', other.connection, false)
  t.deepEqual(take(), ['b: Connected > NotConnected'])
})

test('an orderly end is forgotten after ten minutes, unless the peer comes back', (t) => {
  const { table, take, clock } = setUp()
  const { connection } = fakeConnection()
  table.add('a', connection)
  table.remove('a', connection, true)
  clock.advance(5 * MINUTE)
  table.add('b', connection)
  table.remove('b', connection, true)
  take()
  clock.advance(5 * MINUTE - 1)
  t.deepEqual(take(), [])
  clock.advance(1)
  t.deepEqual(take(), ['a: CanConnect > NotConnected'])
  t.is(clock.timers, 1)
  table.add('b', connection)
  t.deepEqual(take(), ['b: CanConnect > Connected'])
  clock.advance(20 * MINUTE)
  t.deepEqual(take(), [])
  t.is(table.connectedness('b'), Connectedness.Connected)
  // The last end decides.
  table.remove('b', connection, false)
  t.deepEqual(take(), ['b: Connected > NotConnected'])
  t.is(clock.timers, 0)
})

test('1,024 orderly ends are remembered, the oldest is forgotten first, and a clear forgets all', (t) => {
  const { table, take, clock } = setUp()
  const { connection } = fakeConnection()
  for (let index = 0; index < 1_025; index += 1) {
    table.add(`${index}`, connection)
    table.remove(`${index}`, connection, true)
  }
  t.deepEqual(take().slice(-3), [
    '1024: NotConnected > Connected',
    '0: CanConnect > NotConnected',
    '1024: Connected > CanConnect'
  ])
  t.is(table.connectedness('1'), Connectedness.CanConnect)
  table.clear()
  t.is(table.connectedness('1'), Connectedness.NotConnected)
  t.deepEqual([take(), clock.timers], [[], 0])
})
