import test from 'ava'
import { DialQueue } from '../../ts/dial/queue.ts'
import { AbortError, DialQueueFullError } from '../../ts/errors.ts'

/** A job that ends when the test says so. */
function job() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let hasStarted = false
  const run = (): Promise<string> => {
    hasStarted = true
    return promise
  }
  return { run, resolve, reject, hasStarted: () => hasStarted }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('jobs start by priority, and in order within one', async (t) => {
  const queue = new DialQueue({ running: 1 })
  const started: string[] = []
  const first = job()
  const all = [queue.add(first.run)]
  const add = (name: string, priority?: number): void => {
    const options = priority === undefined ? {} : { priority }
    all.push(queue.add(async () => String(started.push(name)), options))
  }
  add('a')
  add('b', 50)
  add('c', 90)
  add('d', 10)
  add('e', 90)
  t.deepEqual([queue.pending, queue.size], [1, 5])
  first.resolve('')
  await Promise.all(all)
  t.deepEqual(started, ['c', 'e', 'a', 'b', 'd'])
  await turn()
  t.deepEqual([queue.pending, queue.size], [0, 0])
})

test('a failed job makes room like any other', async (t) => {
  const queue = new DialQueue({ running: 1 })
  const [one, two] = [job(), job()]
  const failing = queue.add(one.run)
  const waiting = queue.add(two.run)
  one.reject(new Error('no'))
  await t.throwsAsync(failing, { message: 'no' })
  await turn()
  t.true(two.hasStarted())
  two.resolve('yes')
  t.is(await waiting, 'yes')
  await t.throwsAsync(
    queue.add(() => {
      throw new Error('at once')
    }),
    { message: 'at once' }
  )
})

test('100 jobs run, 500 wait, and the next one is refused', async (t) => {
  const queue = new DialQueue()
  const ending = job()
  const all = Array.from({ length: 600 }, () => queue.add(() => ending.run()))
  t.deepEqual([queue.pending, queue.size], [100, 500])
  await t.throwsAsync(queue.add(ending.run), { instanceOf: DialQueueFullError })
  ending.resolve('done')
  t.is((await Promise.all(all)).length, 600)
})

test('an aborted job is not started, and one under way keeps its place until it ends', async (t) => {
  const queue = new DialQueue({ running: 1 })
  const [one, two, three] = [job(), job(), job()]
  const [stop, leave] = [new AbortController(), new AbortController()]
  const running = queue.add(one.run, { signal: stop.signal })
  const waiting = queue.add(two.run, { signal: leave.signal })
  const last = queue.add(three.run)
  leave.abort()
  await t.throwsAsync(waiting, { instanceOf: AbortError })
  t.is(queue.size, 1)
  await turn()
  stop.abort()
  await t.throwsAsync(running, { instanceOf: AbortError })
  await turn()
  t.false(three.hasStarted())
  one.resolve('')
  await turn()
  t.true(three.hasStarted())
  three.resolve('')
  await last
  t.false(two.hasStarted())
  await t.throwsAsync(queue.add(two.run, { signal: AbortSignal.abort() }), {
    instanceOf: AbortError
  })
})

test('abort rejects every job that waits', async (t) => {
  const queue = new DialQueue({ running: 1 })
  const first = job()
  const running = queue.add(first.run)
  const waiting = queue.add(job().run)
  queue.abort()
  await t.throwsAsync(waiting, { instanceOf: AbortError })
  t.deepEqual([queue.pending, queue.size], [1, 0])
  first.resolve('kept')
  t.is(await running, 'kept')
})
