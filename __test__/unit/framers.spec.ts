import { PassThrough } from 'node:stream'
import test from 'ava'
import fc from 'fast-check'
import {
  IncompleteReadError,
  InvalidParametersError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  MsgioError
} from '../../ts/errors.ts'
import {
  BaseMsgReadWriter,
  encodeMessage,
  FixedLengthMsgReadWriter,
  fromDuplex,
  type LengthBytes,
  MESSAGE_BYTES_MAX,
  readExactly,
  readLength,
  VarintMsgReadWriter
} from '../../ts/io/index.ts'
import { FRAMINGS, framer, wireOf } from '../support/framers.ts'
import { bytesOf, pieces, ScriptedCarrier, textOf } from '../support/readers.ts'
import { type FramingVector, framingVectors, vectorLines } from '../support/vectors.ts'

/** Returns every message of a carrier, and its end in the terms of the vectors. */
async function cut(messages: BaseMsgReadWriter): Promise<[Uint8Array[], FramingVector['end']]> {
  const seen: Uint8Array[] = []
  try {
    for await (const message of messages) seen.push(message)
    return [seen, 'clean']
  } catch (err) {
    if (err instanceof MissingLengthError) return [seen, 'missing-length']
    if (err instanceof MissingMessageError) return [seen, 'missing-message']
    if (err instanceof MessageTooLargeError) return [seen, 'too-large']
    if (err instanceof MsgioError) return [seen, 'invalid']
    throw err
  }
}

// V2, V3, V4, I1, I2, I3, A105, A107, A108, A109, A111, go 167
test('agrees with the vectors of the Rust framing, whole and in pieces of one byte', async (t) => {
  const vectors = framingVectors()
  t.true(vectors.length > 50)
  for (const { line, framing, limit, wire, messages, end } of vectors) {
    for (const size of [1, wire.length + 1]) {
      const carrier = new ScriptedCarrier(pieces(wire, size))
      const [seen, ended] = await cut(framer(framing, carrier, limit))
      t.deepEqual(seen, [...messages], line)
      t.is(ended, end, line)
    }
    t.deepEqual(wireOf(framing, messages), wire.slice(0, wireOf(framing, messages).length), line)
  }
})

// V1, I1
test('varints match the specification', (t) => {
  const encoder = new VarintMsgReadWriter(new ScriptedCarrier([]), { maxMessageBytes: 2 ** 40 })
  const known = vectorLines('varint.txt').filter(([value]) => Number(value) <= 16_777_216)
  t.true(known.length >= 12)
  for (const [value, bytes = ''] of known) {
    const length = Number(value)
    const wire = encoder.encodeMsg(new Uint8Array(length))
    t.is(Buffer.from(wire.subarray(0, wire.length - length)).toString('hex'), bytes)
  }
})

// A112
test('three messages split at every byte are the same messages', async (t) => {
  const sent = [bytesOf('first'), new Uint8Array(0), new Uint8Array(200).fill(9)]
  for (const framing of FRAMINGS) {
    const wire = wireOf(framing, sent)
    for (let split = 0; split <= wire.length; split += 1) {
      const carrier = new ScriptedCarrier([wire.subarray(0, split), wire.subarray(split)])
      t.deepEqual(await cut(framer(framing, carrier)), [sent, 'clean'], `${framing} at ${split}`)
    }
  }
})

// A113, go 167
test('all written messages are read, however they are fragmented', async (t) => {
  const messages = fc.array(fc.uint8Array({ maxLength: 255 }), { maxLength: 12 })
  const sizes = fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 8 })
  const property = fc.asyncProperty(
    fc.constantFrom(...FRAMINGS),
    messages,
    sizes,
    async (framing, sent, sizes) => {
      const writer = new ScriptedCarrier([])
      const out = framer(framing, writer)
      for (const message of sent) await out.writeMsg(message)
      const wire = Buffer.concat(writer.written)
      const fragments: Uint8Array[] = []
      for (let at = 0, turn = 0; at < wire.length; turn += 1) {
        const size = sizes[turn % sizes.length] as number
        fragments.push(new Uint8Array(wire.subarray(at, at + size)))
        at += size
      }
      t.deepEqual(await cut(framer(framing, new ScriptedCarrier(fragments))), [sent, 'clean'])
    }
  )
  await fc.assert(property)
})

