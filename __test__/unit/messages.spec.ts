import test from 'ava'
import {
  ERROR_CODES,
  type IncompleteReadError,
  InvalidParametersError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  StreamClosedError
} from '../../ts/errors.ts'
import { prefixFormat, readPrefix } from '../../ts/io/framing.ts'
import type { HotCalls } from '../../ts/native/addon.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'

/** Opens a stream whose native side splits messages with u32 lengths, as Rust does. */
async function framedStream() {
  const { fake, engine, open } = fakeConnection()
  const { stream, handle } = await open()
  const format = prefixFormat('fixed32')
  const hot = engine.hot as { -readonly [name in keyof HotCalls]: HotCalls[name] }
  let limit = 0
  hot.frame = (_stream, _framing, max) => {
    limit = max
    return 0
  }
  hot.readMessages = (stream, into, lengths) => {
    const script = fake.stream(stream)
    let filled = 0
    let count = 0
    for (;;) {
      const inbox = Uint8Array.from(script.inbox)
      const prefix = readPrefix(format, inbox, 0)
      if (prefix === undefined) break
      if (prefix.length > limit) return count || -ERROR_CODES.ERR_MESSAGE_TOO_LARGE
      if (prefix.length > into.length - filled) {
        lengths[0] = count === 0 ? prefix.length : (lengths[0] ?? 0)
        if (count === 0) return -ERROR_CODES.ERR_BUFFER_TOO_SMALL
        break
      }
      const end = prefix.prefixBytes + prefix.length
      if (inbox.length < end) break
      script.inbox.splice(0, end)
      into.set(inbox.subarray(prefix.prefixBytes, end), filled)
      filled += prefix.length
      lengths[count] = prefix.length
      count += 1
    }
    if (count > 0) return count
    if (script.remoteEnded) {
      const left = script.inbox.length > 0
      return left ? -ERROR_CODES.ERR_BUFFER_TOO_SMALL : hot.read(stream, into)
    }
    script.armed = true
    return 0
  }
  return { fake, stream, handle }
}

function framed(...messages: (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    messages.flatMap((message) => {
      const prefix = Buffer.alloc(4)
      prefix.writeUInt32BE(message.length)
      return [prefix, Buffer.from(message as string)]
    })
  )
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

test('returns messages that arrived together one by one, empty ones too', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  fake.deliver(handle, framed('one', '', 'three'))
  t.is(text(await messages.readMsg()), 'one')
  t.is(text(await messages.readMsg()), '')
  t.is(text(await messages.readMsg()), 'three')
})

test('a pending read resolves when the last byte of the message arrives', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const read = stream.messages({ framing: 'fixed32' }).readMsg()
  for (const byte of framed('slow')) fake.deliver(handle, [byte])
  t.is(text(await read), 'slow')
})

test('pending reads resolve in order', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  const reads = [messages.readMsg(), messages.readMsg(), messages.readMsg()]
  fake.deliver(handle, framed('a', 'b'))
  fake.deliver(handle, framed('c'))
  t.deepEqual((await Promise.all(reads)).map(text), ['a', 'b', 'c'])
})

test('bytes read before the switch to messages stay in order', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const whole = framed('first', 'second', 'third')
  fake.deliver(handle, whole.subarray(0, 12))
  const all = stream.read(undefined, { signal: AbortSignal.timeout(5) })
  await t.throwsAsync(all, { name: 'AbortError' })
  const messages = stream.messages({ framing: 'fixed32' })
  t.is(text(await messages.readMsg()), 'first')
  fake.deliver(handle, whole.subarray(12))
  t.is(text(await messages.readMsg()), 'second')
  t.is(text(await messages.readMsg()), 'third')
})

test('assembles a message that is larger than a batch and a window', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const large = new Uint8Array(300_000).map((_, index) => index)
  const bytes = framed('before', large, 'after')
  const messages = stream.messages({ framing: 'fixed32' })
  const read = (async () => [
    await messages.readMsg(),
    await messages.readMsg(),
    await messages.readMsg()
  ])()
  for (let at = 0; at < bytes.length; at += 50_000) {
    fake.deliver(handle, bytes.subarray(at, at + 50_000))
    await turn()
  }
  const [before, middle, after] = await read
  t.is(text(before as Uint8Array), 'before')
  t.deepEqual(Buffer.from(middle as Uint8Array), Buffer.from(large))
  t.is(text(after as Uint8Array), 'after')
})

test('passes messages to a callback in batches, as they arrive', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const seen: string[][] = []
  const done = stream.messages({ framing: 'fixed32' }).onBatch((batch) => {
    t.is(batch.count, [...batch].length)
    seen.push(Array.from(batch, text))
  })
  fake.deliver(handle, framed('a', 'b'))
  fake.deliver(handle, framed('c'))
  fake.end(handle)
  await done
  t.deepEqual(seen, [['a', 'b'], ['c']])
})

test('awaits the promise of a callback before the next batch', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const order: string[] = []
  const done = stream.messages({ framing: 'fixed32' }).onBatch(async (batch) => {
    const names = Array.from(batch, text).join()
    order.push(`begin ${names}`)
    await turn()
    order.push(`end ${names}`)
  })
  fake.deliver(handle, framed('a'))
  fake.deliver(handle, framed('b'))
  fake.end(handle)
  await done
  t.deepEqual(order, ['begin a', 'end a', 'begin b', 'end b'])
})

test('an error of the callback ends the batches', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const done = stream.messages({ framing: 'fixed32' }).onBatch(() => {
    throw new Error('of the callback')
  })
  fake.deliver(handle, framed('a'))
  await t.throwsAsync(done, { message: 'of the callback' })
})

