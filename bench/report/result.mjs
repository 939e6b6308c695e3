// Result files: written by `npm run bench -- --json FILE`, and the source of every report.

import { readFileSync } from 'node:fs'

/** The schema version written and read. Changes that would mislead readers of this version increment it. */
export const SCHEMA = 1

const text = value('a text', (value) => typeof value === 'string')
const number = value('a number', Number.isFinite)
const flag = value('true or false', (value) => typeof value === 'boolean')
const orNull = (shape) => (value, at) => value !== null && shape(value, at)
/** Absent or null, which is JSON's representation of NaN. */
const optional = (shape) => (value, at) => value !== undefined && orNull(shape)(value, at)

const ROUND = either(
  'error',
  fields({ error: text }),
  fields({
    value: number,
    /** CPU time of each end per unit of work, in the peer's `cpu.unit`. */
    cpuClient: optional(number),
    cpuServer: optional(number),
    load: optional(number),
    steal: optional(number),
    /** Why the machine was unfit for measurements during the round. */
    unfit: optional(text)
  })
)

const FIGURE = fields({
  id: text,
  title: text,
  unit: text,
  better: oneOf('more', 'less'),
  peers: map(
    fields({
      rounds: list(ROUND),
      /** Over the rounds that count; absent if every round failed. */
      median: optional(number),
      min: optional(number),
      max: optional(number),
      cpu: optional(fields({ unit: text, client: number, server: number })),
      /** Why this figure was not measured for a peer that has others; it has no rounds then. */
      missing: optional(text)
    })
  ),
  /** Ours divided by the peer's in each round: the median, its 95 % interval, and the median ratio of CPU time. */
  ratios: map(
    fields({
      median: number,
      low: number,
      high: number,
      cpu: optional(number)
    })
  ),
  floors: list(
    fields({
      /** The peer compared with; null for the value itself. */
      against: orNull(text),
      /** `value`, `cpu`, or the name of a counter. */
      of: text,
      op: oneOf('>=', '<='),
      floor: optional(number),
      aim: optional(number),
      /** Absent, with `held` and `aimReached`, if there was nothing to measure or to compare with. */
      measured: optional(number),
      held: optional(flag),
      aimReached: optional(flag)
    })
  )
})

const RESULT = fields({
  schema: number,
  command: text,
  mode: oneOf('default', 'quick', 'full', 'soak'),
  commit: text,
  /** Whether the sources differed from the commit. */
  dirty: flag,
  started: value(
    'a date',
    (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))
  ),
  seconds: number,
  rounds: number,
  secondsPerRound: number,
  environment: map(() => {}),
  peers: map(
    fields({
      title: text,
      version: optional(text),
      crypto: optional(text),
      /** Why it could not be measured. */
      missing: optional(text)
    })
  ),
  scenarios: list(
    fields({
      id: text,
      name: text,
      title: text,
      /** As in interop/contract.md; null if irrelevant. */
      stack: orNull(text),
      figures: list(FIGURE)
    })
  )
})

/** Reads a result file; throws an error that names the file and the invalid field. */
export function readResult(path) {
  try {
    return checkResult(JSON.parse(readFileSync(path, 'utf8')))
  } catch (err) {
    throw new Error(`${path}: ${err.message}`, { cause: err })
  }
}

/** Returns a valid result; throws an error that names the invalid field. */
export function checkResult(result) {
  if (result?.schema !== SCHEMA) {
    throw new Error(`expected a result of schema ${SCHEMA}, received schema ${result?.schema}`)
  }
  RESULT(result, '')
  for (const [scenario, { figures }] of result.scenarios.entries()) {
    for (const [index, figure] of figures.entries()) {
      checkPeers(figure, Object.keys(result.peers), `.scenarios[${scenario}].figures[${index}]`)
    }
  }
  return result
}

/** Checks that every peer named by a figure took part in the run. */
function checkPeers({ peers, ratios, floors }, known, at) {
  const names = [
    ...Object.keys(peers).map((name) => [`${at}.peers`, name]),
    ...Object.keys(ratios).map((name) => [`${at}.ratios`, name]),
    ...floors.map(({ against }, index) => [`${at}.floors[${index}].against`, against])
  ]
  for (const [place, name] of names) {
    if (name !== null && !known.includes(name)) fail(place, `one of ${known.join(', ')}`, name)
  }
}

function value(name, isOne) {
  return (value, at) => isOne(value) || fail(at, name, value)
}

function oneOf(...values) {
  return value(`one of ${values.join(', ')}`, (value) => values.includes(value))
}

function fields(shapes) {
  return (value, at) => {
    if (!isObject(value)) fail(at, 'an object', value)
    for (const [name, shape] of Object.entries(shapes)) shape(value[name], `${at}.${name}`)
  }
}

function map(shape) {
  return (value, at) => {
    if (!isObject(value)) fail(at, 'an object', value)
    for (const [name, field] of Object.entries(value)) shape(field, `${at}.${name}`)
  }
}

function list(shape) {
  return (value, at) => {
    if (!Array.isArray(value)) fail(at, 'a list', value)
    value.forEach((item, index) => {
      shape(item, `${at}[${index}]`)
    })
  }
}

function either(name, withName, without) {
  return (value, at) => (isObject(value) && name in value ? withName : without)(value, at)
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function fail(at, expected, received) {
  const place = at === '' ? 'the result' : at.slice(1)
  throw new Error(`${place}: expected ${expected}, received ${JSON.stringify(received)}`)
}