// I2, A109
test('a message over the limit is refused before its body is read or a byte is written', async (t) => {
  for (const framing of FRAMINGS) {
    const wire = wireOf(framing, [new Uint8Array(101)])
    const carrier = new ScriptedCarrier([wire])
    const messages = framer(framing, carrier, 100)
    t.is(messages.maxMessageBytes, 100)
    const refused = await t.throwsAsync(messages.readMsg(), { instanceOf: MessageTooLargeError })
    const read = carrier.requested.reduce((sum, size) => sum + size, 0)
    t.is(read, wire.length - 101, `${framing} requested the prefix only`)
    // Messages after it cannot be delimited.
    t.is(await t.throwsAsync(messages.readMsg()), refused)
    await t.throwsAsync(messages.writeMsg(new Uint8Array(101)), {
      instanceOf: MessageTooLargeError,
      message: 'message of 101 bytes exceeds limit of 100'
    })
    t.deepEqual(carrier.written, [])
    await messages.writeMsg(new Uint8Array(100))
    t.is(carrier.written.length, 1)
  }
})

// I2, V3
test('the limit defaults to 8 MiB, and an invalid one is refused', (t) => {
  const carrier = new ScriptedCarrier([])
  t.is(new VarintMsgReadWriter(carrier).maxMessageBytes, 8 * 1024 * 1024)
  t.is(new FixedLengthMsgReadWriter(carrier).maxMessageBytes, MESSAGE_BYTES_MAX)
  for (const maxMessageBytes of [0, -1, 1.5, Number.NaN]) {
    const make = [
      () => new VarintMsgReadWriter(carrier, { maxMessageBytes }),
      () => new FixedLengthMsgReadWriter(carrier, { maxMessageBytes })
    ]
    for (const one of make) t.throws(one, { instanceOf: InvalidParametersError })
  }
  const lengthBytes = 3 as LengthBytes
  t.throws(() => new FixedLengthMsgReadWriter(carrier, { lengthBytes }), {
    instanceOf: InvalidParametersError
  })
})

// I3
test('a message that is too long for its prefix is refused', async (t) => {
  t.deepEqual([...encodeMessage(bytesOf('ab'), 4)], [0, 0, 0, 2, 97, 98])
  t.is(encodeMessage(new Uint8Array(255), 1).length, 256)
  t.throws(() => encodeMessage(new Uint8Array(256), 1), { instanceOf: MessageTooLargeError })
  t.throws(() => encodeMessage(new Uint8Array(65_536), 2), { instanceOf: MessageTooLargeError })
  t.throws(() => encodeMessage(bytesOf('a'), 3 as LengthBytes), {
    instanceOf: InvalidParametersError
  })
  const narrow = new FixedLengthMsgReadWriter(new ScriptedCarrier([]), { lengthBytes: 1 })
  await t.throwsAsync(narrow.writeMsg(new Uint8Array(256)), { instanceOf: MessageTooLargeError })
})

// A114
test('a message of 3 GiB is refused before its bytes are read', async (t) => {
  const logical = Object.create(Uint8Array.prototype, { length: { value: 3 * 2 ** 30 } })
  for (const framing of FRAMINGS) {
    const carrier = new ScriptedCarrier([])
    await t.throwsAsync(framer(framing, carrier).writeMsg(logical), {
      instanceOf: MessageTooLargeError
    })
    t.deepEqual(carrier.written, [])
  }
})

// I3, V2
test('reads a length in network order, and reports how much of it is missing', async (t) => {
  t.is(
    await readLength(new ScriptedCarrier([Uint8Array.of(1, 2), Uint8Array.of(3, 4)]), 4),
    0x01020304
  )
  const cut = await t.throwsAsync(readLength(new ScriptedCarrier([Uint8Array.of(1)]), 2), {
    instanceOf: MissingLengthError
  })
  const cause = cut.cause as IncompleteReadError
  t.true(cause instanceof IncompleteReadError)
  t.is(cause.receivedBytes, 1)
  t.is(cause.expectedBytes, 2)
  await t.throwsAsync(readLength(new ScriptedCarrier([new Uint8Array(8).fill(0xff)]), 8), {
    instanceOf: MessageTooLargeError
  })
})

