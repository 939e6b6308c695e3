import test from 'ava'
import type { HotCalls } from '../../ts/native/addon.ts'
import { DIAGNOSTIC_WORDS, DiagnosticReader, refusalOf } from '../../ts/native/diagnostic.ts'

test('every fact is taken, even if a report throws', (t) => {
  const batches = [64, 1, 0]
  const takeDiagnostics = (words: Uint32Array): number => {
    const count = batches.shift() ?? 0
    for (let index = 0; index < count; index += 1) words[index * DIAGNOSTIC_WORDS] = 205
    return count
  }
  // Only this call is made.
  const reader = new DiagnosticReader({ takeDiagnostics } as unknown as HotCalls)
  let reports = 0
  const err = t.throws(() =>
    reader.take(({ code }) => {
      reports += 1
      t.is(code, 205)
      throw new Error(`report ${reports}`)
    })
  )
  t.is(err.message, 'report 1')
  t.is(reports, 65)
  t.deepEqual(batches, [])
})

test('the text of a refusal ends with the name of its scope, whatever that contains', (t) => {
  t.deepEqual(refusalOf('streamsInbound 1 2 3 255 protocol:/a  b \t.peer:c'), {
    resource: 'streamsInbound',
    limit: 1,
    current: 2,
    requested: 3,
    priority: 255,
    scope: 'protocol:/a  b \t.peer:c'
  })
})
