/**
 * Runs the built package on Bun and Deno, as installed by npm: two nodes echo, close, and the process exits on its own.
 *
 *     node tools/runtimes.mjs
 *
 * A runtime that cannot be installed is reported and skipped, as some platforms have none. Exits with code 1 if an
 * installed one fails.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { npm, ROOT } from './shared.mjs'

const FOLDER = join(ROOT, 'target', 'runtimes')
const PROGRAM = join(ROOT, 'tools', 'runtimes-program.mjs')
/** Upper bound of a run; both start within a second. */
const HANG_MS = 60_000

const RUNTIMES = [
  { name: 'bun', version: '1.4.5', args: ['run'] },
  {
    name: 'deno',
    version: '2.9.6',
    // Deno's sandbox is not under test.
    args: ['run', '--allow-all', '--node-modules-dir=manual', '--no-lock']
  }
]

mkdirSync(FOLDER, { recursive: true })
// Otherwise npm would use the project's package.json.
if (!existsSync(join(FOLDER, 'package.json'))) {
  writeFileSync(join(FOLDER, 'package.json'), '{ "private": true }\n')
}
let failed = 0
for (const runtime of RUNTIMES) if (runs(runtime) === false) failed += 1
process.exitCode = failed === 0 ? 0 : 1

/** Returns whether the program succeeds on a runtime; undefined if that is not available. */
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
  const isOk = status === 0 && stdout === 'hello\nclosed\n'
  console.log(`runtimes: ${name} ${version} ${isOk ? 'runs' : 'fails'}`)
  if (!isOk) console.error(error ?? '', { status, signal }, stdout, stderr)
  return isOk
}

/** Returns the executable of a runtime, which is installed if necessary. */
function installed(name, version) {
  const program = join(FOLDER, 'node_modules', '.bin', name)
  const stamp = join(FOLDER, `${name}-${version}`)
  if (existsSync(stamp)) return program
  // The install scripts put this platform's executable in place.
  const options = ['--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error']
  if (npm(['install', `${name}@${version}`, ...options], FOLDER).status !== 0) return undefined
  if (spawnSync(program, ['--version'], { timeout: HANG_MS }).status !== 0) return undefined
  writeFileSync(stamp, '')
  return program
}