// I8
test('an end inside a prefix or a message has its own error, whose cause has the received bytes', async (t) => {
  for (const framing of FRAMINGS) {
    const wire = wireOf(framing, [new Uint8Array(200)])
    const clean = framer(framing, new ScriptedCarrier([]))
    const ended = await t.throwsAsync(clean.readMsg(), { instanceOf: MissingLengthError })
    t.true((ended.cause as IncompleteReadError).isCleanClose)
    const body = framer(framing, new ScriptedCarrier([wire.subarray(0, wire.length - 150)]))
    const cut = await t.throwsAsync(body.readMsg(), { instanceOf: MissingMessageError })
    t.is((cut.cause as IncompleteReadError).receivedBytes, 50)
    t.is((cut.cause as IncompleteReadError).expectedBytes, 200)
  }
  const prefix = framer('varint', new ScriptedCarrier([Uint8Array.of(0x80)]))
  const cut = await t.throwsAsync(prefix.readMsg(), { instanceOf: MissingLengthError })
  t.is((cut.cause as IncompleteReadError).receivedBytes, 1)
  t.false((cut.cause as IncompleteReadError).isCleanClose)
})

// A115
// A116, I7
// I7
test('empty messages are messages, in both directions', async (t) => {
  const carrier = new ScriptedCarrier([Uint8Array.of(0, 0, 1, 65)])
  const messages = framer('varint', carrier)
  t.is((await messages.readMsg()).length, 0)
  t.is((await messages.readMsg()).length, 0)
  t.is(textOf(await messages.readMsg()), 'A')
  await messages.writeMsg(new Uint8Array(0))
  t.deepEqual(carrier.written, [Uint8Array.of(0)])
})

test('closes its carrier', async (t) => {
  const carrier = new ScriptedCarrier([])
  const messages = framer('varint', carrier)
  t.is(messages.readWriteCloser, carrier)
  await messages.close()
  t.is(carrier.closed, 1)
})

test('a user-defined framer is a complete framer', async (t) => {
  class DecimalLines extends BaseMsgReadWriter {
    override readonly sizeLenBytes = 3
    override encodeMsg(message: Uint8Array): Uint8Array {
      return Buffer.concat([bytesOf(String(message.length).padStart(3, '0')), message])
    }
    override async nextMsgLen(options = {}): Promise<number> {
      return Number(textOf(await readExactly(this.reader, 3, options)))
    }
  }
  const carrier = new ScriptedCarrier([bytesOf('005hel'), bytesOf('lo000'), bytesOf('01')])
  const messages = new DecimalLines(carrier, { maxMessageBytes: 100 })
  await messages.writeMsg(bytesOf('abc'))
  t.is(textOf(carrier.written[0] as Uint8Array), '003abc')
  t.is(textOf(await messages.readMsg()), 'hello')
  t.is(textOf(await messages.readMsg()), '')
  const cut = await t.throwsAsync(messages.readMsg(), { instanceOf: MissingLengthError })
  t.is((cut.cause as IncompleteReadError).receivedBytes, 2)
})

test('a message that is not bytes is refused', (t) => {
  const text = 'text' as unknown as Uint8Array
  const messages = new VarintMsgReadWriter(new ScriptedCarrier([]))
  t.throws(() => messages.writeMsg(text), { instanceOf: InvalidParametersError })
  t.throws(() => encodeMessage(text, 4), { instanceOf: InvalidParametersError })
})

test('a user-defined framing may read buffered bytes and unshift the rest', async (t) => {
  class Lines extends BaseMsgReadWriter {
    override encodeMsg(message: Uint8Array): Uint8Array {
      return Buffer.concat([message, bytesOf('\n')])
    }
    override async nextMsgLen(): Promise<number> {
      const came = await this.reader.read()
      this.reader.unshift(came)
      return came.indexOf(10) + 1
    }
  }
  const source = new PassThrough()
  source.write('one\ntwo\n')
  const lines = new Lines(fromDuplex(source))
  t.is(textOf(await lines.readMsg()), 'one\n')
  t.is(textOf(await lines.readMsg()), 'two\n')
})

// A118
