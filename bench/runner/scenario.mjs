// A scenario is data and one call of `scenario`, which declares a test for each stack that it is measured over.
//
// Its series are measured sequentially; a series is one workload, whose line yields one or more figures:
//
//     workload, args   the client's workload: interop/contract.md
//     flag, first      the option for the amount of work, and its value before a peer's rate is known
//     untimed          bytes that the workload transfers before its timed part
//     run              replaces the run of one peer: (target, size, { servers, plan }) => line
//     server           the peer whose server serves all; defaults to each peer's own
//     needs            another peer that is required for the measurement
//     figures          { id, title, unit, better, value(line), floors: { stack or 'any': [...] }, peers }
//     cpu              { unit, scale, per(line) }: CPU time of both ends per unit of work
//     subject          the peer whose figures are compared; defaults to ours
//     peers            the peers that it applies to; defaults to all but dropin, which is js-libp2p once more
//     roundsMax        maximum rounds, if fewer than the run's
//     modes            the modes that it is part of; defaults to all

import test from 'ava'
import { subjectOf } from './figures.mjs'
import { readPlan, writeSection } from './plan.mjs'
import { measureSeries } from './series.mjs'
import { Servers } from './servers.mjs'

/** The modes whose rounds are long enough to check floors. */
const FLOORS_HOLD_IN = ['full', 'soak']

/**
 * Declares the tests of a scenario. `withoutStack` marks one that is independent of stacks; `inFull` restricts the stacks
 * of a full run, which has to fit into an hour. Defaults to all.
 */
export function scenario({ id, name, title, series, withoutStack, inFull }) {
  const plan = readPlan()
  const wanted = series.filter(({ modes }) => modes?.includes(plan.mode) ?? true)
  for (const stack of withoutStack ? [null] : plan.stacks) {
    if (plan.mode === 'full' && inFull?.includes(stack) === false) continue
    test.serial(stack === null ? title : `${title}, ${stack}`, async (t) => {
      const servers = new Servers()
      const figures = []
      try {
        for (const one of wanted) figures.push(...(await measureSeries(one, stack, plan, servers)))
      } finally {
        await servers.stop()
      }
      writeSection({ id, name, title, stack, figures })
      assertMeasured(t, figures, plan)
      if (FLOORS_HOLD_IN.includes(plan.mode)) assertFloors(t, figures)
      t.pass()
    })
  }
}

/** Asserts that our own figures were measured, if we take part. */
function assertMeasured(t, figures, plan) {
  for (const { id, peers, ...figure } of figures) {
    const subject = subjectOf(figure)
    if (plan.peers[subject] === undefined) continue
    const { median, rounds, missing } = peers[subject]
    t.true(median !== undefined || missing !== undefined, `${id}: ${rounds?.[0]?.error}`)
  }
}

function assertFloors(t, figures) {
  for (const { id, floors } of figures) {
    for (const { against, of, op, floor, measured, held } of floors) {
      const goal = `${op} ${floor}${against === null ? '' : ` of ${against}`}`
      t.not(held, false, `${id}: expected ${of} ${goal}, measured ${measured?.toPrecision(3)}`)
    }
  }
}
