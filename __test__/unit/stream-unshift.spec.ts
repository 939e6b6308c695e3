import test from 'ava'
import { StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  IncompleteReadError,
  InvalidParametersError,
  StreamEOFError
} from '../../ts/errors.ts'
import { readExactly } from '../../ts/io/read-exactly.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

test('an aborted readExactly gives back the bytes that it had read', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const controller = new AbortController()
  const read = readExactly(stream, 5, { signal: controller.signal })
  fake.deliver(handle, [1, 2])
  await turn()
  controller.abort()
  await t.throwsAsync(read, { instanceOf: AbortError })
  fake.deliver(handle, [3, 4, 5])
  t.deepEqual(await readExactly(stream, 5), bytes(1, 2, 3, 4, 5))
})

test('unshifted bytes come first, also for a pending read and after the end', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const read = stream.read(2)
  stream.unshift(bytes(1, 2, 3))
  t.deepEqual(await read, bytes(1, 2))
  t.deepEqual(stream.tryRead(), bytes(3))
  fake.end(handle)
  await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
  stream.unshift(bytes(4))
  t.deepEqual(await stream.read(9), bytes(4))
  await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
  t.throws(() => stream.unshift('4' as never), { instanceOf: InvalidParametersError })
  await stream.close()
  stream.unshift(bytes(5))
  t.is(stream.state, StreamState.CLOSE_BOTH)
})

test('an incomplete read reports the transport and the age of the connection', async (t) => {
  const { fake, clock, connection, open } = fakeConnection()
  const { stream, handle } = await open()
  t.deepEqual(stream.connState(), { transport: 'tcp', openedAt: clock.now() })
  t.is(stream.connection, connection)
  fake.deliver(handle, [1])
  fake.end(handle)
  const err = await t.throwsAsync(readExactly(stream, 5), { instanceOf: IncompleteReadError })
  t.like(err, { expectedBytes: 5, receivedBytes: 1, transport: 'tcp' })
  t.regex(err.message, /over tcp after [\d.]+ s/)
})
