/** The arguments of the soak test. */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'

export interface SoakOptions {
  /** Duration in minutes. */
  readonly minutes: number
  /** Seed of every decision; printed, so that a run can be repeated as far as timing permits. */
  readonly seed: number
  readonly nodes: number
}

export function soakOptions(): SoakOptions {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string', default: `${randomInt(2 ** 31)}` },
      nodes: { type: 'string', default: '6' }
    }
  })
  const options = {
    minutes: Number(values.minutes),
    seed: Number(values.seed),
    nodes: Number(values.nodes)
  }
  const isValid =
    options.minutes > 0 && Number.isInteger(options.seed) && Number.isInteger(options.nodes)
  if (!isValid || options.nodes < 2) {
    throw new TypeError('usage: npm run soak -- [--minutes 30] [--seed N] [--nodes 6]')
  }
  return options
}
