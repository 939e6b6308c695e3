/** The package's type declarations and source maps. */
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import test from 'ava'
import { program, ROOT } from '../support/cli.ts'

const DIST = join(ROOT, 'dist')

async function filesOf(ending: string): Promise<string[]> {
  const names = await readdir(DIST, { recursive: true })
  return names.filter((name) => name.endsWith(ending))
}

/** Modules whose declarations users see, by folder. Folders that are not listed are private. */
const PUBLIC: Readonly<Record<string, readonly string[]>> = {
  '.': ['connection', 'constants', 'errors', 'index', 'stream', 'swarm'],
  base: ['abort', 'clock', 'events'],
  connection: ['config', 'facts', 'strategy'],
  'connection-manager': [
    'auto-connector',
    'common-tags',
    'decay',
    'decay-presets',
    'interfaces',
    'prune-decision',
    'prune-order',
    'pruner',
    'reconnect-queue',
    'tag-store'
  ],
  diagnostics: ['logger'],
  dial: ['address-manager', 'black-hole', 'options', 'queue', 'ranker', 'report', 'retry'],
  dns: ['dns-resolver', 'options', 'records'],
  gate: ['connection-gate', 'gater', 'rate-limiter', 'refusals'],
  identity: ['address', 'keys', 'networks', 'peer-id'],
  io: [
    'base-msg-read-writer',
    'carriers',
    'duplex-carrier',
    'fixed-length',
    'framing',
    'index',
    'interfaces',
    'read-any',
    'read-exactly',
    'tcp-stream',
    'varint-length'
  ],
  libp2p: [
    'components',
    'create',
    'encrypters',
    'index',
    'is-native',
    'tcp',
    'tcp-options',
    'yamux',
    'yamux-options'
  ],
  muxer: ['added', 'muxed', 'wrap', 'yamux', 'yamux-conn'],
  native: ['counters'],
  negotiation: [
    'handler',
    'multiselect',
    'multiselect-client',
    'multiselect-communicator',
    'multiselect-line',
    'negotiation',
    'protocol-name'
  ],
  peerstore: ['interfaces', 'options', 'peerstore'],
  protocols: ['identify', 'perf', 'ping', 'services'],
  'resource-manager': [
    'interfaces',
    'json',
    'limit-config',
    'limits',
    'null',
    'scale',
    'scope-limits'
  ],
  secure: ['encrypted-msg-read-writer', 'secure-messages', 'secured'],
  stream: ['duplex', 'facts', 'messages'],
  testing: ['index', 'network', 'options', 'trace'],
  transport: ['pre-shared-key', 'quic-options', 'transport', 'websocket-options'],
  swarm: ['events', 'network', 'notifiee', 'options'],
  upgrade: ['duplex', 'options']
}

/** Packages whose types appear in ours, besides those of Node.js. */
const PACKAGES = ['@libp2p/interface', '@multiformats/multiaddr', 'libp2p']

const SPECIFIER = /(?:\bfrom\s*|\bimport\s*\(?\s*)'([^']+)'/g

/** Every declaration reachable from `entries`, with the one that imports it. */
async function reachable(entries: readonly string[]): Promise<Map<string, string>> {
  const reached = new Map(entries.map((entry) => [entry, 'package.json']))
  for (const path of reached.keys()) {
    // Examples in comments import the package itself.
    const text = (await readFile(join(DIST, path), 'utf8')).replace(/\/\*\*.*?\*\//gs, '')
    for (const [, specifier = ''] of text.matchAll(SPECIFIER)) {
      const target = specifier.startsWith('.')
        ? posix.join(posix.dirname(path), specifier).replace(/\.(?:ts|js)$/, '.d.ts')
        : specifier
      if (reached.has(target) || PACKAGES.includes(target) || target.startsWith('node:')) continue
      if (target === specifier) throw new Error(`${path} imports the types of ${target}`)
      reached.set(target, path)
    }
  }
  return reached
}

test('public declarations have nothing internal and import no private module', async (t) => {
  const { exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { types: string }>
  }
  const entries = Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [posix.relative('dist', posix.normalize(entry.types))]
  )
  t.true(entries.includes('index.d.ts'))
  const reached = await reachable(entries)
  const known = Object.entries(PUBLIC).flatMap(([folder, names]) =>
    names.map((name) => posix.join(folder, `${name}.d.ts`))
  )
  t.deepEqual(
    [...reached].filter(([path]) => !known.includes(path)).map(([path, by]) => `${path} by ${by}`),
    []
  )
  t.deepEqual(
    known.filter((path) => !reached.has(path)),
    [],
    'the table has unreachable rows'
  )
  for (const path of await filesOf('.d.ts')) {
    t.notRegex(await readFile(join(DIST, path), 'utf8'), /@internal/, path)
  }
  for (const path of reached.keys()) {
    const text = await readFile(join(DIST, path), 'utf8')
    t.notRegex(text, /: any\b|<any>|OptionChecks|Core\b/, path)
  }
})

test('the declarations compile without the sources', async (t) => {
  t.timeout(120_000, 'a compiler on a busy machine')
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-types-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const entries = ['index.js', 'io/index.js', 'libp2p/index.js', 'testing/index.js'].map((name) =>
    JSON.stringify(join(DIST, name))
  )
  await writeFile(
    join(folder, 'user.mts'),
    // Each has a name of its own: two of them have a `yamux`.
    entries.map((entry, at) => `export type * as entry${at} from ${entry}\n`).join('')
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

test('a source map embeds the sources it refers to', async (t) => {
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
