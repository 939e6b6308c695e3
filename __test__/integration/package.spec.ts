/** The packages as the release makes them, and as `npm publish` would from a clone. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { jsonLines, program, ROOT } from '../support/cli.ts'

const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm'
const NATIVE = join(ROOT, 'ts', 'native')

async function temporary(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function run(t: ExecutionContext, cwd: string, ...args: string[]): Promise<void> {
  const ended = await program(NPM, args, { cwd })
  t.is(ended.code, 0, ended.out + ended.err)
}

/** Packs the local build; returns the tarballs of the package and of this platform. */
async function pack(t: ExecutionContext, folder: string): Promise<[root: string, native: string]> {
  const args = ['tools/pack.mjs', '--addons', NATIVE, '--out', folder, '--present']
  const packed = await program(process.execPath, args)
  t.is(packed.code, 0, packed.err)
  const names = await readdir(folder)
  const named = (pattern: RegExp): string =>
    join(folder, names.find((name) => pattern.test(name)) ?? '')
  return [named(/^ferroswarm-\d/), named(/^ferroswarm-native-/)]
}

test('the packed packages install without scripts and run the demo', async (t) => {
  t.timeout(300_000, 'npm on a machine that is busy with other tests')
  const folder = await temporary(t)
  const [root, native] = await pack(t, folder)
  const app = await temporary(t)
  await writeFile(join(app, 'package.json'), '{"private":true,"type":"module"}\n')
  await run(t, app, ...INSTALL, root, native)

  const installed = join(app, 'node_modules', 'ferroswarm')
  const files = await readdir(installed, { recursive: true })
  t.deepEqual(
    files.filter((path) => /\.node$|^ts\b|^__test__\b|\.built$/.test(path)),
    []
  )
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
    version: string
    scripts?: unknown
    optionalDependencies: Record<string, string>
  }
  t.is(manifest.scripts, undefined)
  const platforms = await readdir(join(ROOT, 'npm'))
  t.deepEqual(
    manifest.optionalDependencies,
    Object.fromEntries(
      platforms.map((platform) => [`@ferroswarm/native-${platform}`, manifest.version])
    )
  )

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

test("a platform's package carries its licences and the notices of the linked crates", async (t) => {
  t.timeout(300_000, 'npm on a machine that is busy with other tests')
  const folder = await temporary(t)
  const [, native] = await pack(t, folder)
  const app = await temporary(t)
  await writeFile(join(app, 'package.json'), '{"private":true}\n')
  await run(t, app, ...INSTALL, native)
  const [name = ''] = await readdir(join(app, 'node_modules', '@ferroswarm'))
  const installed = join(app, 'node_modules', '@ferroswarm', name)
  const files = await readdir(installed)
  for (const file of ['LICENSE-MIT', 'LICENSE-APACHE']) {
    t.true(files.includes(file), file)
  }
  const notices = await readFile(join(installed, 'THIRD-PARTY-NOTICES.txt'), 'utf8')
  const linked = ['aws-lc-sys', 'libc', 'multiaddr', 'napi', 'rustls', 'snow', 'tokio', 'yamux']
  if (name === 'native-linux-x64-gnu') linked.push('openssl-src')
  for (const crate of linked) t.regex(notices, new RegExp(`^- ${crate} \\d.*: \\S`, 'm'))
  t.regex(notices, /AWS Libcrypto \(AWS-LC\)/)
  // No dependency of the tests or of the build.
  for (const crate of ['proptest', 'cc', 'syn']) {
    t.notRegex(notices, new RegExp(`^- ${crate} `, 'm'))
  }
})

test('a clone is not published: its package would not load', async (t) => {
  t.timeout(300_000, 'npm on a machine that is busy with other tests')
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  t.is(scripts.prepublishOnly, 'node tools/try.mjs')
  const { code, err } = await program(process.execPath, ['tools/try.mjs'])
  t.is(code, 1)
  t.regex(
    err,
    /^The package cannot be loaded: it is not to be published\.\nferroswarm's native addon /
  )
})

test('a release without an addon of every platform is not packed', async (t) => {
  const folder = await temporary(t)
  const args = ['tools/pack.mjs', '--addons', NATIVE, '--out', folder]
  const { code, err } = await program(process.execPath, args)
  t.is(code, 1)
  t.regex(err, /has no addon for .*(?:darwin|linux|win32)-/)
  t.deepEqual(await readdir(folder), [])
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