test('an error of another stream, thrown by the callback, does not end this one', async (t) => {
  const elsewhere = new StreamClosedError('another stream was closed')
  const callbacks = {
    thrown: () => {
      throw elsewhere
    },
    rejected: () => Promise.reject(elsewhere)
  }
  for (const [how, callback] of Object.entries(callbacks)) {
    const { fake, stream, handle } = await framedStream()
    const done = stream.messages({ framing: 'fixed32' }).onBatch(callback)
    fake.deliver(handle, framed('a'))
    t.is(await t.throwsAsync(done), elsewhere, how)
    const whole = stream.messages().onBatch(callback)
    fake.end(handle)
    await t.notThrowsAsync(whole, how)
  }
})

test('messages that arrived with one that was read are not lost to a callback that throws', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  fake.deliver(handle, framed('a', 'b', 'c', 'd'))
  t.is(text(await messages.readMsg()), 'a')
  const done = messages.onBatch((batch) => {
    throw new Error(Array.from(batch, text).join())
  })
  await t.throwsAsync(done, { message: 'b' })
  t.is(text(await messages.readMsg()), 'c')
  t.is(text(await messages.readMsg()), 'd')
})

test('a message that is not bytes is refused', async (t) => {
  const { stream } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  const message = 'text' as unknown as Uint8Array
  t.throws(() => messages.writeMsg(message), { instanceOf: InvalidParametersError })
  t.throws(() => messages.sendMessage(message), { instanceOf: InvalidParametersError })
})

test('iteration ends at an end between messages, a read reports a clean close', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  fake.deliver(handle, framed('a', 'b'))
  fake.end(handle)
  const seen: string[] = []
  for await (const message of messages) seen.push(text(message))
  t.deepEqual(seen, ['a', 'b'])
  const err = await t.throwsAsync(messages.readMsg(), { instanceOf: MissingLengthError })
  t.true((err.cause as IncompleteReadError).isCleanClose)
})

test('an end inside a prefix or a message is an error with the received bytes', async (t) => {
  const cut = async (bytes: number): Promise<Error> => {
    const { fake, stream, handle } = await framedStream()
    fake.deliver(handle, framed('message').subarray(0, bytes))
    fake.end(handle)
    const iterate = async (): Promise<void> => {
      for await (const _ of stream.messages({ framing: 'fixed32' })) t.fail()
    }
    return (await t.throwsAsync(iterate())) as Error
  }
  const inPrefix = await cut(3)
  t.true(inPrefix instanceof MissingLengthError)
  t.is((inPrefix.cause as IncompleteReadError).receivedBytes, 3)
  const inBody = await cut(6)
  t.true(inBody instanceof MissingMessageError)
  t.is((inBody.cause as IncompleteReadError).receivedBytes, 2)
  t.is((inBody.cause as IncompleteReadError).expectedBytes, 7)
})

test('a message over the limit is refused before its body, in both directions', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32', maxMessageBytes: 10 })
  t.throws(() => messages.sendMessage(new Uint8Array(11)), { instanceOf: MessageTooLargeError })
  await t.throwsAsync(messages.writeMsg(new Uint8Array(11)), { instanceOf: MessageTooLargeError })
  fake.deliver(handle, framed('fine', new Uint8Array(11)))
  t.is(text(await messages.readMsg()), 'fine')
  await t.throwsAsync(messages.readMsg(), { instanceOf: MessageTooLargeError })
})

test('writes prefix and body side by side, small and large', async (t) => {
  const { fake, stream, handle } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  const large = new Uint8Array(40_000).fill(7)
  void messages.writeMsg(Buffer.from('a'))
  void messages.writeMsg(large)
  messages.sendMessage(Buffer.from('b'))
  await turn()
  t.deepEqual(Buffer.from(fake.stream(handle).sent), Buffer.from(framed('a', large, 'b')))
})

test('a second call returns the same messages and refuses other options', async (t) => {
  const { stream } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32', maxMessageBytes: 10 })
  t.is(stream.messages(), messages)
  t.is(stream.messages({ framing: 'fixed32' }), messages)
  t.throws(() => stream.messages({ framing: 'varint' }), { code: 'ERR_INVALID_PARAMETERS' })
  t.throws(() => stream.messages({ maxMessageBytes: 11 }), { code: 'ERR_INVALID_PARAMETERS' })
})

test('our own closeRead ends an iteration and rejects a read', async (t) => {
  const { stream } = await framedStream()
  const messages = stream.messages({ framing: 'fixed32' })
  const read = messages.readMsg()
  const next = messages[Symbol.asyncIterator]().next()
  await stream.closeRead()
  await t.throwsAsync(read, { instanceOf: StreamClosedError })
  t.true((await next).done)
})

// A113
test('a stream that always has messages does not starve the event loop', async (t) => {
  const { engine, open } = fakeConnection()
  const { stream } = await open()
  const hot = engine.hot as { -readonly [name in keyof HotCalls]: HotCalls[name] }
  hot.frame = () => 0
  let batches = 0
  hot.readMessages = (_stream, _into, lengths) => {
    batches += 1
    if (batches > 200) return -ERROR_CODES.ERR_STREAM_EOF
    lengths.fill(0)
    return lengths.length
  }
  let turns = 0
  const count = (): void => {
    turns += 1
    if (batches <= 200) setImmediate(count)
  }
  setImmediate(count)
  await stream.messages().onBatch(() => {})
  // 4,096 messages per batch, about 16,000 per turn.
  t.true(turns > 40, `${turns} turns`)
})
