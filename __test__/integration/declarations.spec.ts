/** What the package says about itself to a compiler and to a debugger. */
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { program, ROOT } from '../support/cli.ts'

const DIST = join(ROOT, 'dist')

async function filesOf(ending: string): Promise<string[]> {
  const names = await readdir(DIST, { recursive: true })
  return names.filter((name) => name.endsWith(ending))
}

test('the declarations have nothing that is internal, and compile without the sources', async (t) => {
  t.timeout(120_000, 'a compiler on a busy machine')
  const declarations = await filesOf('.d.ts')
  t.true(declarations.length > 0)
  for (const name of declarations) {
    t.notRegex(await readFile(join(DIST, name), 'utf8'), /@internal/, name)
  }
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-types-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const entries = ['index.js', 'io/index.js'].map((name) => JSON.stringify(join(DIST, name)))
  await writeFile(
    join(folder, 'user.mts'),
    entries.map((entry) => `export type * from ${entry}\n`).join('')
  )
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const compiled = await program(
    process.execPath,
    [
      ...[compiler, '--noEmit', '--strict', '--skipLibCheck', 'false', '--types', 'node'],
      ...['--module', 'nodenext', '--target', 'es2023'],
      ...['--lib', 'es2024,esnext.disposable,dom', 'user.mts']
    ],
    { cwd: folder }
  )
  t.is(compiled.code, 0, compiled.out)
})

test('a source map carries the sources that it leads to', async (t) => {
  const maps = await filesOf('.map')
  t.true(maps.length > 0)
  for (const name of maps) {
    t.true(name.endsWith('.js.map'), name)
    const { sources, sourcesContent } = JSON.parse(await readFile(join(DIST, name), 'utf8')) as {
      sources: string[]
      sourcesContent?: (string | null)[]
    }
    t.is(sourcesContent?.filter((text) => text !== null).length, sources.length, name)
  }
})
