// The rounds of a figure as marks on an axis from zero. Positions are percentages of the width, so that marks and text
// keep their size on every screen.

import { html } from './html.mjs'
import { digits, isUnfit } from './words.mjs'

/** Marks around the origin, one shape per implementation; those without one use the circle. */
const SHAPES = {
  ours: 'M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z',
  native: 'M0-5.5L5.5 0L0 5.5L-5.5 0z',
  js: 'M-4-4H4V4H-4z',
  go: 'M0-5L5 4H-5z',
  rust: 'M0 5L-5-4H5z',
  net: 'M-1.5-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5z',
  raw: 'M-1.5-6H1.5V6H-1.5z'
}

const ROW_HEIGHT = 44
/** Vertical position of the marks: beside the first line of the adjacent cells. */
const MIDDLE = 17
/** Height of a line of floors or aims below our row. */
const LANE_HEIGHT = 15
/** Approximate width of a letter, for omitting labels that would overlap. */
const LETTER_PERCENT = 1.1

/** Returns the definitions shared by all plots of a page. */
export function marks() {
  return html`<svg width="0" height="0" aria-hidden="true"><defs>${Object.entries(SHAPES).map(
    ([name, path]) => html`<path id="mark-${name}" d="${path}"/>`
  )}<path id="floor" d="M0 0L4.5 8H-4.5z"/></defs></svg>`
}

/** Returns the mark of an implementation, for use in text. */
export function mark(name) {
  return html`<svg class="key peer-${shapeOf(name)}" width="14" height="14" aria-hidden="true"
    ><use href="#mark-${shapeOf(name)}" x="7" y="7"/></svg>`
}

/** Returns the axis shared by all implementations of a figure: from zero to `end`, with ticks. */
export function axisOf({ peers, floors }) {
  const values = Object.values(peers).flatMap(({ rounds }) => rounds.map(({ value }) => value ?? 0))
  const most = Math.max(
    0,
    ...values,
    ...floors.flatMap((floor) => bounds(floor, peers).map(({ at }) => at))
  )
  const step = niceStep(most / 5)
  const count = Math.max(1, Math.ceil(most / step))
  return { end: count * step, ticks: Array.from({ length: count + 1 }, (_, index) => index * step) }
}

