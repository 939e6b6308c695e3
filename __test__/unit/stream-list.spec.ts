import test from 'ava'
import type { StreamCore } from '../../ts/stream/core.ts'
import { StreamList } from '../../ts/stream/list.ts'

/** Only the number and the place of a stream are used. */
const streamOf = (number: number): StreamCore => ({ number, place: -1 }) as StreamCore

test('holds what was added and not removed, in the order of the numbers', (t) => {
  const list = new StreamList()
  const streams = Array.from({ length: 10 }, (_, number) => streamOf(number))
  for (const stream of streams) list.add(stream)
  for (const number of [0, 9, 4, 5]) t.true(list.delete(streams[number] as StreamCore))
  const late = streamOf(10)
  list.add(late)
  const left = [1, 2, 3, 6, 7, 8].map((number) => streams[number] as StreamCore)
  t.deepEqual(list.inOrder(), [...left, late])
  t.true([...left, late].every((stream) => [...list].includes(stream)))
  t.is(list.size, 7)
  for (const stream of list.inOrder()) t.true(list.delete(stream))
  t.deepEqual([list.size, list.inOrder()], [0, []])
})

test('removes a stream once, and none that is not its own', (t) => {
  const [list, other] = [new StreamList(), new StreamList()]
  const [first, second] = [streamOf(1), streamOf(2)]
  t.false(list.delete(first))
  list.add(first)
  other.add(second)
  t.false(list.delete(second))
  t.true(list.delete(first))
  t.false(list.delete(first))
  t.deepEqual([list.size, other.size], [0, 1])
})
