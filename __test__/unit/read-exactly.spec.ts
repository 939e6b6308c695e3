import test from 'ava'
import {
  AbortError,
  ConnectionClosedError,
  IncompleteReadError,
  InvalidParametersError,
  IOError
} from '../../ts/errors.ts'
import { type Reader, readExactly } from '../../ts/io/index.ts'
import { Pushback } from '../../ts/io/pushback.ts'
import { turn } from '../support/fake-connection.ts'
import { pattern } from '../support/pair.ts'
import { bytesOf, type End, pieces, ScriptedCarrier } from '../support/readers.ts'

// I9
test('joins ten thousand fragments of one byte', async (t) => {
  const sent = pattern(10_000)
  const reader = new ScriptedCarrier(pieces(sent, 1))
  t.deepEqual(Buffer.from(await readExactly(reader, 10_000)), Buffer.from(sent))
})

test('requests no more than is missing', async (t) => {
  const reader = new ScriptedCarrier([bytesOf('abc'), bytesOf('defgh')])
  t.is(Buffer.from(await readExactly(reader, 5)).toString(), 'abcde')
  t.deepEqual(reader.requested, [5, 2])
  t.is(Buffer.from(await readExactly(reader, 3)).toString(), 'fgh')
})

test('a read of 0 bytes does not call the reader', async (t) => {
  const reader = new ScriptedCarrier([])
  t.is((await readExactly(reader, 0)).length, 0)
  t.deepEqual(reader.requested, [])
})

// I8, I9, A111
for (const end of ['error', 'empty'] as End[]) {
  test(`an end reported as ${end} ends the read at once, with the received bytes`, async (t) => {
    const clean = await t.throwsAsync(readExactly(new ScriptedCarrier([], end), 4), {
      instanceOf: IncompleteReadError,
      code: 'ERR_INCOMPLETE_READ'
    })
    t.true(clean.isCleanClose)
    t.is(clean.expectedBytes, 4)
    t.is(clean.receivedBytes, 0)
    t.is(clean.transport, '')
    const reader = new ScriptedCarrier([bytesOf('abc')], end)
    const cut = await t.throwsAsync(readExactly(reader, 4), { instanceOf: IncompleteReadError })
    t.false(cut.isCleanClose)
    t.is(cut.receivedBytes, 3)
    t.is(reader.requested.length, 2)
  })
}

test('empty reads before the end are retried, up to retryCount times in a row', async (t) => {
  const empty = new Uint8Array(0)
  const hesitant = (times: number): Reader => {
    const answers = [...Array(times).fill(empty), bytesOf('a'), ...Array(times).fill(empty)]
    answers.push(bytesOf('b'))
    return { read: async () => answers.shift() ?? empty }
  }
  t.is((await readExactly(hesitant(100), 2)).length, 2)
  await t.throwsAsync(readExactly(hesitant(101), 2), { instanceOf: IncompleteReadError })
  t.is((await readExactly(hesitant(3), 2, { retryCount: 3 })).length, 2)
  await t.throwsAsync(readExactly(hesitant(1), 2, { retryCount: 0 }), {
    instanceOf: IncompleteReadError
  })
})

// I8
test('a reader with a connState names transport, age and likely cause', async (t) => {
  const over = (fragments: Uint8Array[], age: number): Reader => {
    const inner = new ScriptedCarrier(fragments)
    const openedAt = Date.now() - age
    return { read: (n) => inner.read(n), connState: () => ({ transport: 'quic', openedAt }) }
  }
  const young = await t.throwsAsync(readExactly(over([], 0), 8), {
    instanceOf: IncompleteReadError
  })
  t.regex(young.message, /^expected 8 bytes, received 0 over quic after 0\.\d s: the peer refused/)
  t.is(young.transport, 'quic')
  const old = await t.throwsAsync(readExactly(over([], 90_000), 8), {
    instanceOf: IncompleteReadError
  })
  t.true((old.ageMs ?? 0) >= 90_000)
  t.regex(old.message, /after 9\d\.\d s: the peer closed between messages$/)
  const cut = await t.throwsAsync(readExactly(over([bytesOf('ab')], 90_000), 8), {
    instanceOf: IncompleteReadError
  })
  t.is(cut.likelyCause, 'the peer ended in the middle of its data')
  t.true(cut.message.endsWith(cut.likelyCause))
})

// I4, I7
test('errors other than the end pass through unchanged', async (t) => {
  const lost = new ConnectionClosedError('gone', { transport: 'tcp' })
  const err = await t.throwsAsync(readExactly({ read: () => Promise.reject(lost) }, 4))
  t.is(err, lost)
})

test('refuses invalid sizes and retry counts', (t) => {
  const reader = new ScriptedCarrier([])
  for (const size of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => void readExactly(reader, size), { instanceOf: InvalidParametersError })
  }
  const wrong = () => void readExactly(reader, 1, { retryCount: -1 })
  t.throws(wrong, { instanceOf: InvalidParametersError })
})

test('a reader that returns too much gets the rest back, or is refused', async (t) => {
  const generous: Reader = { read: async () => bytesOf('abcdef') }
  await t.throwsAsync(readExactly(generous, 2), { instanceOf: IOError, message: /6 bytes, .* 2$/ })
  const back: Uint8Array[] = []
  const careful: Reader = { ...generous, unshift: (bytes) => back.push(bytes) }
  t.is(Buffer.from(await readExactly(careful, 2)).toString(), 'ab')
  t.is(Buffer.concat(back).toString(), 'cdef')
})

// A115
test('an aborted read unshifts its bytes, with readers that observe the signal and that ignore it', async (t) => {
  for (const observes of [true, false]) {
    const below = new ScriptedCarrier([], 'none')
    const reader = new Pushback((n, options) => (observes ? below.read(n, options) : below.read(n)))
    const abort = new AbortController()
    const read = readExactly(reader, 6, { signal: abort.signal })
    below.deliver(bytesOf('abc'))
    await turn()
    abort.abort()
    await t.throwsAsync(read, { instanceOf: AbortError })
    const again = readExactly(reader, 6)
    below.deliver(bytesOf('d'), bytesOf('efg'))
    t.is(Buffer.from(await again).toString(), 'abcdef')
    t.is(Buffer.from(await reader.read()).toString(), 'g')
  }
})
