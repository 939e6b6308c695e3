import test from 'ava'
import { checkResult, readResult } from '../../bench/report/result.mjs'
import { benchResult } from '../support/bench-result.ts'

type Result = ReturnType<typeof benchResult>

const FAULTS: [string, (result: Result) => unknown, string][] = [
  [
    'another version',
    (result) => {
      result.schema = 2
    },
    'expected a result of schema 1, received schema 2'
  ],
  [
    'no rounds',
    (result) => Reflect.deleteProperty(result, 'rounds'),
    'rounds: expected a number, received undefined'
  ],
  [
    'an unknown mode',
    (result) => {
      result.mode = 'slow'
    },
    'mode: expected one of default, quick, full, soak, received "slow"'
  ],
  [
    'an invalid date',
    (result) => {
      result.started = 'today'
    },
    'started: expected a date, received "today"'
  ],
  [
    'figures that are not a list',
    (result) => Object.assign(result.scenarios[2] ?? {}, { figures: {} }),
    'scenarios[2].figures: expected a list, received {}'
  ],
  [
    'a round with neither value nor error',
    (result) => rounds(result).push({} as never),
    'scenarios[0].figures[0].peers.ours.rounds[3].value: expected a number, received undefined'
  ],
  [
    'a value that was not finite',
    (result) => rounds(result).push({ value: null } as never),
    'scenarios[0].figures[0].peers.ours.rounds[3].value: expected a number, received null'
  ],
  [
    'a ratio to an unknown peer',
    (result) =>
      Object.assign(result.scenarios[0]?.figures[0]?.ratios ?? {}, {
        nim: { median: 1, low: 1, high: 1 }
      }),
    'scenarios[0].figures[0].ratios: expected one of ours, js, go, zig, raw, received "nim"'
  ]
]

function rounds(result: Result) {
  return result.scenarios[0]?.figures[0]?.peers.ours.rounds ?? []
}

test('a valid result is returned unchanged', (t) => {
  t.deepEqual(checkResult(benchResult()), benchResult())
})

for (const [fault, spoil, message] of FAULTS) {
  test(`a result with ${fault} is refused by the name of the field`, (t) => {
    const result = benchResult()
    spoil(result)
    t.throws(() => checkResult(result), { message })
  })
}

test('a value that is not a result is refused', (t) => {
  for (const value of [null, [], 'x', {}]) {
    t.throws(() => checkResult(value), {
      message: 'expected a result of schema 1, received schema undefined'
    })
  }
})

test('an unreadable file is named', (t) => {
  t.throws(() => readResult('package.json'), {
    message: /^package\.json: expected a result of schema 1/
  })
  t.throws(() => readResult('README.md'), { message: /^README\.md: / })
})
