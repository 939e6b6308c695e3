/** The set-up that every npm script runs first, in a copy of this clone. */
import { cp, mkdtemp, readdir, rm, symlink, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { program, ROOT } from '../support/cli.ts'

const COPIED = ['tools', 'ts', 'package.json', 'package-lock.json', 'tsconfig.json']
const LINKED = ['node_modules', 'crates']

/** A copy of this clone with its addon built. */
async function clone(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-setup-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const name of COPIED) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true, preserveTimestamps: true })
  }
  for (const name of LINKED) await symlink(join(ROOT, name), join(folder, name), 'junction')
  const native = join(folder, 'ts', 'native')
  const now = new Date()
  for (const name of await readdir(native)) {
    if (/^binding\.|\.node$/.test(name)) await utimes(join(native, name), now, now)
  }
  return folder
}

test('a second set-up does nothing, and needs neither registry nor compilers', async (t) => {
  t.timeout(120_000, 'a compiler on a busy machine')
  const cwd = await clone(t)
  const env = {
    ...process.env,
    // Nothing listens there.
    npm_config_registry: 'http://127.0.0.1:1/',
    npm_config_fetch_retries: '0',
    CARGO_NET_OFFLINE: 'true'
  }
  const setup = () => program(process.execPath, ['tools/setup.mjs'], { cwd, env })
  const first = await setup()
  t.is(first.code, 0, first.err)
  t.is(first.err.trim(), 'setup: compiling TypeScript to dist')
  const second = await setup()
  t.is(second.code, 0)
  t.is(second.out + second.err, '')
})
