/** The package without its addon installed. */
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { jsonLines, program, ROOT } from '../support/cli.ts'

const SENTENCE =
  /^ferroswarm's native addon for \S+ is not installed: looked for \.\/ferroswarm\.\S+\.node and @ferroswarm\/native-\S+; install .+$/

/** The compiled package without the addon, and the packages it depends on. */
async function withoutAddon(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-addon-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await cp(join(ROOT, 'dist'), join(folder, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.node')
  })
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  return folder
}

test('ferroswarm --help, --version and an unknown verb need no addon', async (t) => {
  const main = join(await withoutAddon(t), 'dist', 'cli', 'main.js')
  const help = await program(process.execPath, [main, '--help'])
  t.is(help.code, 0, help.err)
  t.regex(help.out, /^usage: ferroswarm <verb>/)
  t.is((await program(process.execPath, [main, '--version'])).code, 0)
  t.is((await program(process.execPath, [main, 'frobnicate'])).code, 2)
})

test('a verb reports the missing addon in one sentence, and fails', async (t) => {
  const main = join(await withoutAddon(t), 'dist', 'cli', 'main.js')
  const id = await program(process.execPath, [main, 'id'])
  t.is(id.code, 1)
  t.is(id.out, '')
  t.regex(id.err.trimEnd(), SENTENCE)
  const json = await program(process.execPath, [main, 'id', '--json'])
  t.is(json.code, 1)
  const [event] = jsonLines(json)
  t.is(event?.event, 'error')
  t.is(event?.code, 'ERR_ADDON')
  t.regex(String(event?.message), SENTENCE)
})

test('importing the package reports it too', async (t) => {
  const folder = await withoutAddon(t)
  const { code, out, err } = await program(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `await import('./dist/index.js').catch((err) => console.log(err.code + ' ' + err.message))`
    ],
    { cwd: folder }
  )
  t.is(code, 0, err)
  t.regex(out.trimEnd().replace(/^ERR_ADDON /, ''), SENTENCE)
})
