/**
 * Installs packages as a user does, without install scripts, and checks that they load and work.
 *
 *     node tools/try.mjs <folder>   the tarballs of tools/pack.mjs: the package, and this platform's
 *     node tools/try.mjs            the clone as packed by `npm publish`, with this platform's package from the registry
 *
 * `prepublishOnly` runs the second form, which fails: the package of a clone neither has an addon nor depends on one.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { node, npm, ROOT, readJson, stop } from './shared.mjs'

const { version } = readJson(join(ROOT, 'package.json'))
const [folder] = process.argv.slice(2)
const work = mkdtempSync(join(tmpdir(), 'ferroswarm-try-'))
try {
  tryOut(folder === undefined ? [packedClone()] : tarballsOf(resolve(folder)))
} finally {
  rmSync(work, { recursive: true, force: true })
}

function tryOut(tarballs) {
  const app = join(work, 'app')
  writeApp(app)
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  must(
    npm(['install', ...options, ...tarballs], app),
    `${tarballs.join(' and ')} cannot be installed`
  )
  const load = `try {
    const { createSwarm } = await import('ferroswarm')
    const swarm = await createSwarm()
    await swarm.close()
  } catch (err) {
    console.error(err.message)
    process.exitCode = 1
  }`
  must(node(['--input-type=module', '--eval', load], app), 'The package cannot be loaded')
  const main = join(app, 'node_modules', 'ferroswarm', 'dist', 'cli', 'main.js')
  must(node([main, 'demo', '--json'], app), 'The demo fails')
  console.log(
    `ferroswarm ${version} works on ${process.platform} ${process.arch}, Node ${process.version}`
  )
}

function writeApp(app) {
  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), '{"private":true,"type":"module"}\n')
}

/** Returns the tarballs of the main package and of this platform, which is musl if glibc is not in use. */
function tarballsOf(folder) {
  const { platform, arch, report } = process
  const { glibcVersionRuntime } = report.getReport().header
  const suffix = { linux: glibcVersionRuntime === undefined ? '-musl' : '-gnu', win32: '-msvc' }
  const native = `ferroswarm-native-${platform}-${arch}${suffix[platform] ?? ''}-${version}.tgz`
  const names = readdirSync(folder)
  return [`ferroswarm-${version}.tgz`, native].map((name) => {
    if (!names.includes(name)) stop(`${folder} has no ${name}.`)
    return join(folder, name)
  })
}

function packedClone() {
  must(npm(['pack', '--ignore-scripts', '--pack-destination', work], ROOT), 'npm pack failed')
  return join(work, `ferroswarm-${version}.tgz`)
}

function must({ status, stdout, stderr }, sentence) {
  if (status === 0) return
  rmSync(work, { recursive: true, force: true })
  stop(`${sentence}: it is not to be published.\n${stdout}${stderr}`)
}
