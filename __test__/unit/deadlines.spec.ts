import test from 'ava'
import { Deadlines } from '../../ts/stream/deadlines.ts'
import { FakeClock } from '../support/fake-clock.ts'

function setUp() {
  const clock = new FakeClock()
  const fired: number[] = []
  const deadlines = new Deadlines(clock, (then) => {
    fired.push(-1)
    then()
  })
  const add = (inMs: number, id = inMs) => deadlines.add(clock.now() + inMs, () => fired.push(id))
  return { clock, fired, deadlines, add }
}

test('fires in order of time, after beforeExpiry', (t) => {
  const { clock, fired, add } = setUp()
  for (const ms of [30, 10, 20]) add(ms)
  clock.advance(15)
  t.deepEqual(fired, [-1, 10])
  clock.advance(100)
  t.deepEqual(fired, [-1, 10, -1, 20, -1, 30])
})

test('keeps one timer for any number of deadlines, and none without deadlines', (t) => {
  const { clock, deadlines, add } = setUp()
  const all = Array.from({ length: 100 }, (_, index) => add(1_000 - index))
  t.is(clock.timers, 1)
  for (const deadline of all) deadlines.cancel(deadline)
  t.is(clock.timers, 0)
  t.is(deadlines.size, 0)
})

test('a cancelled deadline does not fire; cancelling twice is harmless', (t) => {
  const { clock, fired, deadlines, add } = setUp()
  const cancelled = add(10)
  add(20)
  deadlines.cancel(cancelled)
  deadlines.cancel(cancelled)
  t.is(deadlines.size, 1)
  clock.advance(50)
  t.deepEqual(
    fired.filter((id) => id > 0),
    [20]
  )
})

test('fires every one of ten thousand in order, a third of them cancelled', (t) => {
  const { clock, fired, deadlines, add } = setUp()
  let seed = 7
  const all = Array.from({ length: 10_000 }, () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return add(1 + (seed % 5_000))
  })
  for (const [index, deadline] of all.entries()) if (index % 3 === 0) deadlines.cancel(deadline)
  clock.advance(6_000)
  const ids = fired.filter((id) => id > 0)
  t.is(ids.length, 6_666)
  t.deepEqual(
    ids,
    ids.toSorted((a, b) => a - b)
  )
  t.is(deadlines.size, 0)
})

test('accepts a deadline that is added while others fire', (t) => {
  const { clock, fired, deadlines, add } = setUp()
  deadlines.add(clock.now() + 10, () => add(10, 99))
  clock.advance(50)
  t.deepEqual(
    fired.filter((id) => id > 0),
    [99]
  )
})
