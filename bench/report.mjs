// A result as text: what the run was, and a Markdown table a scenario.

import { SUBJECT } from './runner/figures.mjs'

export function report(result) {
  const peers = Object.keys(result.peers).filter((peer) => !result.peers[peer].missing)
  const scenarios = result.scenarios.map((scenario) => table(scenario, peers))
  return [heading(result), ...scenarios].join('\n\n')
}

function heading({ command, commit, dirty, environment, peers, rounds, secondsPerRound }) {
  const { node, kernel, cpu, memoryGiB, network, congestionControl, loadAverage } = environment
  const each = Object.values(peers).map(({ title, version, crypto, missing }) =>
    missing === undefined ? `${title} ${version}: ${crypto}` : `${title} is missing: ${missing}`
  )
  return [
    `\`${command}\`, commit ${commit}${dirty ? ' with changes' : ''}`,
    `Node ${node}; ${kernel}; ${cpu}, ${memoryGiB} GiB; ${network}, ${congestionControl};`,
    `load average at the start ${loadAverage.join(', ')}.`,
    ...each,
    `Median [least-most] of ${rounds} interleaved rounds of about ${secondsPerRound} s; CPU of client + server;`,
    'ratios are medians of those within a round, [their 95 % interval].'
  ].join('\n')
}

function table({ id, title, stack, figures }, peers) {
  const others = peers.filter((peer) => peer !== SUBJECT)
  const compared = peers.includes(SUBJECT) ? others : []
  const head = [
    `${id} ${title}${stack === null ? '' : `, ${stack}`}`,
    ...peers,
    ...compared.map((peer) => `${SUBJECT} / ${peer}`),
    'floors'
  ]
  const body = figures.map((figure) => [
    `${figure.title}, ${figure.unit}`,
    ...peers.map((peer) => cell(figure.peers[peer])),
    ...compared.map((peer) => ratioCell(figure.ratios[peer])),
    figure.floors.map(floorText).join('; ')
  ])
  return [head, head.map(() => '---'), ...body]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function cell({ rounds, median, min, max, cpu, missing }) {
  if (missing !== undefined) return missing
  const errors = rounds.flatMap(({ error }) => error ?? [])
  if (median === undefined) return `failed: ${errors[0]}`
  const ends = cpu === undefined ? '' : `; ${short(cpu.client)} + ${short(cpu.server)} ${cpu.unit}`
  const failed = errors.length === 0 ? '' : `; ${errors.length} failed: ${errors[0]}`
  const unfit = rounds.filter((round) => round.unfit !== undefined).length
  const flagged = unfit === 0 ? '' : `; ${unfit} unfit`
  return `**${short(median)}** [${short(min)}-${short(max)}]${ends}${failed}${flagged}`
}

function ratioCell(ratio) {
  if (ratio === undefined) return '-'
  const ofCpu = ratio.cpu === undefined ? '' : `, CPU ${short(ratio.cpu)}`
  return `**${short(ratio.median)}x** [${short(ratio.low)}-${short(ratio.high)}]${ofCpu}`
}

function floorText({ against, of, op, floor, aim, held, aimReached }) {
  const than = against === null ? '' : ` ${against}`
  const goal = floor ?? aim
  const word = held === null ? (aimReached === true ? 'aim' : 'open') : held ? 'held' : '**missed**'
  return `${of === 'cpu' ? 'CPU ' : ''}${op} ${goal}${than}: ${aimReached ? 'aim' : word}`
}

/** Three significant digits. */
function short(value) {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1e6) return `${short(value / 1e6)} M`
  if (Math.abs(value) >= 1e4) return `${short(value / 1e3)} k`
  if (Math.abs(value) >= 100) return String(Math.round(value))
  return String(Number(value.toPrecision(3)))
}
