import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ferroswarm, jsonLines } from '../support/cli.ts'

const IMPORTS = "import { tcp } from '@libp2p/tcp'\nimport { noise } from 'ferroswarm/libp2p'\n"

/** Makes a project: files by their paths, and versions of packages. */
async function project(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  packages: Readonly<Record<string, string>>
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-doctor-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const all = { 'package.json': '{}', ...files }
  for (const [name, version] of Object.entries(packages)) {
    Object.assign(all, { [`node_modules/${name}/package.json`]: JSON.stringify({ version }) })
  }
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  return folder
}

const FITTING = { libp2p: '3.3.11', '@libp2p/utils': '7.4.1', '@libp2p/interface': '3.3.0' }

async function failed(folder: string): Promise<{ code: number | null; texts: string[] }> {
  const ended = await ferroswarm('doctor', folder, '--json')
  const checks = jsonLines(ended).filter(({ event, ok }) => event === 'check' && ok === false)
  return { code: ended.code, texts: checks.map(({ text }) => String(text)) }
}

test('a project with fitting versions and our components is well', async (t) => {
  const source = "import { tcp, noise, yamux } from 'ferroswarm/libp2p'\n"
  const folder = await project(t, { 'src/index.ts': source }, FITTING)
  const { code, out } = await ferroswarm('doctor', folder)
  t.is(code, 0)
  t.regex(out, /libp2p 3\.3\.11\n/)
  t.regex(out, /connections will be native\n$/)
})

test('stock components, old versions and two majors of the interfaces are found', async (t) => {
  const folder = await project(
    t,
    { 'src/index.js': IMPORTS, 'node_modules/x/index.js': IMPORTS },
    {
      ...FITTING,
      libp2p: '2.8.0',
      '@libp2p/utils': '7.3.9',
      '@old/service/node_modules/@libp2p/interface': '2.11.0'
    }
  )
  const { code, texts } = await failed(folder)
  t.is(code, 1)
  t.deepEqual(texts, [
    'libp2p 2.8.0: needs 3.2.0 or a later one of 3.x',
    '@libp2p/utils 7.3.9: needs 7.4.0 or a later one of 7.x',
    '@libp2p/interface is installed as 2.11.0, 3.3.0: npm ls @libp2p/interface shows who needs which',
    `${join('src', 'index.js')} imports @libp2p/tcp: import { tcp } from 'ferroswarm/libp2p'`
  ])
})

test('missing packages are named with the command that installs them', async (t) => {
  const folder = await project(t, {}, {})
  const { texts } = await failed(folder)
  t.deepEqual(texts, [
    'libp2p is not installed: npm install libp2p@^3.2.0',
    '@libp2p/utils is not installed: npm install @libp2p/utils@^7.4.0'
  ])
})

test('a folder without a project is a usage error', async (t) => {
  const { code, err } = await ferroswarm('doctor', join(tmpdir(), 'nowhere'))
  t.is(code, 2)
  t.regex(err, /has no package\.json/)
})