/** Rounds up to 1, 2 or 5 times a power of ten. */
function niceStep(about) {
  if (!(about > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(about))
  return power * [1, 2, 5, 10].find((factor) => factor * power >= about * 0.999)
}

/** Formats a tick without trailing zeros. */
function tickText(tick) {
  return digits(tick).replace(/\.(\d*?)0+(?=\D*$)/, (_, rest) => (rest === '' ? '' : `.${rest}`))
}

/** Draws the scale below the plots. */
export function scale(axis) {
  return html`<svg class="plot scale" height="18" aria-hidden="true">${axis.ticks.map(
    (tick, index) =>
      html`<text x="${place(tick, axis)}" y="13" text-anchor="${anchor(index, axis)}">${tickText(tick)}</text>`
  )}</svg>`
}

function anchor(index, { ticks }) {
  if (index === 0) return 'start'
  return index === ticks.length - 1 ? 'end' : 'middle'
}

/** Draws an implementation's rounds, with the ceiling; `name` is its key, `id` unique in the page. */
export function plot({ figure, name, title, axis, ceiling, id, hasFloors }) {
  const { rounds, median, min, max } = figure.peers[name]
  const lanes = hasFloors ? floorLanes(figure, axis) : []
  const height = ROW_HEIGHT + Math.max(0, lanes.length * LANE_HEIGHT - 8)
  const has = Number.isFinite(median)
  return html`<svg class="plot peer-${shapeOf(name)}" height="${height}" role="img" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}: ${has ? `${digits(median)} ${figure.unit}` : 'no figure'}</title>
<desc id="${id}-d">${described(rounds, figure.unit)}</desc>
${axis.ticks.map((tick) => vertical('grid', tick, axis, 0, height))}
${Number.isFinite(ceiling) && vertical('ceiling', ceiling, axis, 0, height)}
${has && html`<line class="spread" x1="${place(min, axis)}" x2="${place(max, axis)}" y1="${MIDDLE}" y2="${MIDDLE}"/>`}
${has && vertical('median', median, axis, MIDDLE - 13, MIDDLE + 13)}
${rounds.map((round, index) => dot(round, index, figure.unit, name, axis))}
${lanes.map((lane, index) => lane.map((bound) => tick(bound, axis, ROW_HEIGHT - 12 + index * LANE_HEIGHT)))}
</svg>`
}

function described(rounds, unit) {
  const words = rounds.map((round) =>
    round.error === undefined ? digits(round.value) + (isUnfit(round) ? ' (unfit)' : '') : 'failed'
  )
  return `Rounds in order, ${unit}: ${words.join(', ')}.`
}

function dot(round, index, unit, name, axis) {
  if (round.error !== undefined) return undefined
  const unfit = isUnfit(round)
  const note = `round ${index + 1}: ${digits(round.value)} ${unit}${unfit ? `, unfit: ${round.unfit}` : ''}`
  return html`<use class="${unfit ? 'dot unfit' : 'dot'}" href="#mark-${shapeOf(name)}" x="${place(round.value, axis)}" y="${MIDDLE}"><title>${note}</title></use>`
}

function vertical(kind, value, axis, y1, y2) {
  const x = place(value, axis)
  return html`<line class="${kind}" x1="${x}" x2="${x}" y1="${y1}" y2="${y2}"/>`
}

/** Returns the floors and aims of the figure's value, in separate lanes. */
function floorLanes({ floors, peers }, axis) {
  const all = floors.flatMap((floor) => bounds(floor, peers)).toSorted((a, b) => a.at - b.at)
  return ['floor', 'aim']
    .map((kind) =>
      labelled(
        all.filter((bound) => bound.kind === kind),
        axis
      )
    )
    .filter((lane) => lane.length > 0)
}

/** Returns the positions of a floor and its aim: the ratio times the median of the peer compared with. */
function bounds({ against, of, op, floor, aim }, peers) {
  const unit = against === null ? 1 : peers[against]?.median
  if (of !== 'value' || !Number.isFinite(unit)) return []
  const sign = op === '>=' ? '≥' : '≤'
  return [
    ['floor', floor],
    ['aim', aim]
  ]
    .filter(([, bound]) => Number.isFinite(bound))
    .map(([kind, bound]) => ({
      kind,
      at: bound * unit,
      label: against === null ? `${sign} ${bound}` : `${sign} ${bound}x ${against}`
    }))
}

/** Places each label beside its mark where it overlaps no other mark or label, or omits it. */
function labelled(lane, axis) {
  const percent = (bound) => (100 * bound.at) / axis.end
  let free = 0
  return lane.map((bound, index) => {
    const at = percent(bound)
    const width = (bound.label.length + 1) * LETTER_PERCENT
    const next = index + 1 < lane.length ? percent(lane[index + 1]) - LETTER_PERCENT : 100
    const side = at + width <= next ? 'start' : at - width >= free ? 'end' : undefined
    free = at + (side === 'start' ? width : LETTER_PERCENT)
    return { ...bound, side }
  })
}

function tick({ kind, at, label, side }, axis, y) {
  const x = place(at, axis)
  return html`<use class="${kind}" href="#floor" x="${x}" y="${y + 2}"/>${
    side &&
    html`<text class="bound" x="${x}" y="${y + 10}" dx="${side === 'start' ? 7 : -7}" text-anchor="${side}">${label}</text>`
  }`
}

function place(value, { end }) {
  return `${Number(((100 * value) / end).toFixed(2))}%`
}

function shapeOf(name) {
  return name in SHAPES ? name : 'ours'
}
