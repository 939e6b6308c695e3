import { PassThrough } from 'node:stream'
import test from 'ava'
import { AbortError, InvalidParametersError, MessageTooLargeError } from '../../ts/errors.ts'
import { fromDuplex, fromWebStreams } from '../../ts/io/carriers.ts'
import type { Reader } from '../../ts/io/interfaces.ts'
import { readAll, readSome } from '../../ts/io/read-any.ts'
import { fakeConnection } from '../support/fake-connection.ts'

interface Source {
  readonly reader: Reader
  send(text: string): void
  end(): void
}

/** Every kind of reader. */
const SOURCES: Readonly<Record<string, () => Promise<Source>>> = {
  Stream: async () => {
    const { fake, open } = fakeConnection()
    const { stream, handle } = await open()
    return {
      reader: stream,
      send: (text) => fake.deliver(handle, Buffer.from(text)),
      end: () => fake.end(handle)
    }
  },
  Duplex: async () => {
    const duplex = new PassThrough()
    return {
      reader: fromDuplex(duplex),
      send: (text) => duplex.write(text),
      end: () => duplex.end()
    }
  },
  'pair of Web streams': async () => {
    let source: ReadableStreamDefaultController<Uint8Array> | undefined
    const readable = new ReadableStream<Uint8Array>({
      start(given) {
        source = given
      }
    })
    return {
      reader: fromWebStreams({ readable, writable: new WritableStream() }),
      send: (text) => source?.enqueue(Buffer.from(text)),
      end: () => source?.close()
    }
  }
}

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString()

for (const [name, make] of Object.entries(SOURCES)) {
  test(`readSome and readAll have the same results on a ${name}`, async (t) => {
    const some = await make()
    some.send('abc')
    t.is(text(await readSome(some.reader, { max: 2 })), 'ab')
    t.is(text(await readSome(some.reader)), 'c')
    some.end()
    t.is(await readSome(some.reader), undefined)
    t.is(await readSome(some.reader), undefined)

    const all = await make()
    all.send('abc')
    const reading = readAll(all.reader)
    all.send('def')
    all.end()
    t.is(text(await reading), 'abcdef')
    t.is((await readAll(all.reader)).length, 0)
  })

  test(`readAll on a ${name} that exceeds its limit or is aborted loses nothing`, async (t) => {
    const source = await make()
    source.send('abcdef')
    await t.throwsAsync(readAll(source.reader, { maxBytes: 5 }), {
      instanceOf: MessageTooLargeError
    })
    const abort = new AbortController()
    const reading = readAll(source.reader, { signal: abort.signal })
    await new Promise((resolve) => setImmediate(resolve))
    abort.abort()
    await t.throwsAsync(reading, { instanceOf: AbortError })
    source.end()
    t.is(text(await readAll(source.reader)), 'abcdef')
  })
}

test('invalid readers, sizes and options are refused at the call', (t) => {
  const { reader } = { reader: fromDuplex(new PassThrough()) }
  t.throws(() => readSome({} as never), { instanceOf: InvalidParametersError })
  t.throws(() => readAll(undefined as never), { instanceOf: InvalidParametersError })
  t.throws(() => readSome(reader, { max: 0 }), { instanceOf: InvalidParametersError })
  t.throws(() => readAll(reader, { maxBytes: -1 }), { instanceOf: InvalidParametersError })
  t.throws(() => readAll(reader, { max: 1 } as never), { instanceOf: InvalidParametersError })
})
