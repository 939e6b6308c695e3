// Measures a node under attack by raw clients: `node bench/hostile.mjs [part of a name]`.
//
// Prints a table of the results and their bars, and exits with code 1 if a bar is missed. In every case a bystander's
// connection is served before and after. The node is a separate process and runs from ts/ with the last addon built.

import { environment } from './environment.mjs'
import { CASES } from './hostile/cases.mjs'

const wanted = process.argv[2] ?? ''
const { node, cpu, kernel } = environment()
console.log(`${cpu}; ${kernel}; node ${node}\n\n| case | measured | bar | |\n|---|---|---|---|`)
for (const { name, bar, run } of CASES.filter(({ name }) => name.includes(wanted))) {
  const { isKept, text } = await run()
  if (!isKept) process.exitCode = 1
  console.log(`| ${name} | ${text} | ${bar} | ${isKept ? '' : 'missed'} |`)
}
process.exit()
