/** The native side needs exclusive memory access while it runs: memory that other threads write must not reach it. */
import test from 'ava'
import { fakeConnection } from '../support/fake-connection.ts'

test('shared memory never reaches the native side', async (t) => {
  const { engine, fake, open } = fakeConnection()
  const buffers: ArrayBufferLike[] = []
  const { read, write } = engine.hot
  engine.hot.read = (handle, into) => {
    buffers.push(into.buffer)
    return read(handle, into)
  }
  engine.hot.write = (handle, bytes) => {
    buffers.push(bytes.buffer)
    return write(handle, bytes)
  }
  const { stream, handle } = await open()
  await stream.write(new Uint8Array(new SharedArrayBuffer(100_000)))
  const into = new Uint8Array(new SharedArrayBuffer(4))
  fake.deliver(handle, [1, 2, 3])
  t.is(await stream.readInto(into), 3)
  t.deepEqual([...into], [1, 2, 3, 0])
  t.true(buffers.length >= 2)
  t.true(buffers.every((buffer) => buffer instanceof ArrayBuffer))
})
