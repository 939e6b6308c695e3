/** The lines of multistream-select in TypeScript, tested with the vectors of the Rust tests. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import fc from 'fast-check'
import { MultiselectCommunicatorError } from '../../ts/errors.ts'
import { MultiselectCommunicator } from '../../ts/negotiation/multiselect-communicator.ts'
import {
  encodeLine,
  encodeListing,
  isValidHandshake
} from '../../ts/negotiation/multiselect-line.ts'
import { PipeEnd } from '../support/byte-pipe.ts'

const VECTORS = new URL('../../crates/proto/tests/vectors/multistream.txt', import.meta.url)

interface Vector {
  readonly text: string
  readonly bytes: Buffer
}

function vectors(kind: string): Vector[] {
  return readFileSync(VECTORS, 'utf8')
    .split('\n')
    .filter((row) => row.startsWith(`${kind} `))
    .map((row) => {
      const [, text = '', hex = ''] = row.split(' ')
      return { text: text.replaceAll('"', ''), bytes: Buffer.from(hex, 'hex') }
    })
}

/** Creates a communicator that receives these bytes, then the end, and the pipe end with the unread bytes. */
function receiving(bytes: Uint8Array, fragment = 1) {
  const end = new PipeEnd()
  end.fragment = fragment
  end.deliver(bytes)
  end.end()
  return { end, communicator: new MultiselectCommunicator(end) }
}

const namesOf = (text: string): string[] => text.split(',').filter((name) => name.length > 0)

test('writes and reads every known line, and nothing after it', async (t) => {
  t.true(vectors('line').length >= 9)
  for (const { text, bytes } of vectors('line')) {
    t.deepEqual(Buffer.from(encodeLine(text)), bytes, text)
    for (const fragment of [1, 2_000]) {
      const { communicator, end } = receiving(Buffer.concat([bytes, Buffer.from('next')]), fragment)
      t.is(await communicator.read(), text)
      t.is(end.unread, 'next')
    }
  }
})

// M4
test('writes lists as the specification nests them, and reads them nested and flat', async (t) => {
  for (const { text, bytes } of vectors('listing')) {
    t.deepEqual(Buffer.from(encodeListing(namesOf(text))), bytes, text)
  }
  for (const { text, bytes } of [...vectors('listing'), ...vectors('flat')]) {
    const { communicator, end } = receiving(Buffer.concat([bytes, Buffer.from('next')]))
    t.deepEqual(await communicator.readListing(), namesOf(text))
    t.is(end.unread, 'next')
  }
})

// A001, A002, A003, A004, A005, A022, M10
test('refuses every known invalid line, with the reason', async (t) => {
  const reasons: Record<string, RegExp> = {
    'no-newline': /without newline/,
    'too-long': /exceeds/,
    length: /varint/,
    'not-utf8': /UTF-8/
  }
  t.true(vectors('error').length >= 10)
  for (const { text, bytes } of vectors('error')) {
    const { communicator } = receiving(bytes)
    const error = await t.throwsAsync(communicator.read(), {
      instanceOf: MultiselectCommunicatorError
    })
    t.regex(error?.message ?? '', reasons[text] as RegExp, bytes.toString('hex'))
  }
})

// A003
test('refuses a line over 1,024 bytes before it is read', async (t) => {
  const { communicator, end } = receiving(Buffer.from(`\x81\x08${'x'.repeat(1_024)}\n`, 'latin1'))
  await t.throwsAsync(communicator.read(), { instanceOf: MultiselectCommunicatorError })
  t.is(end.unread.length, 1_025)
})

test('reads back any line and any list that it can write, in any fragments', async (t) => {
  const name = fc
    .string({ minLength: 1, maxLength: 300, unit: 'grapheme' })
    .filter((text) => !text.includes('\n') && text.isWellFormed() && encodes(text))
  const fragments = fc.integer({ min: 1, max: 50 })
  await fc.assert(
    fc.asyncProperty(fc.array(name, { maxLength: 20 }), fragments, async (names, fragment) => {
      const rooted = names.map((text) => `/${text}`)
      const bytes = Buffer.concat([encodeListing(rooted), ...rooted.map(encodeLine)])
      const { communicator } = receiving(bytes, fragment)
      t.deepEqual(await communicator.readListing(), rooted)
      for (const text of rooted) t.is(await communicator.read(), text)
    })
  )
})

test('any bytes are a line, a list, or a MultiselectCommunicatorError', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, list) => {
      const { communicator } = receiving(bytes)
      try {
        await (list ? communicator.readListing() : communicator.read())
      } catch (err) {
        t.true(err instanceof MultiselectCommunicatorError)
      }
    })
  )
})

test('refuses to write text that is not one line of UTF-8', async (t) => {
  const communicator = new MultiselectCommunicator(new PipeEnd())
  for (const text of ['/a\n/b', '/\ud800', 'x'.repeat(1_024), '\u00fc'.repeat(512)]) {
    await t.throwsAsync(communicator.write(text), { instanceOf: MultiselectCommunicatorError })
  }
  await t.throwsAsync(communicator.writeListing(Array(70).fill('x'.repeat(1_000))), {
    instanceOf: MultiselectCommunicatorError
  })
})

test('only /multistream/1.0.0 is a valid handshake', (t) => {
  t.true(isValidHandshake('/multistream/1.0.0'))
  for (const text of [
    '',
    'na',
    '/multistream/1.0.0\n',
    '/multistream/2.0.0',
    '/Multistream/1.0.0'
  ]) {
    t.false(isValidHandshake(text))
  }
})

function encodes(text: string): boolean {
  return Buffer.byteLength(text) < 1_000
}
