// From the lines of all rounds to figures, and from figures to a Markdown table.

/**
 * The rows of a scenario: per figure and peer the median, the least and the most of all rounds, and the median of
 * the ratios to the baseline within a round.
 */
export function summarize(scenario, lines, baseline) {
  return scenario.figures.map(({ name, unit, value, better }, index) => {
    const rounds = mapValues(lines, (runs) => runs.map(value))
    return {
      scenario: scenario.name,
      name,
      unit,
      better,
      peers: mapValues(rounds, (values, peer) => ({
        ...spread(values),
        ratio: ratioTo(rounds[baseline], values),
        // Once: the further figures are of the same runs.
        ...(scenario.cpu !== undefined && index === 0
          ? cpu(scenario.cpu, lines, peer, baseline)
          : {}),
        errors: lines[peer].flatMap(({ error }) => error ?? [])
      }))
    }
  })
}

/** CPU time of both ends for each unit of work, and their sum's ratio to the baseline. */
function cpu({ unit, scale, per }, lines, peer, baseline) {
  const client = (line) => ((line.cpu_user_s + line.cpu_sys_s) * scale) / per(line)
  const server = (line) => (line.server_cpu_s * scale) / per(line)
  const both = (line) => client(line) + server(line)
  return {
    cpu: {
      unit,
      client: median(lines[peer].map(client)),
      server: median(lines[peer].map(server)),
      ratio: ratioTo(lines[baseline]?.map(both), lines[peer].map(both))
    }
  }
}

function ratioTo(base, values) {
  if (base === undefined || base === values) return undefined
  return median(values.map((value, round) => value / base[round]))
}

function spread(values) {
  const there = values.filter(Number.isFinite)
  return { median: median(there), min: Math.min(...there), max: Math.max(...there), rounds: values }
}

function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  const middle = sorted.length / 2
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2
}

function mapValues(object, map) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]))
}

/** One table a stack. Ratios are to the baseline, the better the higher for rates, the lower for all else. */
export function table(stack, rows, peers, baseline) {
  const compared = peers.includes(baseline) ? peers.filter((peer) => peer !== baseline) : []
  const head = [stack, ...peers, ...compared.map((peer) => `${peer} / ${baseline}`)]
  const body = rows.map((row) => [
    `${row.name}, ${row.unit}`,
    ...peers.map((peer) => cell(row.peers[peer])),
    ...compared.map((peer) => ratioCell(row.peers[peer]))
  ])
  return [head, head.map(() => '---'), ...body]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function cell({ median, min, max, cpu, errors }) {
  if (!Number.isFinite(median)) return `failed: ${errors[0] ?? 'no figure'}`
  const ends = cpu === undefined ? '' : `; ${short(cpu.client)} + ${short(cpu.server)} ${cpu.unit}`
  const failed = errors.length === 0 ? '' : `; ${errors.length} failed: ${errors[0]}`
  return `**${short(median)}** [${short(min)}-${short(max)}]${ends}${failed}`
}

function ratioCell({ ratio, cpu }) {
  const ofCpu = cpu === undefined ? '' : `, CPU ${times(cpu.ratio)}`
  return `**${times(ratio)}**${ofCpu}`
}

function times(ratio) {
  return Number.isFinite(ratio) ? `${ratio.toPrecision(ratio >= 100 ? 3 : 2)}x` : '-'
}

/** Three significant digits. */
function short(value) {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1e6) return `${short(value / 1e6)} M`
  if (Math.abs(value) >= 1e4) return `${short(value / 1e3)} k`
  if (Math.abs(value) >= 100) return String(Math.round(value))
  return String(Number(value.toPrecision(3)))
}

/** What stands above the tables. */
export function heading(environment, crypto, options) {
  const { node, kernel, cpu, memoryGiB, network, congestionControl, loadAverage } = environment
  const backends = Object.entries(crypto).map(([peer, backend]) => `${peer} ${backend}`)
  return [
    `Node ${node}; ${kernel}; ${cpu}, ${memoryGiB} GiB; ${network}, ${congestionControl};`,
    `load average at the start ${loadAverage.join(', ')}.`,
    `Crypto: ${backends.join('; ')}.`,
    `Median [least-most] of ${options.rounds} interleaved rounds; CPU of client + server;`,
    'ratios are medians of those within a round.'
  ].join('\n')
}
