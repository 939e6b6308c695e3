// The figures of README.md, generated from the committed result file that the first marker names.

import { subjectOf } from '../runner/figures.mjs'
import { row } from './markdown.mjs'
import {
  byStack,
  commitText,
  digits,
  environmentFacts,
  headlines,
  missingPeers,
  OTHERS,
  roundCounts,
  tally,
  times
} from './words.mjs'

const END = '<!-- end of the figures -->'
const SECTION = new RegExp(`<!-- figures of (\\S+) -->\\n[^]*?${END}`)

/** Line width of documents. */
const WIDTH = 140

/** Returns the result file named by a README; throws if it has no figures. */
export function figuresFile(readme) {
  const found = SECTION.exec(readme)
  if (found === null) {
    throw new Error(`README.md has no figures between "<!-- figures of FILE -->" and "${END}"`)
  }
  return found[1]
}

/** Returns the README with the figures of `result`, which is in `file`. */
export function withFigures(readme, file, result) {
  figuresFile(readme)
  const section = `<!-- figures of ${file} -->\n${figures(result, file)}\n${END}`
  return readme.replace(SECTION, () => section)
}

/** Throws if the README differs from its result file; `read` returns the result in a file. */
export function checkFigures(readme, read) {
  const file = figuresFile(readme)
  if (withFigures(readme, file, read(file)) !== readme) {
    throw new Error(`README.md differs from ${file}: node bench/report/main.mjs ${file} --readme`)
  }
}

function figures(result, file) {
  const others = OTHERS.filter((name) => name in result.peers)
  const { held, missed, notJudged } = tally(result)
  const { all, failed, unfit } = roundCounts(result)
  const facts = environmentFacts(result)
    .map(([name, value]) => `${name} ${value}`)
    .join('; ')
  const above =
    `Medians of ${result.rounds} interleaved rounds of ${result.secondsPerRound} s, each followed by our figure divided by that of ` +
    `${others.map((name) => titled(result.peers[name])).join(', ')}, with the ratio of CPU time of both ends in parentheses; ` +
    'ratios are medians of those within a round. More is better for rates, less for times and memory.'
  const below =
    `\`${result.command}\` on ${result.started.slice(0, 10)}, commit ${commitText(result)}: ${facts}. ` +
    `${held} of ${held + missed + notJudged} floors held; ${unfit} of ${all} rounds unfit, ${failed} failed. ` +
    missingPeers(result)
      .map(({ title, missing }) => `${title} is missing: ${missing}. `)
      .join('') +
    `Every round: [${file}](${file}).`
  return [wrapped(above), ...tables(result, others), wrapped(below)].join('\n\n')
}

function titled({ title, version }) {
  return version ? `${title} ${version}` : title
}

/** Returns a table of the figures measured over stacks, and one of the others, if there are any. */
function tables(result, others) {
  const stacks = byStack(result)
  const groups = [
    stacks.filter(({ stack }) => stack !== null),
    stacks.filter(({ stack }) => stack === null)
  ]
  return groups.flatMap((stacks) => table(result, stacks, others) ?? [])
}

/** Returns a row per headline figure, with our median and the ratios for each stack. */
function table(result, stacks, others) {
  const names = stacks.map(({ stack }) => stack)
  const found = headlines(result).filter(({ scenario }) => names.includes(scenario.stack))
  if (found.length === 0) return undefined
  const ratios = others.map((name) => `to ${result.peers[name].title}`)
  const head = ['', ...stacks.flatMap(({ title }) => [title, ...ratios])]
  const body = [...Map.groupBy(found, ({ key }) => key).values()].map((same) => [
    `${same[0].figure.title}, ${same[0].figure.unit}`,
    ...names.flatMap((stack) =>
      cells(same.find(({ scenario }) => scenario.stack === stack)?.figure, others)
    )
  ])
  return [head, head.map(() => '---'), ...body].map(row).join('\n')
}

function cells(figure, others) {
  const ratios = others.map((name) => {
    const ratio = figure?.ratios[name]
    if (ratio === undefined) return ''
    return `${times(ratio.median)}${Number.isFinite(ratio.cpu) ? ` (${ratio.cpu.toPrecision(2)})` : ''}`
  })
  const median = figure?.peers[subjectOf(figure)]?.median
  return [Number.isFinite(median) ? `**${digits(median)}**` : '', ...ratios]
}

function wrapped(text) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trimStart()
    if (longer.length <= WIDTH) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.join('\n')
}
