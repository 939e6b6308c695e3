/**
 * Runs the model over several seeds:
 *
 *     npm run simulate -- --nodes 1000 --seeds 10
 *
 * Options: `--nodes`, `--degree` (connections per node at the beginning), `--seconds` (of virtual time with churn),
 * `--seeds` (runs) and `--seed` (the first one). A run that fails prints its seed, which runs again as it has.
 */
import { parseArgs } from 'node:util'
import { DEFAULTS, run } from './model.ts'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: `${DEFAULTS.nodes}` },
    degree: { type: 'string', default: `${DEFAULTS.degree}` },
    seconds: { type: 'string', default: `${DEFAULTS.seconds}` },
    seeds: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' }
  }
})

function number(name: keyof typeof values, min: number): number {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new RangeError(`--${name} is ${values[name]}, not a whole number of ${min} or more`)
}

const size = {
  nodes: number('nodes', 2),
  degree: number('degree', 0),
  seconds: number('seconds', 0)
}
const first = number('seed', 0)
for (let seed = first; seed < first + number('seeds', 1); seed += 1) {
  const began = performance.now()
  try {
    const report = await run({ seed, ...size })
    const { connected, openedStream, echoes, crashes, pruned } = report
    const seconds = ((performance.now() - began) / 1_000).toFixed(1)
    console.log(
      `seed ${seed}: ${seconds} s, ${report.degree.toFixed(1)} connections per node, ${connected} connected, ` +
        `${openedStream} openedStream, ${echoes} echoes, ${crashes} crashes, ${pruned} pruned, ${report.hash.slice(0, 16)}`
    )
  } catch (err) {
    console.error(`seed ${seed} failed`, err)
    process.exitCode = 1
  }
}
