/** Runs all static checks. Continues after a failure, and lists all failures at the end. */
import { run } from './shared.mjs'

const RUSTDOC = 'build.rustdocflags = ["-D", "warnings"]'

const CHECKS = [
  ['cargo', 'fmt', '--all', '--check'],
  ['cargo', 'clippy', '--workspace', '--all-targets', '--', '-D', 'warnings'],
  ['cargo', '--config', RUSTDOC, 'doc', '--workspace', '--no-deps', '--document-private-items'],
  ['tsc', '--project', 'tsconfig.json', '--noEmit'],
  ['tsc', '--project', '__test__/tsconfig.json'],
  ['typedoc', '--emit', 'none'],
  ['biome', process.env.CI === 'true' ? 'ci' : 'check', '.'],
  ['cargo', 'xtask', 'tidy'],
  ['node', 'bench/report/main.mjs', '--check'],
  ['node', 'tools/error-docs.mjs', '--check']
]

const failed = []
for (const [program, ...args] of CHECKS) {
  const text = [program, ...args].join(' ')
  console.log(`check: ${text}`)
  if ((await run(program, args)) !== 0) failed.push(text)
}
for (const text of failed) console.error(`check failed: ${text}`)
process.exitCode = failed.length === 0 ? 0 : 1
