// The history of headline figures and their ratios over runs.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { subjectOf } from '../runner/figures.mjs'
import { html } from './html.mjs'
import { readResult } from './result.mjs'
import { headlines, stackTitle } from './words.mjs'

/** The folder of result files. */
export const RESULTS = fileURLToPath(new URL('../results', import.meta.url))

/** Reads all result files of a folder; `leftOut` has the reason for each that could not be read. */
export function readHistory(folder) {
  const results = []
  const leftOut = []
  const files = existsSync(folder) ? readdirSync(folder) : []
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    try {
      results.push(readResult(join(folder, file)))
    } catch (err) {
      leftOut.push(err.message)
    }
  }
  return { results, leftOut }
}

/**
 * Returns a row for each headline figure of the result: our values and their ratios to the others, over the earlier
 * results of the same mode and this one.
 */
export function historyRows(result, results, others) {
  const before = results.filter(
    ({ mode, started }) => mode === result.mode && Date.parse(started) < Date.parse(result.started)
  )
  const runs = [...before.toSorted((a, b) => Date.parse(a.started) - Date.parse(b.started)), result]
  return headlines(result).map(({ scenario, figure }) => {
    const points = (figureOf) =>
      runs.map((run) => ({
        when: `${run.started.slice(0, 10)} ${run.commit.slice(0, 7)}`,
        value: figureOf(sameFigure(run, scenario, figure))
      }))
    return {
      figure,
      stack: stackTitle(scenario.stack),
      own: points((then) => then?.peers[subjectOf(figure)]?.median),
      ratios: others.map((name) => points((then) => then?.ratios[name]?.median))
    }
  })
}

function sameFigure(run, { stack, name }, { id }) {
  return run.scenarios
    .filter((scenario) => scenario.stack === stack && scenario.name === name)
    .flatMap(({ figures }) => figures)
    .find((figure) => figure.id === id)
}

const WIDTH = 100
const HEIGHT = 30
const EDGE = 4

/** Draws points in order on an axis from zero, with the last as text; `level` is the position of a reference line. */
export function sparkline(points, format, level) {
  const known = points.map(({ value }) => value).filter(Number.isFinite)
  if (known.length === 0) return undefined
  const most = Math.max(level ?? 0, ...known)
  const y = (value) => (HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * value) / most).toFixed(1)
  const step = (WIDTH - 2 * EDGE) / Math.max(1, points.length - 1)
  const x = (index) => (WIDTH - EDGE - step * (points.length - 1 - index)).toFixed(1)
  const drawn = points
    .map(({ value, when }, index) => ({ value, when, x: x(index), y: y(value) }))
    .filter(({ value }) => Number.isFinite(value))
  const title = drawn.map(({ value, when }) => `${when}: ${format(value)}`).join(', ')
  return html`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
<title>${title}</title>
${level !== undefined && html`<line class="level" x1="0" x2="${WIDTH}" y1="${y(level)}" y2="${y(level)}"/>`}
<polyline points="${drawn.map((point) => `${point.x},${point.y}`).join(' ')}"/>
${drawn.map((point) => html`<circle cx="${point.x}" cy="${point.y}" r="2.5"/>`)}
</svg><small>${format(known.at(-1))}</small>`
}
