// A scenario is data and one call of `scenario` here, which makes a test of it for each stack it is measured over.
//
// Its series are measured one after another; a series is one workload, whose line gives one or more figures:
//
//     workload, args   what the client is asked for: interop/contract.md
//     flag, first      the name of what counts the work, and how much a peer is given before its rate is known
//     untimed          bytes that the workload moves before its timed part
//     run              how one peer is measured once, if not so: (target, size, { servers, plan }) => line
//     server           the peer whose server serves all, if not each its own
//     needs            another peer without which it cannot be measured
//     figures          { id, title, unit, better, value(line), floors: { stack or 'any': [...] }, peers }
//     cpu              { unit, scale, per(line) }: CPU time of both ends for each unit of work
//     peers            those it makes sense for; all when left out
//     roundsMax        fewer rounds than the run's
//     modes            the only modes it is part of; all when left out

import test from 'ava'
import { SUBJECT } from './figures.mjs'
import { readPlan, writeSection } from './plan.mjs'
import { measureSeries } from './series.mjs'
import { Servers } from './servers.mjs'

/** The modes whose rounds are long enough to be held against a floor. */
const FLOORS_HOLD_IN = ['full', 'soak']

/**
 * Declares the tests of a scenario. `withoutStack` is for one that has nothing to do with a stack; `inFull` are the stacks
 * of it that a full run takes, which has an hour: all when left out.
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

/** Our own figures are there in every run. */
function assertMeasured(t, figures, plan) {
  if (plan.peers[SUBJECT] === undefined) return
  for (const { id, peers } of figures) {
    const { median, rounds, missing } = peers[SUBJECT]
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
