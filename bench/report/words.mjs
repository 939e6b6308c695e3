// Numbers, conditions and verdicts as every report words them.

import { counted } from './statistics.mjs'

const STACKS = {
  'tcp-noise-yamux': 'TCP, Noise, yamux',
  'tcp-tls-yamux': 'TCP, TLS 1.3, yamux',
  tcp: 'TCP alone'
}

const FACTS = {
  node: 'Node',
  cpu: 'CPU',
  congestionControl: 'congestion control',
  loadAverage: 'load average at the start'
}

/** Three significant digits, in thousands or millions where that is shorter. */
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

/** The interval of a ratio; nothing where it is of one round. */
export function interval({ low, high }) {
  return low === high ? '' : `[${plain(low)}-${plain(high)}]`
}

/** From the least to the most of the rounds; nothing where it is one round. */
export function extent({ min, max }) {
  return min === max ? '' : `[${digits(min)}-${digits(max)}]`
}

/**
 * What is to be known of a peer's rounds, in clauses: those that failed or were not fit, or why there are none.
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
    const became = counted(rounds).some(isUnfit) ? 'counted' : 'left out'
    notes.push(`${unfit} of ${rounds.length} unfit, ${became}`)
  }
  return notes
}

/** Why rounds were not fit, each reason once. */
export function unfitReasons({ rounds }) {
  return [...new Set(rounds.filter(isUnfit).map(({ unfit }) => unfit))].join('; ')
}

/** Whether the machine was not fit to be measured on while the round ran. */
export function isUnfit({ unfit }) {
  return unfit !== undefined && unfit !== null
}

/** How ours stands to a peer: by the interval of the ratio, so not at all where it is of one round. */
export function standing({ low, high }, better) {
  if (low === high) return ''
  if (low <= 1 && high >= 1) return 'even'
  return low > 1 === (better === 'more') ? 'ahead' : 'behind'
}

/** A floor with what was measured and became of it and of its aim: `≥ 4x js-libp2p: 4.22x, aim 5.5x not reached`. */
export function floorText(floor, unit, peers) {
  const { against, of, op, measured } = floor
  const amount = (bound) => {
    if (against !== null) return `${bound}x`
    return of === 'value' ? `${bound} ${unit}` : String(bound)
  }
  const what = of === 'value' ? '' : `${of === 'cpu' ? 'CPU' : of} `
  const to = against === null ? '' : ` ${peers[against].title}`
  const became = against === null ? digits(measured) : times(measured)
  const bound = `${what}${op === '>=' ? '≥' : '≤'} ${amount(floor.floor ?? floor.aim)}${to}: ${became}`
  const aim = aimVerdict(floor)
  if (aim === undefined) return bound
  return isNumber(floor.floor) ? `${bound}, aim ${amount(floor.aim)} ${aim}` : `${bound}, ${aim}`
}

/** What became of a floor; undefined where there is an aim alone. */
export function verdict({ floor, held }) {
  if (!isNumber(floor)) return undefined
  if (typeof held !== 'boolean') return 'not judged'
  return held ? 'held' : 'missed'
}

/** What became of an aim; undefined where there is none. */
export function aimVerdict({ aim, aimReached }) {
  if (!isNumber(aim)) return undefined
  if (typeof aimReached !== 'boolean') return 'not judged'
  return aimReached ? 'reached' : 'not reached'
}

function isNumber(value) {
  return value !== undefined && value !== null
}

/** `42 s`, `31 min`. */
export function durationText(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}

/** How many floors were held, missed or not judged, and how many aims reached. */
export function tally(result) {
  const floors = result.scenarios.flatMap(({ figures }) => figures.flatMap(({ floors }) => floors))
  const count = (of, what) => floors.filter((floor) => of(floor) === what).length
  return {
    held: count(verdict, 'held'),
    missed: count(verdict, 'missed'),
    notJudged: count(verdict, 'not judged'),
    aimsReached: count(aimVerdict, 'reached'),
    aims: floors.filter((floor) => aimVerdict(floor) !== undefined).length
  }
}

/** How many rounds of all figures there were, and how many of them failed or were not fit. */
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

/** The scenarios by the stack they ran on, those that need none last. */
export function byStack(result) {
  const groups = Map.groupBy(result.scenarios, ({ stack }) => stack)
  return [...groups]
    .toSorted(([a], [b]) => Number(a === null) - Number(b === null))
    .map(([stack, scenarios]) => ({ title: stackTitle(stack), stack, scenarios }))
}

export function stackTitle(stack) {
  return stack === null ? 'Whatever the stack' : (STACKS[stack] ?? stack)
}

/** The libp2p implementations of others: what the short tables compare with. */
export const OTHERS = ['js', 'go', 'rust']

/** What the short tables tell: figures that have a floor or an aim on some stack, on all of theirs. */
export function headlines({ scenarios }) {
  const all = scenarios.flatMap((scenario) =>
    scenario.figures.map((figure) => ({ scenario, figure, key: `${scenario.name} ${figure.id}` }))
  )
  const keys = new Set(all.filter(({ figure }) => figure.floors.length > 0).map(({ key }) => key))
  return all.filter(({ key }) => keys.has(key))
}

/** The peers that were to be measured and could not be. */
export function missingPeers({ peers }) {
  return Object.values(peers).filter(({ missing }) => missing !== undefined && missing !== null)
}

/** Where the run took place, as pairs of a name and a text. */
export function environmentFacts({ environment: { memoryGiB, ...facts } }) {
  return Object.entries({ ...facts, memory: `${memoryGiB} GiB` }).map(([name, value]) => [
    FACTS[name] ?? name,
    Array.isArray(value) ? value.join(', ') : String(value)
  ])
}

/** How the run was made. */
export function methodText({ rounds, secondsPerRound, mode }) {
  return (
    `${rounds} interleaved rounds of ${secondsPerRound} s a peer (${mode}), each beginning with another peer; ` +
    'the median [least-most] of the rounds. Ratios are ours divided by the peer’s in the same round: ' +
    'their median and its 95 % interval by the bootstrap. CPU is that of the client’s process + the server’s.'
  )
}

/** The commit of a run, short, with a mark where the sources differed from it. */
export function commitText({ commit, dirty }) {
  return `${commit.slice(0, 12)}${dirty ? ' with changes' : ''}`
}
