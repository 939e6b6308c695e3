/**
 * Generates the third-party notices of an addon: the linked packages and their licences, from cargo's dependency tree
 * and its copies of the sources.
 *
 *     node tools/notices.mjs <target triple>
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { environment, ROOT, stop } from './shared.mjs'

const ADDON = 'ferroswarm-node'
/** A build dependency whose sources are compiled into the addon on this target. */
const SOURCE_PACKAGE = 'openssl-src'
const SOURCE_TARGET = 'x86_64-unknown-linux-gnu'
const LICENCE_FILE = /^(?:licen[cs]e|copying|copyright|notice|unlicense)/i
/** Third-party sources inside a package, with their own licences. */
const EMBEDDED = {
  'aws-lc-sys': ['aws-lc/LICENSE', 'aws-lc/third_party'],
  'openssl-src': ['openssl/LICENSE.txt']
}

/** For packages without a licence text: all of their licence expressions allow this one or Apache-2.0. */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`

/** Returns the notices of the addon for a target. */
export function noticesOf(target) {
  const packages = linked(target)
  const texts = new Map()
  const list = packages.map((each) => {
    for (const text of licencesOf(each)) {
      const names = texts.get(text) ?? []
      texts.set(text, [...names, `${each.name} ${each.version}`])
    }
    const origin = each.repository ?? `https://crates.io/crates/${each.name}`
    return `- ${each.name} ${each.version}: ${each.license}; ${origin}`
  })
  const rule = '='.repeat(80)
  const sections = [...texts].map(
    ([text, names]) => `${rule}\n${names.join(', ')}\n${rule}\n\n${text}\n`
  )
  return (
    `Third-party notices of ferroswarm's addon for ${target}.\n\n` +
    `The addon itself is licensed under LICENSE-MIT or LICENSE-APACHE, at your choice. It is linked with:\n\n` +
    `- the Rust standard library: MIT OR Apache-2.0; https://github.com/rust-lang/rust\n` +
    `${list.join('\n')}\n\n${sections.join('\n')}`
  )
}

/** Returns the packages whose code is in the addon: external normal dependencies, without macros. */
function linked(target) {
  const args = ['--package', ADDON, '--edges', 'normal,no-proc-macro', '--target', target]
  const tree = cargo('tree', '--locked', '--prefix', 'none', '--format', '{p}', ...args)
  const names = new Set(tree.match(/^\S+ v\S+/gm))
  const isLinked = ({ name, version, source }) =>
    source !== null &&
    (names.has(`${name} v${version}`) || (name === SOURCE_PACKAGE && target === SOURCE_TARGET))
  return JSON.parse(cargo('metadata', '--format-version', '1', '--locked'))
    .packages.filter(isLinked)
    .sort((left, right) => left.name.localeCompare(right.name))
}

function cargo(...args) {
  const { status, stdout, stderr, error } = spawnSync('cargo', args, {
    cwd: ROOT,
    env: environment(),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024
  })
  if (status !== 0) stop(`cargo ${args[0]} failed: ${error?.message ?? stderr}`)
  return stdout
}

function licencesOf({ name, license, authors, manifest_path: manifest }) {
  const folder = dirname(manifest)
  const files = [
    ...licenceFiles(folder),
    ...(EMBEDDED[name] ?? []).flatMap((path) => allLicences(join(folder, path)))
  ]
  if (files.length > 0) {
    return files.map((file) => readFileSync(file, 'utf8').replaceAll('\r\n', '\n').trim())
  }
  if (/Apache-2\.0/.test(license))
    return [readFileSync(join(ROOT, 'LICENSE-APACHE'), 'utf8').trim()]
  if (/MIT/.test(license))
    return [`Copyright (c) ${authors.join(', ') || `the authors of ${name}`}\n\n${MIT}`]
  return stop(`${name} has no licence text, and ${license} is not supported here.`)
}

function licenceFiles(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && LICENCE_FILE.test(entry.name))
    .map((entry) => join(folder, entry.name))
    .sort()
}

/** Returns a licence file, or every licence file under a folder. */
function allLicences(path) {
  if (!existsSync(path)) return stop(`${path} is missing: update EMBEDDED.`)
  if (LICENCE_FILE.test(path.split(/[\\/]/).at(-1))) return [path]
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && LICENCE_FILE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [target] = process.argv.slice(2)
  if (target === undefined) stop('usage: node tools/notices.mjs <target triple>')
  process.stdout.write(noticesOf(target))
}
