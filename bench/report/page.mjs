// A result as a self-contained HTML page, without network access or scripts.

import { readFileSync } from 'node:fs'
import { subjectOf } from '../runner/figures.mjs'
import { historyRows, sparkline } from './history.mjs'
import { html, trusted } from './html.mjs'
import { axisOf, mark, marks, plot, scale } from './plot.mjs'
import {
  byStack,
  commitText,
  digits,
  durationText,
  environmentFacts,
  extent,
  floorText,
  headlines,
  interval,
  methodText,
  missingPeers,
  notesOf,
  OTHERS,
  roundCounts,
  standing,
  tally,
  times,
  unfitReasons,
  verdict
} from './words.mjs'

const STYLE = readFileSync(new URL('page.css', import.meta.url), 'utf8')
/** The upper bound of any protocol over TCP. */
const CEILING = 'raw'

/**
 * Returns the page of a result.
 *
 * @param {any} result
 * @param {{ results: any[], leftOut: string[] }} history as returned by `readHistory`
 */
export function page(result, history = { results: [], leftOut: [] }) {
  const stacks = byStack(result).map((group, index) => ({ ...group, anchor: `stack-${index}` }))
  return `${html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ferroswarm: benchmarks of ${result.started.slice(0, 10)}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
${marks()}
<header>
<h1>ferroswarm compared with other implementations</h1>
<p class="quiet">${result.started.slice(0, 16).replace('T', ' ')} UTC, commit ${commitText(result)}, <code>${result.command}</code></p>
<nav><a href="#method">Method</a>${stacks.map(({ title, anchor }) => html` <a href="#${anchor}">${title}</a>`)} <a href="#history">History</a></nav>
${missingPeers(result).map(({ title, missing }) => html`<p class="warning"><b>${title} is missing:</b> ${missing}</p>`)}
${tiles(result)}
</header>
<main>
${glance(result, stacks)}
${method(result)}
${stacks.map((group) => stackSection(group, result.peers))}
${historySection(result, history)}
</main>
</body>
</html>`}\n`
}

function tiles(result) {
  const { held, missed, notJudged, aims, aimsReached } = tally(result)
  const { all, failed, unfit } = roundCounts(result)
  const floors = held + missed + notJudged
  return html`<ul class="tiles">
${
  floors > 0 &&
  html`<li class="${missed > 0 ? 'bad' : 'good'}"><b>${held} of ${floors}</b> floors held${notJudged > 0 && `, ${notJudged} not judged`}</li>
<li><b>${aimsReached} of ${aims}</b> aims reached</li>`
}
<li><b>${result.rounds} x ${result.secondsPerRound} s</b> rounds per peer and figure</li>
<li class="${failed > 0 && 'bad'}"><b>${failed} of ${all}</b> rounds failed</li>
<li class="${unfit > 0 && 'bad'}"><b>${unfit} of ${all}</b> rounds unfit</li>
</ul>`
}

/** Returns the headline figures, in one table per stack. */
function glance(result, stacks) {
  const others = OTHERS.filter((name) => name in result.peers)
  const found = headlines(result)
  const tables = stacks.map(({ title, anchor, stack }) => {
    const rows = found.filter(({ scenario }) => scenario.stack === stack)
    return (
      rows.length > 0 &&
      html`<h3><a href="#${anchor}">${title}</a></h3>
<table class="glance">
<thead><tr><th>figure</th><th class="number">ferroswarm</th>${others.map(
        (name) => html`<th class="number">to ${result.peers[name].title}</th>`
      )}<th>floors</th></tr></thead>
<tbody>${rows.map((row) => glanceRow(row, others))}</tbody></table>`
    )
  })
  return found.length > 0 && html`<section><h2>At a glance</h2>${tables}</section>`
}

function glanceRow({ scenario, figure }, others) {
  const { median, min, max } = figure.peers[subjectOf(figure)] ?? {}
  return html`<tr><th scope="row"><a href="#${anchorOf(scenario, figure)}">${figure.title}</a> <small>${figure.unit}</small></th>
