/**
 * Timeouts of carriers while the event loop is busy: an operation done before its timeout does not time out.
 *
 * The tests are serial: each blocks the shared loop.
 */
import { getEventListeners } from 'node:events'
import { stat } from 'node:fs'
import { Duplex } from 'node:stream'
import test from 'ava'
import { AbortError } from '../../ts/errors.ts'
import { fromDuplex, fromWebStreams, tcpStream } from '../../ts/io/index.ts'
import { bytesOf, textOf } from '../support/readers.ts'
import { socketPair } from '../support/sockets.ts'

const TIMEOUT_MS = 10
const BUSY_MS = 40

/** Blocks the event loop past the timeout. */
function block(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS)
}

const late = (): AbortSignal => AbortSignal.timeout(TIMEOUT_MS)

/** A Duplex whose writes complete on another thread; `written` collects its chunks. */
function slowSink(): { readonly duplex: Duplex; readonly written: Buffer[] } {
  const written: Buffer[] = []
  const duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      written.push(chunk)
      stat('.', () => done())
    }
  })
  return { duplex, written }
}

test.serial('a socket read returns bytes that arrived before its timeout', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const read = stream.read(5, { signal: late() })
  far.write('hello')
  block()
  t.is(textOf(await read), 'hello')
})

test.serial('a socket read reports an end that arrived before its timeout', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  // So that the end is sent within this turn.
  far.write('a')
  await stream.read(1)
  const read = stream.read(1, { signal: late() })
  far.end()
  await new Promise(setImmediate)
  block()
  t.is((await read).length, 0)
})

test.serial(
  'reads that wait in the queue return bytes that arrived before their timeout',
  async (t) => {
    const { near, far } = await socketPair(t)
    const stream = tcpStream(near)
    const reads = [
      stream.read(5),
      ...Array.from({ length: 3 }, () => stream.read(5, { signal: late() }))
    ]
    far.write('one  two  three')
    block()
    const [one, two, three, four] = await Promise.allSettled(reads)
    t.deepEqual(
      [one, two, three].map((read) => read?.status === 'fulfilled' && textOf(read.value)),
      ['one  ', 'two  ', 'three']
    )
    t.true(four?.status === 'rejected' && four.reason instanceof AbortError, 'nothing was left')
    far.write('later')
    t.is(textOf(await stream.read()), 'later')
  }
)

test.serial(
  'a queued read of Web streams returns bytes that arrived before its timeout',
  async (t) => {
    const { near, far } = await socketPair(t)
    const stream = fromWebStreams(
      Duplex.toWeb(near) as ReadableWritablePair<Uint8Array, Uint8Array>
    )
    const reads = [stream.read(3), stream.read(3, { signal: late() })]
    far.write('onetwo')
    block()
    t.deepEqual((await Promise.all(reads)).map(textOf), ['one', 'two'])
  }
)

test.serial('a write passed on before its timeout completes', async (t) => {
  const { duplex, written } = slowSink()
  const write = fromDuplex(duplex).write(bytesOf('hello'), { signal: late() })
  block()
  await t.notThrowsAsync(write)
  t.is(Buffer.concat(written).toString(), 'hello')
})

test.serial('a queued write is not begun after its timeout', async (t) => {
  const { duplex, written } = slowSink()
  const stream = fromDuplex(duplex)
  const writes = [
    stream.write(bytesOf('first')),
    stream.write(bytesOf('second'), { signal: late() })
  ]
  block()
  const [first, second] = await Promise.allSettled(writes)
  t.is(first?.status, 'fulfilled')
  t.true(second?.status === 'rejected' && second.reason instanceof AbortError)
  t.is(((second as PromiseRejectedResult).reason as AbortError).bytesAccepted, 0)
  t.is(Buffer.concat(written).toString(), 'first')
  await stream.write(bytesOf('third'))
  t.is(Buffer.concat(written).toString(), 'firstthird')
})

test.serial(
  'a timeout without any data ends the read, and leaves nothing on its signal',
  async (t) => {
    const { near, far } = await socketPair(t)
    const stream = tcpStream(near)
    const signal = late()
    const err = await t.throwsAsync(stream.read(1, { signal }), { instanceOf: AbortError })
    t.is((err.cause as Error).name, 'TimeoutError')
    t.is(getEventListeners(signal, 'abort').length, 0)
    far.write('a')
    t.is(textOf(await stream.read(1)), 'a')
  }
)

test.serial('an abort other than a timeout ends a read at once, whatever arrived', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const controller = new AbortController()
  const read = stream.read(1, { signal: controller.signal })
  far.write('a')
  block()
  controller.abort()
  await t.throwsAsync(read, { instanceOf: AbortError })
  t.is(textOf(await stream.read(1)), 'a', 'and none of it is lost')
})
