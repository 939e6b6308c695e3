import test from 'ava'
import { memoized } from '../../ts/base/memo.ts'

test('remembers the last texts, but none that is long or has no result', (t) => {
  const asked: string[] = []
  const length = memoized((text) => {
    asked.push(text)
    return text === '' ? undefined : { length: text.length }
  }, 2)
  t.is(length('a'), length('a'))
  t.deepEqual(asked, ['a'])
  length('bb')
  length('ccc')
  length('bb')
  t.deepEqual(asked, ['a', 'bb', 'ccc'])
  t.deepEqual(length('a'), { length: 1 })
  t.is(asked.length, 4, 'the oldest was forgotten')
  const long = 'x'.repeat(257)
  for (const text of ['', '', long, long]) length(text)
  t.deepEqual(asked.slice(4), ['', '', long, long])
})