<td class="number"><b>${digits(median)}</b><small>${extent({ min, max })}</small></td>
${others.map((name) => html`<td class="number">${ratioOf(figure, name) ?? '-'}</td>`)}
<td>${verdicts(figure.floors)}</td></tr>`
}

function verdicts(floors) {
  const all = floors.map(verdict)
  const missed = all.filter((one) => one === 'missed').length
  const held = all.filter((one) => one === 'held').length
  if (missed > 0)
    return html`<b class="bad">${missed} missed</b>${held > 0 && html`, ${held} held`}`
  return held > 0
    ? html`<span class="good">${held} held</span>`
    : html`<span class="quiet">-</span>`
}

/** Returns the ratio with its interval and standing; `ofCpu` adds the ratio of CPU time. */
function ratioOf({ ratios, better }, name, ofCpu = false) {
  const ratio = ratios[name]
  if (ratio === undefined) return undefined
  const stands = standing(ratio, better)
  const kind = { ahead: 'good', behind: 'bad', even: 'quiet' }[stands]
  const cpu = ofCpu && Number.isFinite(ratio.cpu) && html` CPU ${times(ratio.cpu)}`
  return html`<b>${times(ratio.median)}</b> <span class="standing ${kind}">${stands}</span><small>${interval(ratio)}${cpu}</small>`
}

function method(result) {
  return html`<section id="method"><h2>Method</h2>
<p>${methodText(result)} A ratio is <b>ahead</b> or <b>behind</b> if its interval excludes 1, else <b>even</b>. The
ceiling is raw TCP without security or streams.</p>
<ul class="legend">
<li><svg height="16" class="peer-ours" aria-hidden="true"><use class="dot" href="#mark-ours" x="50%" y="8"/></svg>a round</li>
<li><svg height="16" class="peer-ours" aria-hidden="true"><use class="dot unfit" href="#mark-ours" x="50%" y="8"/></svg>an unfit round: load by other processes, steal, or drift of the control</li>
<li><svg height="16" class="peer-ours" aria-hidden="true"><line class="spread" x1="0" x2="100%" y1="8" y2="8"/><line class="median" x1="50%" x2="50%" y1="0" y2="16"/></svg>median and spread</li>
<li><svg height="16" aria-hidden="true"><line class="ceiling" x1="50%" x2="50%" y1="0" y2="16"/></svg>raw TCP</li>
<li><svg height="16" aria-hidden="true"><use class="floor" href="#floor" x="50%" y="4"/></svg>a floor</li>
<li><svg height="16" aria-hidden="true"><use class="aim" href="#floor" x="50%" y="4"/></svg>an aim, each multiplied by the median of the peer compared with</li>
</ul>
<dl>${environmentFacts(result).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}<dt>duration</dt><dd>${durationText(result.seconds)}</dd></dl>
<div class="scroll"><table><thead><tr><th>implementation</th><th>version</th><th>cryptography</th></tr></thead><tbody>
${Object.entries(result.peers).map(
  ([name, { title, version, crypto, missing }]) =>
    html`<tr><th scope="row">${!missing && mark(name)}${title}</th><td>${version}</td><td>${
      missing ? html`<span class="bad">missing: ${missing}</span>` : crypto
    }</td></tr>`
)}
</tbody></table></div></section>`
}

function stackSection({ title, anchor, scenarios }, peers) {
  return html`<section><h2 id="${anchor}">${title}</h2>
${scenarios.map((scenario) => scenario.figures.map((figure) => figureSection(scenario, figure, peers)))}
</section>`
}

function figureSection(scenario, figure, peers) {
  const anchor = anchorOf(scenario, figure)
  const axis = axisOf(figure)
  const ceiling = figure.peers[CEILING]?.median
  const listed = Object.keys(peers).filter((name) => name in figure.peers)
  const names = listed.filter((name) => figure.peers[name].rounds.length > 0)
  const others = listed.filter((name) => !names.includes(name))
  const rows = names.map((name, index) => {
    const drawn = {
      figure,
      name,
      title: peers[name].title,
      axis,
      ceiling,
      id: `${anchor}-${index}`,
      hasFloors: name === subjectOf(figure)
    }
    return html`<tr class="${name === subjectOf(figure) && 'ours'}"><th scope="row" class="name">${mark(name)}${peers[name].title}</th>
