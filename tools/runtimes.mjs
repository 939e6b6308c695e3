/**
 * Runs the built package on Bun and Deno, as npm installs them: two nodes echo, close, and the process ends by itself.
 *
 *     node tools/runtimes.mjs
 *
 * Where a runtime cannot be installed, it says so and goes on: other platforms have none. One that is there and fails
 * ends this with exit code 1.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { npm, ROOT } from './shared.mjs'

const FOLDER = join(ROOT, 'target', 'runtimes')
const PROGRAM = join(ROOT, 'tools', 'runtimes-program.mjs')
/** Both start in a second. */
const HANG_MS = 60_000

const RUNTIMES = [
  { name: 'bun', version: '1.4.5', args: ['run'] },
  {
    name: 'deno',
    version: '2.9.6',
    // Its own sandbox is not what is tried.
    args: ['run', '--allow-all', '--node-modules-dir=manual', '--no-lock']
  }
]

mkdirSync(FOLDER, { recursive: true })
// npm would take the project's own.
if (!existsSync(join(FOLDER, 'package.json'))) {
  writeFileSync(join(FOLDER, 'package.json'), '{ "private": true }\n')
}
let failed = 0
for (const runtime of RUNTIMES) if (runs(runtime) === false) failed += 1
process.exitCode = failed === 0 ? 0 : 1

/** Whether it does what it should; undefined where it is not there. */
function runs({ name, version, args }) {
  const program = installed(name, version)
  if (program === undefined) {
    console.log(`runtimes: ${name} ${version} cannot be installed here`)
    return undefined
  }
  const { status, signal, stdout, stderr, error } = spawnSync(program, [...args, PROGRAM], {
    encoding: 'utf8',
    timeout: HANG_MS
  })
  const isRight = status === 0 && stdout === 'hello\nclosed\n'
  console.log(`runtimes: ${name} ${version} ${isRight ? 'runs' : 'fails'}`)
  if (!isRight) console.error(error ?? '', { status, signal }, stdout, stderr)
  return isRight
}

/** The program of a runtime, installed if need be. */
function installed(name, version) {
  const program = join(FOLDER, 'node_modules', '.bin', name)
  const stamp = join(FOLDER, `${name}-${version}`)
  if (existsSync(stamp)) return program
  // Their install scripts put the program of this platform in its place.
  const how = ['--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error']
  if (npm(['install', `${name}@${version}`, ...how], FOLDER).status !== 0) return undefined
  if (spawnSync(program, ['--version'], { timeout: HANG_MS }).status !== 0) return undefined
  writeFileSync(stamp, '')
  return program
}
