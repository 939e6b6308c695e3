import { copyFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { jsonLines, program, ROOT } from '../support/cli.ts'

const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm'

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

async function run(
  t: { is(a: unknown, b: unknown, message?: string): unknown },
  cwd: string,
  ...words: string[]
) {
  const ended = await program(NPM, words, { cwd })
  t.is(ended.code, 0, ended.out + ended.err)
  return ended
}

test('the packed packages install without scripts and run the demo', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))

  // The platform's package as the release makes it: its folder and the addon.
  const addon = (await readdir(join(ROOT, 'ts', 'native'))).find((name) => name.endsWith('.node'))
  const platform = /^ferroswarm\.(.+)\.node$/.exec(addon ?? '')?.[1] ?? ''
  t.not(platform, '', 'the addon is built')
  const native = join(folder, platform)
  await cp(join(ROOT, 'npm', platform), native, { recursive: true })
  await copyFile(join(ROOT, 'ts', 'native', addon ?? ''), join(native, addon ?? ''))

  const pack = async (from: string): Promise<Packed> => {
    const { out } = await run(
      t,
      from,
      'pack',
      '--json',
      '--ignore-scripts',
      '--pack-destination',
      folder
    )
    return (JSON.parse(out) as Packed[])[0] as Packed
  }
  const root = await pack(ROOT)
  const nativePackage = await pack(native)
  t.deepEqual(
    root.files
      .map(({ path }) => path)
      .filter((path) => /\.node$|^ts\/|^__test__\/|\.built$/.test(path)),
    []
  )
  t.true(nativePackage.files.some(({ path }) => path === addon))

  const app = await mkdtemp(join(folder, 'app-'))
  await writeFile(join(app, 'package.json'), '{"private":true,"type":"module"}\n')
  await run(t, app, ...INSTALL, join(folder, root.filename), join(folder, nativePackage.filename))
  const manifest = JSON.parse(
    await readFile(join(app, 'node_modules', 'ferroswarm', 'package.json'), 'utf8')
  ) as { scripts?: Record<string, string> }
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
    t.is(manifest.scripts?.[script], undefined)
  }

  const entries = await program(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { IOError } from 'ferroswarm'
       import { IOError as same, secureMessages } from 'ferroswarm/io'
       console.log(IOError === same, typeof secureMessages)`
    ],
    { cwd: app }
  )
  t.is(entries.out.trim(), 'true function', entries.err)

  const demo = await program(
    NPM.replace('npm', 'npx'),
    ['--no-install', 'ferroswarm', 'demo', '--json'],
    { cwd: app }
  )
  t.is(demo.code, 0, demo.out + demo.err)
  t.is(jsonLines(demo).at(-1)?.event, 'summary')
})

test('types come first in every entry of the exports map', async (t) => {
  const { exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, string | Record<string, string>>
  }
  for (const [entry, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue
    t.is(Object.keys(target)[0], 'types', entry)
  }
})
