import test from 'ava'
import fc from 'fast-check'
import { checkOptions, integer, type OptionChecks } from '../../ts/base/arguments.ts'
import { InvalidParametersError } from '../../ts/errors.ts'
import { resolveOptions, type SwarmOptions } from '../../ts/swarm/options.ts'

function refusal(t: import('ava').ExecutionContext, options: unknown): string {
  const err = t.throws(() => resolveOptions(options as SwarmOptions), {
    instanceOf: InvalidParametersError
  })
  return err?.message ?? ''
}

test('an unknown option is refused by name, with the nearest known one', (t) => {
  t.is(refusal(t, { securty: ['noise'] }), 'unknown option "securty"; did you mean security?')
  t.is(refusal(t, { SECURITY: ['noise'] }), 'unknown option "SECURITY"; did you mean security?')
  t.regex(refusal(t, { certificate: 'a'.repeat(64) }), /^unknown option "certificate"; known are /)
  t.regex(
    refusal(t, { gater: { denyDial: () => true } }),
    /^expected gater to be an object with the hooks/
  )
  t.regex(
    refusal(t, { transports: ['udp'] }),
    /^expected transports\[0\] to be one of tcp, quic, ws, unix, memory or a transport, received "udp"/
  )
})

test('an unknown nested option is refused with its path', (t) => {
  t.is(
    refusal(t, { limits: { acceptBackog: 3 } }),
    'unknown option "limits.acceptBackog"; did you mean limits.acceptBacklog?'
  )
  t.is(
    refusal(t, { services: { pign: true } }),
    'unknown option "services.pign"; did you mean services.ping?'
  )
})

test('an unknown option is refused even if its value is undefined', (t) => {
  t.is(refusal(t, { muxer: undefined }), 'unknown option "muxer"; did you mean muxers?')
})

test('an invalid value is refused with the expected and the received value', (t) => {
  t.is(refusal(t, 5), 'expected options to be an object, received 5')
  t.is(refusal(t, null), 'expected options to be an object, received null')
  t.is(refusal(t, []), 'expected options to be an object, received an object of Array')
  t.is(
    refusal(t, { limits: 'none' }),
    'expected limits to be "auto", "unlimited" or an object, received "none"'
  )
  t.is(
    refusal(t, { limits: { acceptBacklog: 0 } }),
    'expected limits.acceptBacklog to be a whole number between 1 and 4294967295, received 0'
  )
  t.is(
    refusal(t, { ioThreads: Number.NaN }),
    'expected ioThreads to be a whole number between 1 and 64, received NaN'
  )
  t.is(
    refusal(t, { security: ['noise', 'noise'] }),
    'expected security to be a list of at least one of tls, noise, each at most once, received "noise"'
  )
  t.is(
    refusal(t, { logger: { warn: 'loud' } }),
    'expected logger.warn to be a function, received "loud"'
  )
  t.is(
    refusal(t, { clock: { now: Date.now } }),
    'expected clock to be an object with now(), setTimer(), clearTimer(), received an object'
  )
  t.is(refusal(t, { random: 4 }), 'expected random to be a function, received 4')
  t.is(
    refusal(t, { services: { custom: [{ start: () => {} }] } }),
    'expected services.custom[0] to be an object with start(), stop(), received an object'
  )
})

test('a refused value that holds a secret is not printed', (t) => {
  const secret = Uint8Array.of(1, 2, 3)
  t.is(refusal(t, { ioThreads: secret }).includes('1,2,3'), false)
  t.is(refusal(t, { random: { key: 'hunter2' } }).includes('hunter2'), false)
})

test('names of the prototype are unknown options', (t) => {
  for (const name of ['toString', 'constructor', 'hasOwnProperty', '__proto__']) {
    const options = Object.defineProperty({}, name, { value: 1, enumerable: true })
    t.regex(refusal(t, options), /^unknown option/)
  }
})

test('every unknown name is refused and every known one is checked', (t) => {
  const checks: OptionChecks<{ depth?: number }> = { depth: integer(1, 9) }
  fc.assert(
    fc.property(fc.string(), fc.anything(), (name, value) => {
      const options = Object.defineProperty({}, name, { value, enumerable: true })
      const isValid = name === 'depth' && (value === undefined || integerOf(value, 1, 9))
      if (isValid) checkOptions(options, checks)
      else t.throws(() => checkOptions(options, checks), { instanceOf: InvalidParametersError })
    })
  )
  t.pass()
})

function integerOf(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}
