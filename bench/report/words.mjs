// Text for numbers, conditions and verdicts, shared by all reports.

import { counted } from './statistics.mjs'

const STACKS = {
  'tcp-noise-yamux': 'TCP, Noise, yamux',
  'tcp-tls-yamux': 'TCP, TLS 1.3, yamux',
  'ws-noise-yamux': 'WebSocket, Noise, yamux',
  quic: 'QUIC v1',
  tcp: 'TCP only'
}

const FACTS = {
  node: 'Node',
  cpu: 'CPU',
  congestionControl: 'congestion control',
  loadAverage: 'load average at the start'
}

/** Formats three significant digits, in thousands or millions if shorter. */
export function digits(value) {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 999_500) return `${plain(value / 1e6)} M`
  if (size >= 9_995) return `${plain(value / 1e3)} k`
  return plain(value)
}

function plain(value) {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toPrecision(3)
}

export function times(ratio) {
  return Number.isFinite(ratio) ? `${plain(ratio)}x` : '-'
}

/** Formats the interval of a ratio; empty for one round. */
export function interval({ low, high }) {
  return low === high ? '' : `[${plain(low)}-${plain(high)}]`
}

/** Formats the range of the rounds; empty for one round. */
export function extent({ min, max }) {
  return min === max ? '' : `[${digits(min)}-${digits(max)}]`
}

/**
 * Returns notes on a peer's rounds: those that failed or were unfit, or why there are none.
 *
 * @param {{ rounds: import('./statistics.mjs').Round[], missing?: string }} peer
 */
export function notesOf({ rounds, missing }) {
  const notes = missing ? [missing] : []
  const failed = rounds.filter(({ error }) => error !== undefined)
  if (failed.length > 0) {
    notes.push(`${failed.length} of ${rounds.length} failed: ${failed[0].error}`)
  }
  const unfit = rounds.filter(isUnfit).length
  if (unfit > 0) {
    const use = counted(rounds).some(isUnfit) ? 'counted' : 'left out'
    notes.push(`${unfit} of ${rounds.length} unfit, ${use}`)
  }
  return notes
}

/** Returns the distinct reasons for unfit rounds. */
export function unfitReasons({ rounds }) {
  return [...new Set(rounds.filter(isUnfit).map(({ unfit }) => unfit))].join('; ')
}

/** Returns whether the machine was unfit for measurements during the round. */
export function isUnfit({ unfit }) {
  return unfit !== undefined && unfit !== null
}

/** Returns how ours compares with a peer, by the interval of the ratio; empty for one round, which has none. */
export function standing({ low, high }, better) {
  if (low === high) return ''
  if (low <= 1 && high >= 1) return 'even'
  return low > 1 === (better === 'more') ? 'ahead' : 'behind'
}

/** Formats a floor with the measured value and the outcome of its aim: `≥ 4x js-libp2p: 4.22x, aim 5.5x not reached`. */
export function floorText(floor, unit, peers) {
  const { against, of, op, measured } = floor
  const amount = (bound) => {
    if (against !== null) return `${bound}x`
    return of === 'value' ? `${bound} ${unit}` : String(bound)
  }
  const subject = of === 'value' ? '' : `${of === 'cpu' ? 'CPU' : of} `
  const to = against === null ? '' : ` ${peers[against].title}`
  const result = against === null ? digits(measured) : times(measured)
  const bound = `${subject}${op === '>=' ? '≥' : '≤'} ${amount(floor.floor ?? floor.aim)}${to}: ${result}`
  const aim = aimVerdict(floor)
  if (aim === undefined) return bound
  return isNumber(floor.floor) ? `${bound}, aim ${amount(floor.aim)} ${aim}` : `${bound}, ${aim}`
}

/** Returns the verdict on a floor; undefined if there is only an aim. */
export function verdict({ floor, held }) {
  if (!isNumber(floor)) return undefined
  if (typeof held !== 'boolean') return 'not judged'
  return held ? 'held' : 'missed'
}

/** Returns the verdict on an aim; undefined if there is none. */
export function aimVerdict({ aim, aimReached }) {
  if (!isNumber(aim)) return undefined
  if (typeof aimReached !== 'boolean') return 'not judged'
  return aimReached ? 'reached' : 'not reached'
}

function isNumber(value) {
  return value !== undefined && value !== null
}

/** Formats a duration: `42 s`, `31 min`. */
export function durationText(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}

/** Counts the floors held, missed and not judged, and the aims reached. */
export function tally(result) {
  const floors = result.scenarios.flatMap(({ figures }) => figures.flatMap(({ floors }) => floors))
  const count = (of, outcome) => floors.filter((floor) => of(floor) === outcome).length
  return {
    held: count(verdict, 'held'),
    missed: count(verdict, 'missed'),
    notJudged: count(verdict, 'not judged'),
    aimsReached: count(aimVerdict, 'reached'),
    aims: floors.filter((floor) => aimVerdict(floor) !== undefined).length
  }
}

/** Counts the rounds of all figures, and those that failed or were unfit. */
export function roundCounts({ scenarios }) {
  const rounds = scenarios.flatMap(({ figures }) =>
    figures.flatMap(({ peers }) => Object.values(peers).flatMap(({ rounds }) => rounds))
  )
  return {
    all: rounds.length,
    failed: rounds.filter(({ error }) => error !== undefined).length,
    unfit: rounds.filter(isUnfit).length
  }
}

/** Groups the scenarios by stack, those without one last. */
export function byStack(result) {
  const groups = Map.groupBy(result.scenarios, ({ stack }) => stack)
  return [...groups]
    .toSorted(([a], [b]) => Number(a === null) - Number(b === null))
    .map(([stack, scenarios]) => ({ title: stackTitle(stack), stack, scenarios }))
}

export function stackTitle(stack) {
  return stack === null ? 'Any stack' : (STACKS[stack] ?? stack)
}

/** Other libp2p implementations, with which the short tables compare. */
export const OTHERS = ['js', 'go', 'rust']

/** Returns the figures of the short tables: on all stacks, those with a floor or an aim on any. */
export function headlines({ scenarios }) {
  const all = scenarios.flatMap((scenario) =>
    scenario.figures.map((figure) => ({ scenario, figure, key: `${scenario.name} ${figure.id}` }))
  )
  const keys = new Set(all.filter(({ figure }) => figure.floors.length > 0).map(({ key }) => key))
  return all.filter(({ key }) => keys.has(key))
}

/** Returns the requested peers that could not be measured. */
export function missingPeers({ peers }) {
  return Object.values(peers).filter(({ missing }) => missing !== undefined && missing !== null)
}

/** Returns the environment of the run as pairs of name and text. */
export function environmentFacts({ environment: { memoryGiB, ...facts } }) {
  return Object.entries({ ...facts, memory: `${memoryGiB} GiB` }).map(([name, value]) => [
    FACTS[name] ?? name,
    Array.isArray(value) ? value.join(', ') : String(value)
  ])
}

/** Describes the method of the run. */
export function methodText({ rounds, secondsPerRound, mode }) {
  return (
    `${rounds} interleaved rounds of ${secondsPerRound} s per peer (${mode}), each starting with a different peer; ` +
    'median [min-max] of the rounds. Ratios are ours divided by the peer’s in the same round: ' +
    'median and its 95 % bootstrap interval. CPU is that of the client process + the server process.'
  )
}

/** Formats the short commit of a run, marked if the sources differed from it. */
export function commitText({ commit, dirty }) {
  return `${commit.slice(0, 12)}${dirty ? ' with changes' : ''}`
}