<td class="plotted">${plot(drawn)}${notes(figure.peers[name])}</td>
${numberCells(figure, name)}</tr>`
  })
  return html`<section class="figure" id="${anchor}" aria-labelledby="${anchor}-h">
<h3 id="${anchor}-h">${figure.title}<small>${figure.unit}, ${figure.better} is better; ${scenario.id} ${scenario.title}</small></h3>
<table><thead><tr><th class="name">implementation</th><th class="plotted">rounds</th><th class="number middle">median</th><th class="number cpu">CPU, both ends</th><th class="number ratio">${peers[subjectOf(figure)]?.title ?? 'ferroswarm'} divided by it</th></tr></thead>
<tbody>${rows}</tbody>
<tfoot aria-hidden="true"><tr><td class="name"></td><td class="plotted">${scale(axis)}</td><td class="middle"></td><td class="cpu"></td><td class="ratio"></td></tr></tfoot></table>
${
  others.length > 0 &&
  html`<p class="quiet">Not measured: ${others.map((name) => `${peers[name].title} (${figure.peers[name].missing})`).join(', ')}.</p>`
}
${figure.floors.length > 0 && html`<ul class="floors">${figure.floors.map((floor) => floorItem(floor, figure.unit, peers))}</ul>`}
</section>`
}

function notes(peer) {
  const reasons = unfitReasons(peer)
  const text = [...notesOf(peer), ...(reasons === '' ? [] : [reasons])].join('; ')
  return text !== '' && html`<span class="note">${text}</span>`
}

function numberCells(figure, name) {
  const { median, min, max, cpu } = figure.peers[name]
  const has = Number.isFinite(median)
  return html`<td class="number middle">${has && html`<b>${digits(median)}</b><small>${extent({ min, max })}</small>`}</td>
<td class="number cpu">${cpu && html`${digits(cpu.client + cpu.server)} ${cpu.unit}<small>${digits(cpu.client)} + ${digits(cpu.server)}</small>`}</td>
<td class="number ratio">${name !== subjectOf(figure) && ratioOf(figure, name, true)}</td>`
}

function floorItem(floor, unit, peers) {
  const outcome = verdict(floor) ?? 'aim'
  const kind = { held: 'good', missed: 'bad' }[outcome] ?? 'quiet'
  return html`<li><b class="${kind}">${outcome}</b> ${floorText(floor, unit, peers)}</li>`
}

function historySection(result, { results, leftOut }) {
  const others = OTHERS.filter((name) => name in result.peers)
  const rows = historyRows(result, results, others)
  return html`<section><h2 id="history">History</h2>
<p>The headline figures of the runs of this mode so far, oldest on the left: our own, which depend on the machine and the day,
and their ratios to the others, with a dotted line at 1.</p>
${leftOut.map((reason) => html`<p class="warning">Excluded: ${reason}</p>`)}
<div class="scroll"><table><thead><tr><th>figure</th><th>ferroswarm</th>${others.map((name) => html`<th>to ${result.peers[name].title}</th>`)}</tr></thead><tbody>
${rows.map(
  ({
    figure,
    stack,
    own,
    ratios
  }) => html`<tr><th scope="row">${figure.title}<br><small>${stack}</small></th>
<td>${sparkline(own, (value) => `${digits(value)} ${figure.unit}`)}</td>${ratios.map(
    (points) => html`<td>${sparkline(points, times, 1)}</td>`
  )}</tr>`
)}
</tbody></table></div></section>`
}

function anchorOf({ name, stack }, { id }) {
  return `${stack ?? 'any'}-${name}-${id}`.replaceAll(/[^A-Za-z0-9-]+/g, '-')
}
