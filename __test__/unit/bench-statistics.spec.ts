import test from 'ava'
import fc from 'fast-check'
import {
  counted,
  interval,
  median,
  type Round,
  ratio,
  spread
} from '../../bench/report/statistics.mjs'

const values = fc.array(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { minLength: 1 })
const of = (...values: number[]) => values.map((value) => ({ value }))

test('a median is the middle value, or the mean of the two in the middle', (t) => {
  t.is(median([3, 1, 2]), 2)
  t.is(median([10, 9]), 9.5)
  t.is(median([7]), 7)
  t.is(median([]), Number.NaN)
})

test('a median has as many values on either side, and their order is kept', (t) => {
  fc.assert(
    fc.property(values, (values) => {
      const before = [...values]
      const middle = median(values)
      const below = values.filter((value) => value < middle).length
      const above = values.filter((value) => value > middle).length
      t.true(below <= values.length / 2 && above <= values.length / 2)
      t.deepEqual(values, before)
    })
  )
})

test('an interval is the bootstrap interval', (t) => {
  // The median of a resample of n is at most the k-th value where half of n draws or more are: for n = 5 with
  // probability 0.058 (k = 1), for n = 7 with 0.010 (k = 1) and 0.100 (k = 2); 0.025 decides.
  t.deepEqual(interval([4]), { low: 4, high: 4 })
  t.deepEqual(interval([5, 3, 1, 4, 2]), { low: 1, high: 5 })
  t.deepEqual(interval([7, 6, 5, 4, 3, 2, 1]), { low: 2, high: 6 })
})

test('an interval holds the median, lies within the values, and scales with them', (t) => {
  fc.assert(
    fc.property(values, (values) => {
      const { low, high } = interval(values)
      t.true(low <= median(values) && median(values) <= high)
      t.true(Math.min(...values) <= low && high <= Math.max(...values))
      t.deepEqual(interval(values.map((value) => value * 4)), { low: low * 4, high: high * 4 })
    }),
    { numRuns: 20 }
  )
})

test('failed rounds are not part of a spread', (t) => {
  const rounds = [{ value: 4 }, { error: 'refused', value: 9 }, { value: Number.NaN }, { value: 2 }]
  t.deepEqual(spread(rounds), { median: 3, min: 2, max: 4 })
  t.is(spread([{ error: 'refused', value: 1 }]), undefined)
})

test('unfit rounds are left out if three fit ones remain, and count otherwise', (t) => {
  const unfit = { value: 100, unfit: 'load 3.1' }
  t.deepEqual(spread([...of(1, 2, 3), unfit]), { median: 2, min: 1, max: 3 })
  t.deepEqual(spread([...of(1, 2), unfit]), { median: 2, min: 1, max: 100 })
  t.deepEqual(counted([...of(1, 2, 3), unfit]), of(1, 2, 3))
})

test('a ratio is the median of ratios within rounds, not the ratio of medians', (t) => {
  t.deepEqual(ratio(of(1, 4, 9), of(1, 2, 3)), { median: 2, low: 1, high: 3 })
  // 1/2, 2/8 and 8/1; the medians are 2 and 2.
  t.is(ratio(of(1, 2, 8), of(2, 8, 1))?.median, 0.5)
})

test('a ratio uses rounds in which both have a value, without those unfit on either side', (t) => {
  const ours = [{ value: 2 }, { value: 3, error: 'reset' }, { value: 8 }, { value: 5 }]
  t.deepEqual(ratio(ours, of(1, 1, 2)), { median: 3, low: 2, high: 4 })
  const theirs = [...of(1, 1, 1), { value: 100, unfit: 'steal 9 %' }]
  t.deepEqual(ratio(of(2, 3, 4, 1), theirs), { median: 3, low: 2, high: 4 })
  t.is(ratio(of(1), [{ value: 1, error: 'refused' }]), undefined)
})

test('a ratio can be of another number of a round, such as its CPU time', (t) => {
  const ours = [{ value: 9, cpuClient: 1, cpuServer: 2 }]
  const theirs = [{ value: 1, cpuClient: 4, cpuServer: 8 }]
  const cpu = ({ cpuClient, cpuServer }: Round) =>
    (cpuClient ?? Number.NaN) + (cpuServer ?? Number.NaN)
  t.is(ratio(ours, theirs, cpu)?.median, 0.25)
  t.is(ratio(ours, of(1), cpu), undefined)
})
