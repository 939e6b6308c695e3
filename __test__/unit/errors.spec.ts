import test from 'ava'
import * as errors from '../../ts/errors.ts'
import { checked, nativeError } from '../../ts/native/native-error.ts'

test('every code has its class, its kind by range, and the code itself', (t) => {
  const kinds = { 1: 'misuse', 2: 'closed', 3: 'remote', 4: 'environment', 5: 'limit', 9: 'bug' }
  for (const [code, number] of Object.entries(errors.ERROR_CODES)) {
    const err = nativeError(number)
    t.true(err instanceof errors.Libp2pError, code)
    t.is(err.code, code as errors.ErrorCode)
    t.is(err.kind, kinds[Math.floor(number / 100) as 1] as errors.ErrorKind)
    t.is(err.name, err.constructor.name)
    t.regex(err.stack ?? '', new RegExp(`^${err.name}: `))
  }
})

test('no two codes share a number', (t) => {
  const numbers = Object.values(errors.ERROR_CODES)
  t.is(new Set(numbers).size, numbers.length)
})

test('classes inherit as documented', (t) => {
  t.true(new errors.StreamEOFError() instanceof errors.StreamError)
  t.true(new errors.StreamError('') instanceof errors.IOError)
  t.true(new errors.MessageTooLargeError() instanceof errors.MsgioError)
  t.true(new errors.UnsupportedProtocolError() instanceof errors.MultiselectError)
  t.true(new errors.DialAllFailedError() instanceof errors.SwarmError)
  t.true(new errors.RateLimitError() instanceof errors.ResourceLimitExceededError)
})

test('keeps the cause and the details', (t) => {
  const cause = new Error('below')
  const err = new errors.StreamResetError('gone', { errorCode: 0x1002, remote: true, cause })
  t.is(err.cause, cause)
  t.is(err.errorCode, 0x1002)
  t.true(err.remote)
  t.false('cause' in new errors.StreamResetError())
})

test('a number outside the table is an internal error that names it', (t) => {
  t.is(nativeError(777).code, 'ERR_INTERNAL')
  t.regex(nativeError(777).message, /777/)
})

test('returns results and throws the error of a negative one', (t) => {
  t.is(checked(7), 7)
  t.throws(() => checked(-202), { instanceOf: errors.ConnectionClosedError })
})
