/**
 * Prepares a clone for the demo and the tests: packages, addon, dist.
 *
 *     node tools/setup.mjs [--debug] [--packages]
 *
 * Each step is skipped if its result is newer than its sources. `--debug` builds the addon without optimisation,
 * `--packages` stops after the first step.
 */
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { changed, firstLine, NODE_MIN, newest, ROOT, run, stop } from './shared.mjs'

const NATIVE = join(ROOT, 'ts', 'native')
const DIST = join(ROOT, 'dist')
const profile = process.argv.includes('--debug') ? 'debug' : 'release'

await installPackages()
checkNode()
if (!process.argv.includes('--packages')) {
  await buildAddon()
  await buildDist()
}

async function installPackages() {
  if (packagesMatch()) return
  console.error('setup: installing the packages of package-lock.json')
  // The npm that runs this is known only by path; there may be none on the PATH.
  const npm = process.env.npm_execpath ?? ''
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const code = /npm-cli\.c?js$/.test(npm)
    ? await run(process.execPath, [npm, ...args])
    : await run('npm', args)
  if (code !== 0) stop('The packages could not be installed: see the output of npm above.')
}

/** Returns whether the installed packages match package-lock.json; those of other platforms are ignored. */
function packagesMatch() {
  try {
    const wanted = packagesOf(join(ROOT, 'package-lock.json'))
    const installed = packagesOf(join(ROOT, 'node_modules', '.package-lock.json'))
    return Object.entries(wanted).every(
      ([path, entry]) =>
        path === '' ||
        (installed[path] === undefined
          ? entry.optional === true
          : installed[path].version === entry.version)
    )
  } catch {
    // No packages are installed, or they were installed by another package manager.
    return false
  }
}

function packagesOf(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages
}

/** Checks the Node of the scripts, which is installed with the packages unless install scripts are disabled. */
function checkNode() {
  const version = firstLine('node', ['--version']) ?? process.version
  const [major, minor] = version.slice(1).split('.').map(Number)
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return
  stop(
    `Node ${version} is too old for the tests: allow install scripts and run "npm ci" again (a suitable ` +
      `Node is installed with the packages), or put Node ${NODE_MIN.join('.')} or newer on the PATH.`
  )
}

async function buildAddon() {
  const addon = builtAddon()
  const sources = [
    'crates',
    'Cargo.toml',
    'Cargo.lock',
    'build.rs',
    'rust-toolchain.toml',
    '.cargo'
  ].map((name) => join(ROOT, name))
  const built = addon === undefined ? 0 : Math.min(changed(addon), ...bindings().map(changed))
  if (built > newest(sources) && builtProfile() === profile) return
  if (firstLine('cargo', ['--version']) === undefined) {
    stop(
      'The addon needs Rust: install it from https://rustup.rs (and a C compiler), then run this again.'
    )
  }
  console.error(`setup: building the addon (${profile}); the first time takes minutes`)
  const code = await run('napi', [
    'build',
    '--platform',
    ...(profile === 'release' ? ['--release'] : []),
    '--esm',
    ...['--manifest-path', 'crates/node/Cargo.toml'],
    ...['--package-json-path', 'package.json'],
    ...['--output-dir', 'ts/native'],
    ...['--js', 'binding.js'],
    ...['--dts', 'binding.d.ts']
  ])
  if (code !== 0) stop('The addon could not be built: see the output of cargo above.')
  // cargo does not rewrite its result after an irrelevant change; the new time marks it as up to date.
  const now = new Date()
  for (const path of [builtAddon(), ...bindings()]) utimesSync(path, now, now)
  writeFileSync(profileFile(), `${profile}\n`)
}

function builtAddon() {
  const name = readdirSync(NATIVE).find((name) => name.endsWith('.node'))
  return name === undefined ? undefined : join(NATIVE, name)
}

function bindings() {
  return ['binding.js', 'binding.d.ts'].map((name) => join(NATIVE, name))
}

function profileFile() {
  return join(ROOT, 'target', 'addon-profile')
}

/** Returns the profile of the built addon; one built by hand counts as release. */
function builtProfile() {
  return changed(profileFile()) === 0 ? 'release' : readFileSync(profileFile(), 'utf8').trim()
}

async function buildDist() {
  const stamp = join(DIST, '.built')
  const sources = ['ts', 'tsconfig.json', 'package-lock.json'].map((name) => join(ROOT, name))
  if (changed(stamp) > newest(sources)) return
  console.error('setup: compiling TypeScript to dist')
  const start = Date.now()
  const code = await run('tsc', ['--project', 'tsconfig.json'])
  if (code !== 0) stop('TypeScript reports errors: see above.')
  removeOlder(DIST, start)
  mkdirSync(join(DIST, 'native'), { recursive: true })
  for (const name of readdirSync(NATIVE)) {
    if (/^binding\.|\.node$/.test(name))
      copyFileSync(join(NATIVE, name), join(DIST, 'native', name))
  }
  writeFileSync(stamp, '')
}

/** Removes files that the compilation did not write: their sources no longer exist. */
function removeOlder(folder, than) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) removeOlder(path, than)
    else if (changed(path) < than) rmSync(path)
  }
}
