import test from 'ava'
import fc from 'fast-check'
import { MsgioError } from '../../ts/errors.ts'
import { prefixFormat, prefixLength, readPrefix, writePrefix } from '../../ts/io/framing.ts'

const FRAMINGS = ['varint', 'fixed8', 'fixed16', 'fixed32', 'fixed64'] as const

for (const framing of FRAMINGS) {
  test(`${framing} reads back every length it can write`, (t) => {
    const format = prefixFormat(framing)
    fc.assert(
      fc.property(
        fc.maxSafeNat().map((length) => length % (format.lengthMax + 1)),
        (length) => {
          const bytes = new Uint8Array(16)
          const written = writePrefix(format, length, bytes)
          t.is(written, prefixLength(format, length))
          t.deepEqual(readPrefix(format, bytes, 0), { length, prefixBytes: written })
          t.is(readPrefix(format, bytes.subarray(0, written - 1), 0), undefined)
        }
      )
    )
  })
}

test('fixed prefixes are big-endian', (t) => {
  const bytes = new Uint8Array(8)
  writePrefix(prefixFormat('fixed64'), 0x1_0203_0405, bytes)
  t.deepEqual([...bytes], [0, 0, 0, 1, 2, 3, 4, 5])
})

test('refuses overlong varints, and lengths beyond safe integers', (t) => {
  const varint = prefixFormat('varint')
  const fixed64 = prefixFormat('fixed64')
  t.throws(() => readPrefix(varint, Uint8Array.of(0x80, 0), 0), { instanceOf: MsgioError })
  t.throws(() => readPrefix(varint, new Uint8Array(10).fill(0xff), 0), { instanceOf: MsgioError })
  t.throws(() => readPrefix(fixed64, new Uint8Array(8).fill(0xff), 0), { instanceOf: MsgioError })
})

test('refuses an unknown framing', (t) => {
  t.throws(() => prefixFormat('toString' as 'varint'), { code: 'ERR_INVALID_PARAMETERS' })
})
