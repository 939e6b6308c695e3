// A result as Markdown: one table per stack.

import { subjectOf } from '../runner/figures.mjs'
import {
  byStack,
  commitText,
  digits,
  environmentFacts,
  extent,
  floorText,
  interval,
  methodText,
  missingPeers,
  notesOf,
  roundCounts,
  tally,
  times,
  verdict
} from './words.mjs'

/** Returns the report. */
export function markdown(result) {
  const tables = byStack(result).map(
    ({ title, scenarios }) => `## ${title}\n\n${table(scenarios, result.peers)}`
  )
  return `${[heading(result), ...tables].join('\n\n')}\n`
}

/** Returns the facts needed to judge the figures. */
function heading(result) {
  const { command, started, peers } = result
  const facts = environmentFacts(result).map(([name, value]) => `${name} ${value}`)
  const present = Object.values(peers).filter(({ missing }) => !missing)
  const lines = [
    `\`${command}\`, ${started}, commit ${commitText(result)}.`,
    `${facts.join('; ')}.`,
    methodText(result),
    '',
    ...present.map((peer) => `- ${peerText(peer)}`),
    ...missingPeers(result).map(({ title, missing }) => `- **${title} is missing**: ${missing}`)
  ]
  const { held, missed, notJudged, aims, aimsReached } = tally(result)
  const { all, failed, unfit } = roundCounts(result)
  lines.push('', `${unfit} of ${all} rounds unfit, ${failed} failed.`)
  if (held + missed + notJudged > 0) {
    const judged = notJudged === 0 ? '' : `, ${notJudged} not judged`
    lines.push(
      `Floors: ${held} held, ${missed} missed${judged}; ${aimsReached} of ${aims} aims reached.`
    )
  }
  return lines.join('\n')
}

function peerText({ title, version, crypto }) {
  return `${title}${version ? ` ${version}` : ''}${crypto ? `: ${crypto}` : ''}`
}

function table(scenarios, peers) {
  const names = Object.keys(peers).filter((name) =>
    scenarios.some(({ figures }) => figures.some((figure) => name in figure.peers))
  )
  const head = ['figure', ...names.map((name) => peers[name].title), 'floors and aims']
  const body = scenarios.flatMap(({ id, title, figures }) => [
    [`**${id} ${title}**`, ...head.slice(1).map(() => '')],
    ...figures.map((figure) => [
      `${figure.title}, ${figure.unit}`,
      ...names.map((name) => cell(figure, name)),
      floorsCell(figure, peers)
    ])
  ])
  return [head, head.map(() => '---'), ...body].map(row).join('\n')
}

/** Returns a table row, with cell separators escaped. */
export function row(cells) {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
}

function cell(figure, name) {
  const { peers, ratios } = figure
  const subject = subjectOf(figure)
  const peer = peers[name]
  if (peer === undefined) return ''
  const { median, min, max, cpu } = peer
  const parts = []
  if (Number.isFinite(median)) parts.push(`**${digits(median)}** ${extent({ min, max })}`.trimEnd())
  if (cpu) parts.push(`${digits(cpu.client)} + ${digits(cpu.server)} ${cpu.unit}`)
  const ratio = ratios[name]
  if (name !== subject && ratio !== undefined) {
    const ofCpu = Number.isFinite(ratio.cpu) ? `, CPU ${times(ratio.cpu)}` : ''
    parts.push(`${subject} **${times(ratio.median)}** ${interval(ratio)}`.trimEnd() + ofCpu)
  }
  return [...parts, ...notesOf(peer)].join('; ')
}

function floorsCell({ floors, unit }, peers) {
  return floors
    .map((floor) => {
      const outcome = verdict(floor) ?? 'aim'
      return `${outcome === 'missed' ? '**missed**' : outcome} ${floorText(floor, unit, peers)}`
    })
    .join('; ')
}
