// What the command asks of the processes that ava starts, and where they leave what they measured.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Names the folder of the run, for the processes of it. */
const FOLDER = 'FERROSWARM_BENCH_RUN'
const PLAN = 'plan.json'

/** Makes the folder of a run. `environment` is what its processes need to find it. */
export function writePlan(plan) {
  const folder = mkdtempSync(join(tmpdir(), 'ferroswarm-bench-'))
  writeFileSync(join(folder, PLAN), JSON.stringify(plan))
  return {
    environment: { [FOLDER]: folder },
    /** What the scenarios left, in the order of their names. */
    sections: () =>
      readdirSync(folder)
        .filter((name) => name !== PLAN)
        .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
        .sort((a, b) => compareIds(a.id, b.id)),
    remove: () => rmSync(folder, { recursive: true })
  }
}

/** S2 before S10. */
function compareIds(a, b) {
  return Number(a.slice(1)) - Number(b.slice(1))
}

/** The plan of the run that this process belongs to. */
export function readPlan() {
  return JSON.parse(readFileSync(join(folder(), PLAN), 'utf8'))
}

/** Leaves the section of a scenario over one stack. */
export function writeSection(section) {
  const name = `${section.id}-${section.stack ?? 'any'}.json`
  writeFileSync(join(folder(), name), JSON.stringify(section))
}

function folder() {
  const path = process.env[FOLDER]
  if (path === undefined) throw new Error('a scenario is run by the command: npm run bench')
  return path
}
