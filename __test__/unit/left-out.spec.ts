/** Options in place of the omitted arguments before them. */
import test from 'ava'
import {
  AbortError,
  ConnectionClosedError,
  IncompleteReadError,
  InvalidParametersError,
  MissingLengthError,
  StreamClosedError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import { fakeConnection } from '../support/fake-connection.ts'

test('a read to the end takes its options alone', async (t) => {
  const { open, fake } = fakeConnection()
  const { stream, handle } = await open()
  const controller = new AbortController()
  const aborted = stream.read({ signal: controller.signal })
  controller.abort()
  await t.throwsAsync(aborted, { instanceOf: AbortError })
  fake.deliver(handle, [1, 2, 3])
  fake.end(handle)
  t.deepEqual([...(await stream.read({ maxBytes: 3 }))], [1, 2, 3])
})

test('a raw stream is opened with options alone', async (t) => {
  const { connection, fake } = fakeConnection()
  const controller = new AbortController()
  const raw = await connection.newStream({ signal: controller.signal })
  t.is(raw.protocol, undefined)
  t.deepEqual(
    fake.calls.filter((call) => call.startsWith('open')),
    ['open 500 []']
  )
  controller.abort()
  await t.throwsAsync(connection.newStream({ signal: controller.signal }), {
    instanceOf: AbortError
  })
})

test('unknown options are refused there too, and so are class instances', async (t) => {
  const { connection, open } = fakeConnection()
  const { stream } = await open()
  const unknown: object = { max: 1 }
  for (const misuse of [unknown, new Date(), []]) {
    t.throws(() => stream.read(misuse), { instanceOf: InvalidParametersError })
    t.throws(() => connection.newStream(misuse), { instanceOf: InvalidParametersError })
  }
})

test('an error takes its options alone, and has its standard message', (t) => {
  const cause = new Error('the cause')
  const errors = [
    [new AbortError({ cause }), new AbortError()],
    [new TimeoutError({ cause }), new TimeoutError()],
    [new StreamResetError({ cause }), new StreamResetError()],
    [new StreamClosedError({ cause }), new StreamClosedError()],
    [new ConnectionClosedError({ cause }), new ConnectionClosedError()],
    [new IncompleteReadError({ cause }), new IncompleteReadError()],
    [new MissingLengthError({ cause }), new MissingLengthError()]
  ] as const
  for (const [given, standard] of errors) {
    t.is(given.cause, cause)
    t.is(given.message, standard.message)
  }
  t.is(new StreamResetError({ errorCode: 7 }).errorCode, 7)
  t.is(new StreamResetError('why', { errorCode: 7 }).message, 'why')
})
