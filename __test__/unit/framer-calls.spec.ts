import test from 'ava'
import { AbortError, ConnectionClosedError, MsgioError } from '../../ts/errors.ts'
import { encodeMessage, type ReadWriteCloser } from '../../ts/io/index.ts'
import { turn } from '../support/fake-connection.ts'
import { FRAMINGS, framer, wireOf } from '../support/framers.ts'
import { bytesOf, pieces, ScriptedCarrier, textOf } from '../support/readers.ts'

test('a read that is aborted anywhere is resumed by the next one', async (t) => {
  const sent = [bytesOf('before'), new Uint8Array(300).fill(7), bytesOf('after')]
  for (const framing of ['varint', 'fixed16', 'fixed32', 'fixed64'] as const) {
    const wire = wireOf(framing, sent)
    for (let split = 0; split < wire.length; split += 1) {
      const carrier = new ScriptedCarrier([wire.subarray(0, split)], 'none')
      const messages = framer(framing, carrier)
      const seen: Uint8Array[] = []
      const abort = new AbortController()
      const first = (async () => {
        for (;;) seen.push(await messages.readMsg({ signal: abort.signal }))
      })()
      await turn()
      abort.abort()
      await t.throwsAsync(first, { instanceOf: AbortError })
      carrier.deliver(wire.subarray(split))
      while (seen.length < 3) seen.push(await messages.readMsg())
      t.deepEqual(seen, sent, `${framing} at ${split}`)
    }
  }
})

test('concurrent reads and writes keep their order and never overlap', async (t) => {
  const sent = Array.from({ length: 20 }, (_, index) => bytesOf(`message ${index}`))
  for (const framing of FRAMINGS) {
    const carrier = new ScriptedCarrier([], 'none')
    const messages = framer(framing, carrier)
    await Promise.all(sent.map((message) => messages.writeMsg(message)))
    t.is(carrier.atOnce.writesMax, 1)
    const wire = new Uint8Array(Buffer.concat(carrier.written))
    t.deepEqual(wire, wireOf(framing, sent))
    const reads = sent.map(() => messages.readMsg())
    for (const piece of pieces(wire, 3)) carrier.deliver(piece)
    t.deepEqual(await Promise.all(reads), sent)
    t.is(carrier.atOnce.readsMax, 1)
  }
})

test('an abort removes a call from the queue and leaves the others', async (t) => {
  const carrier = new ScriptedCarrier([], 'none')
  const messages = framer('varint', carrier)
  const abort = new AbortController()
  const reads = [
    messages.readMsg(),
    messages.readMsg({ signal: abort.signal }),
    messages.readMsg()
  ] as const
  abort.abort()
  await t.throwsAsync(reads[1], { instanceOf: AbortError })
  carrier.deliver(wireOf('varint', [bytesOf('one'), bytesOf('two')]))
  t.is(textOf(await reads[0]), 'one')
  t.is(textOf(await reads[2]), 'two')
  const late = messages.writeMsg(bytesOf('never'), { signal: abort.signal })
  await t.throwsAsync(late, { instanceOf: AbortError })
  t.deepEqual(carrier.written, [])
})

test('a write that fails inside its message ends the write half, one that never began does not', async (t) => {
  let fail: Error | undefined = new AbortError({ bytesAccepted: 0 })
  const carrier: ReadWriteCloser = {
    remoteAddress: undefined,
    read: async () => new Uint8Array(0),
    write: () => (fail === undefined ? Promise.resolve() : Promise.reject(fail)),
    close: async () => {}
  }
  const messages = framer('varint', carrier)
  const write = () => messages.writeMsg(bytesOf('message'))
  await t.throwsAsync(write(), { instanceOf: AbortError })
  fail = undefined
  await write()
  fail = new AbortError({ bytesAccepted: 3 })
  await t.throwsAsync(write(), { instanceOf: AbortError })
  fail = undefined
  const ended = await t.throwsAsync(write(), { instanceOf: MsgioError })
  t.true(ended.cause instanceof AbortError)
  // I4: later calls reject with the error of the carrier.
  const lost = new ConnectionClosedError('gone', { transport: 'tcp' })
  const other = framer('varint', { ...carrier, write: () => Promise.reject(lost) })
  t.is(await t.throwsAsync(other.writeMsg(bytesOf('a'))), lost)
  t.is(await t.throwsAsync(other.writeMsg(bytesOf('a'))), lost)
})

test('memory follows the received bytes, not the announced length', async (t) => {
  const carrier = new ScriptedCarrier([encodeMessage(new Uint8Array(0), 4)], 'none')
  const before = process.memoryUsage().arrayBuffers
  const reads = Array.from({ length: 100 }, () => {
    const announced = Uint8Array.of(0, 0x7f, 0xff, 0xff, 1)
    const slow = new ScriptedCarrier([announced, Uint8Array.of(2)], 'none')
    const abort = new AbortController()
    const read = framer('fixed32', slow).readMsg({ signal: abort.signal })
    return { read, abort }
  })
  await turn()
  t.true(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024)
  for (const { read, abort } of reads) {
    abort.abort()
    await t.throwsAsync(read, { instanceOf: AbortError })
  }
  t.is((await framer('fixed32', carrier).readMsg()).length, 0)
})
