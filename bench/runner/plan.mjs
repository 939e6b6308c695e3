// The plan for the processes that ava starts, and the folder for their results.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Environment variable with the folder of the run. */
const FOLDER = 'FERROSWARM_BENCH_RUN'
const PLAN = 'plan.json'

/** Creates the folder of a run; its processes find it by `environment`. */
export function writePlan(plan) {
  const folder = mkdtempSync(join(tmpdir(), 'ferroswarm-bench-'))
  writeFileSync(join(folder, PLAN), JSON.stringify(plan))
  return {
    environment: { [FOLDER]: folder },
    /** Returns the sections written by the scenarios, ordered by id. */
    sections: () =>
      readdirSync(folder)
        .filter((name) => name !== PLAN)
        .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
        .sort((a, b) => compareIds(a.id, b.id)),
    remove: () => rmSync(folder, { recursive: true })
  }
}

/** Compares numerically: S2 before S10. */
function compareIds(a, b) {
  return Number(a.slice(1)) - Number(b.slice(1))
}

/** Reads the plan of this process's run. */
export function readPlan() {
  return JSON.parse(readFileSync(join(folder(), PLAN), 'utf8'))
}

/** Writes the section of a scenario over one stack. */
export function writeSection(section) {
  const name = `${section.id}-${section.stack ?? 'any'}.json`
  writeFileSync(join(folder(), name), JSON.stringify(section))
}

function folder() {
  const path = process.env[FOLDER]
  if (path === undefined) throw new Error('scenarios are run by npm run bench')
  return path
}
