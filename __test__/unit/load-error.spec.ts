import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { AddonError, addonError, PLATFORMS } from '../../ts/native/load-error.ts'
import { ROOT } from '../support/cli.ts'

/** Builds an error as the generated binding throws it: the last candidate is the outermost. */
function thrown(...messages: string[]): Error {
  const chain = messages.reduce<Error | undefined>(
    (cause, message) => new Error(message, { cause }),
    undefined
  )
  return new Error('Cannot find native binding. npm has a bug', { cause: chain })
}

const LOCAL = "Cannot find module './ferroswarm.linux-x64-gnu.node'\nRequire stack:\n- /app"
const PACKAGE = "Cannot find module '@ferroswarm/native-linux-x64-gnu'\nRequire stack:\n- /app"

test('a missing addon is reported in one sentence: platform, candidates, remedy', (t) => {
  const err = addonError(thrown(LOCAL, PACKAGE), 'linux-x64-gnu')
  t.true(err instanceof AddonError)
  t.is(err.code, 'ERR_ADDON')
  t.is(
    err.message,
    "ferroswarm's native addon for linux-x64-gnu is not installed: looked for ./ferroswarm.linux-x64-gnu.node " +
      'and @ferroswarm/native-linux-x64-gnu; install the packages again on this machine, with optional ' +
      'dependencies (no --omit=optional, no node_modules of another platform)'
  )
})

test('a platform without an addon is named with those that have one', (t) => {
  const { message } = addonError(thrown('Unsupported OS: sunos, architecture: x64'), 'sunos-x64')
  t.regex(message, /^ferroswarm has no native addon for sunos-x64, only for linux-x64-gnu, /)
  t.notRegex(message, /\n/)
})

test('a broken addon is reported with the reason', (t) => {
  const { message } = addonError(
    thrown('/app/ferroswarm.linux-x64-gnu.node: file too short\nmore', PACKAGE),
    'linux-x64-gnu'
  )
  t.regex(
    message,
    /is installed but cannot be loaded \(\/app\/ferroswarm\S+: file too short\): install /
  )
})

test('a system with an older glibc gets the required version', (t) => {
  const reason = "/lib64/libc.so.6: version `GLIBC_2.28' not found (required by /app/a.node)"
  const { message } = addonError(thrown(LOCAL, reason), 'linux-x64-gnu')
  t.regex(
    message,
    /needs a newer glibc than this system has \(.+\): run it on glibc 2\.28 or newer/
  )
})

test('the named platforms are those of npm/', async (t) => {
  t.deepEqual([...PLATFORMS].sort(), (await readdir(join(ROOT, 'npm'))).sort())
})
