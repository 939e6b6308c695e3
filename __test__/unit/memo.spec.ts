import test from 'ava'
import { memoized } from '../../ts/base/memo.ts'

test('remembers results for the latest texts, but for none that is long', (t) => {
  const asked: string[] = []
  const length = memoized((text) => {
    asked.push(text)
    return { length: text.length }
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
  length(long)
  length(long)
  t.deepEqual(asked.slice(4), [long, long])
})
