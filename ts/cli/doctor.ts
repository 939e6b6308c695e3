/** `ferroswarm doctor`: looks at a project of js-libp2p, and says what keeps its connections from being native. */
import { type Dirent, existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { type Command, MisuseError } from './command.ts'
import type { Output } from './output.ts'

/** The packages of js-libp2p that must fit, and the lowest versions that do. */
const NEEDED: Readonly<Record<string, string>> = { libp2p: '3.2.0', '@libp2p/utils': '7.4.0' }

/** Their next major versions may have other interfaces. */
const INTERFACES = '@libp2p/interface'

const NODE_MIN = '22.20.0'

/** Stock components, and what takes their place. */
const REPLACED: Readonly<Record<string, string>> = {
  '@libp2p/tcp': 'tcp',
  '@libp2p/noise': 'noise',
  '@libp2p/tls': 'tls',
  '@libp2p/yamux': 'yamux',
  '@chainsafe/libp2p-noise': 'noise',
  '@chainsafe/libp2p-yamux': 'yamux'
}

const SOURCE = /\.(?:[cm]?[jt]s|[jt]sx)$/
const IMPORT = /(?:from|import|require)\s*\(?\s*['"]([^'"]+)['"]/g

// Bounds of the search, so that a folder such as the home directory ends it soon: far beyond any project.
const FOLDERS_MAX = 20_000
const SOURCES_MAX = 5_000
const SOURCE_BYTES_MAX = 1024 * 1024

interface Finding {
  readonly check: 'node' | 'addon' | 'versions' | 'copies' | 'imports'
  readonly ok: boolean
  readonly text: string
}

/** The verb. */
export const command: Command = {
  name: 'doctor',
  usage: '[folder]',
  help: `  Looks at the project of js-libp2p in the folder, the current one by default: whether the versions fit, whether
  an interface package is installed twice, and which stock components are still imported.

With --json: {"event":"check","check","ok","text"} for each, where check is node, addon, versions, copies or imports;
then {"event":"summary","ok"}. Exit code 1 if something is wrong.`,
  options: {},
  positionals: [0, 1],
  run: async ({ positionals: [folder = '.'], out }) => {
    const root = resolve(folder)
    if (!existsSync(join(root, 'package.json'))) {
      throw new MisuseError(`${root} has no package.json: it is not the folder of a project`)
    }
    const findings = [...runtime(), ...versions(root), ...copies(root), ...imports(root)]
    for (const finding of findings) print(finding, out)
    const ok = findings.every((finding) => finding.ok)
    const text = ok ? 'connections will be native' : 'not all connections will be native'
    out.event({ event: 'summary', ok }, out.style('bold', text))
    return ok ? 0 : 1
  }
}

function print(finding: Finding, out: Output): void {
  const mark = finding.ok ? out.style('green', 'ok ') : out.style('red', 'no ')
  out.event({ event: 'check', ...finding }, `${mark} ${finding.text}`)
}

function* runtime(): Iterable<Finding> {
  const { node } = process.versions
  const fits = compare(node, NODE_MIN) >= 0
  yield { check: 'node', ok: fits, text: `Node.js ${node}${fits ? '' : `, needs ${NODE_MIN}`}` }
  const platform = `${process.platform} ${process.arch}`
  // Without it this program would have ended with the reason.
  yield { check: 'addon', ok: true, text: `the native addon runs on ${platform}` }
}

function* versions(root: string): Iterable<Finding> {
  for (const [name, least] of Object.entries(NEEDED)) {
    const version = installed(root, name)
    const isSameMajor = version?.split('.')[0] === least.split('.')[0]
    const ok = version !== undefined && isSameMajor && compare(version, least) >= 0
    const needs = `needs ${least} or a later one of ${least.split('.')[0]}.x`
    const text =
      version === undefined
        ? `${name} is not installed: npm install ${name}@^${least}`
        : `${name} ${version}${ok ? '' : `: ${needs}`}`
    yield { check: 'versions', ok, text }
  }
}

/** Returns the version that a module of the project would load. */
function installed(root: string, name: string): string | undefined {
  for (let folder = root; ; folder = dirname(folder)) {
    const version = versionIn(join(folder, 'node_modules', name))
    if (version !== undefined || folder === dirname(folder)) return version
  }
}

function versionIn(folder: string): string | undefined {
  try {
    // A package.json has it, or is of no use here.
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      version?: string
    }
    return version
  } catch {
    return undefined
  }
}

/** Two major versions of the interfaces have different types, and errors and symbols that do not match. */
function* copies(root: string): Iterable<Finding> {
  const found = new Map<string, string>()
  for (const folder of packagesNamed(root, INTERFACES)) {
    const version = versionIn(folder)
    if (version !== undefined) found.set(realpathSync(folder), version)
  }
  const majors = new Set([...found.values()].map((version) => version.split('.')[0]))
  const list = [...new Set(found.values())].sort(compare).join(', ')
  yield majors.size > 1
    ? {
        check: 'copies',
        ok: false,
        text: `${INTERFACES} is installed as ${list}: npm ls ${INTERFACES} shows who needs which`
      }
    : { check: 'copies', ok: true, text: `one major version of ${INTERFACES}: ${list || 'none'}` }
}

function* packagesNamed(root: string, name: string): Iterable<string> {
  const waiting = [join(root, 'node_modules')]
  for (let visited = 0; visited < FOLDERS_MAX; visited += 1) {
    const modules = waiting.pop()
    if (modules === undefined) return
    const folder = join(modules, name)
    if (existsSync(folder)) yield folder
    for (const entry of entriesOf(modules)) {
      const path = join(modules, entry.name)
      const packages = entry.name.startsWith('@')
        ? entriesOf(path).map((inner) => join(path, inner.name))
        : [path]
      for (const each of packages) {
        const nested = join(each, 'node_modules')
        if (existsSync(nested)) waiting.push(nested)
      }
    }
  }
}

/** The stock components that are still imported. */
function* imports(root: string): Iterable<Finding> {
  let clean = true
  for (const path of sources(root)) {
    for (const name of replacedIn(path)) {
      clean = false
      const text = `${relative(root, path)} imports ${name}: import { ${REPLACED[name]} } from 'ferroswarm/libp2p'`
      yield { check: 'imports', ok: false, text }
    }
  }
  if (clean) yield { check: 'imports', ok: true, text: 'no stock component is imported' }
}

function replacedIn(path: string): Set<string> {
  const text = readFileSync(path, 'utf8').slice(0, SOURCE_BYTES_MAX)
  const names = [...text.matchAll(IMPORT)].map(([, name = '']) => name)
  return new Set(names.filter((name) => Object.hasOwn(REPLACED, name)))
}

function* sources(root: string): Iterable<string> {
  const waiting = [root]
  let found = 0
  for (let visited = 0; visited < FOLDERS_MAX && found < SOURCES_MAX; visited += 1) {
    const folder = waiting.pop()
    if (folder === undefined) return
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules' && !entry.name.startsWith('.')) waiting.push(path)
      } else if (entry.isFile() && SOURCE.test(entry.name)) {
        found += 1
        yield path
      }
    }
  }
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    // It is no folder, or may not be read.
    return []
  }
}

/** Compares versions by their numbers. */
function compare(one: string, other: string): number {
  const [left, right] = [one, other].map((version) => version.split(/[.+-]/).map(Number))
  for (let at = 0; at < 3; at += 1) {
    const difference = (left?.[at] ?? 0) - (right?.[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
