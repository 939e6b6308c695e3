/**
 * Packs the tarballs of a release: a package per platform, and the main package that depends on them.
 *
 *     node tools/pack.mjs --addons <folder> --out <folder> [--present]
 *
 * `--addons` contains the addon of every platform in package.json, `ferroswarm.<platform>.node`; with `--present`, for
 * trials, missing ones are skipped. `dist/` has to be built. The clone is not modified.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { noticesOf } from './notices.mjs'
import { npm, ROOT, readJson, stop } from './shared.mjs'

const LICENCES = ['LICENSE-MIT', 'LICENSE-APACHE']
const NOTICES = 'THIRD-PARTY-NOTICES.txt'
/** Keys omitted from the published package.json. */
const DEVELOPMENT_KEYS = ['scripts', 'devDependencies', 'napi', 'allowScripts']

const { values } = parseArgs({
  options: {
    addons: { type: 'string' },
    out: { type: 'string' },
    present: { type: 'boolean', default: false }
  }
})
if (values.addons === undefined || values.out === undefined) {
  stop('usage: node tools/pack.mjs --addons <folder> --out <folder> [--present]')
}
const addons = resolve(values.addons)
const out = resolve(values.out)

const manifest = readJson(join(ROOT, 'package.json'))
const { binaryName, packageName, targets } = manifest.napi
const platforms = targets.map((target) => ({ target, platform: platformOf(target) }))
const packed = platforms.filter(({ platform }) => existsSync(addonOf(platform)))
const missing = platforms.filter((each) => !packed.includes(each)).map(({ platform }) => platform)
if (packed.length === 0 || (missing.length > 0 && !values.present)) {
  stop(`${addons} has no addon for ${missing.join(', ')}.`)
}

mkdirSync(out, { recursive: true })
const staging = mkdtempSync(join(tmpdir(), 'ferroswarm-pack-'))
try {
  for (const each of packed) packPlatform(each)
  packRoot()
} finally {
  rmSync(staging, { recursive: true, force: true })
}

function packPlatform({ target, platform }) {
  const folder = join(staging, platform)
  cpSync(join(ROOT, 'npm', platform), folder, { recursive: true })
  const addon = `${binaryName}.${platform}.node`
  cpSync(addonOf(platform), join(folder, addon))
  for (const name of LICENCES) cpSync(join(ROOT, name), join(folder, name))
  writeFileSync(join(folder, NOTICES), noticesOf(target))
  const own = readJson(join(folder, 'package.json'))
  if (own.version !== manifest.version) stop(`npm/${platform} has version ${own.version}.`)
  writeJson(join(folder, 'package.json'), { ...own, files: [addon, ...LICENCES, NOTICES] })
  pack(folder)
}

function packRoot() {
  const folder = join(staging, 'root')
  if (!existsSync(join(ROOT, 'dist', '.built'))) stop('dist is not built: npm run build.')
  for (const name of ['dist', 'README.md', ...LICENCES]) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  }
  const own = Object.fromEntries(
    Object.entries(manifest).filter(([key]) => !DEVELOPMENT_KEYS.includes(key))
  )
  const optionalDependencies = Object.fromEntries(
    platforms.map(({ platform }) => [`${packageName}-${platform}`, manifest.version])
  )
  writeJson(join(folder, 'package.json'), { ...own, optionalDependencies })
  pack(folder)
}

function pack(folder) {
  const { status, stdout, stderr } = npm(
    ['pack', '--ignore-scripts', '--pack-destination', out],
    folder
  )
  if (status !== 0) stop(`npm pack failed: ${stderr}`)
  console.log(join(out, stdout.trim().split('\n').at(-1)))
}

function addonOf(platform) {
  return join(addons, `${binaryName}.${platform}.node`)
}

/** Returns napi's platform name of a target. */
function platformOf(target) {
  const [architecture, , system, libc] = target.split('-')
  const arch = architecture === 'x86_64' ? 'x64' : 'arm64'
  if (system === 'linux') return `linux-${arch}-${libc}`
  return system === 'darwin' ? `darwin-${arch}` : `win32-${arch}-${libc}`
}

function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}
