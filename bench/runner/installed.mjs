// What an installation brings: the package itself and everything that it depends on.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Bytes and files of an installed peer, and the packages that they belong to. */
export function installed(peer, command) {
  const { packages, files } = peer === 'ours' ? ours() : installedAt(dirname(command.at(-1)))
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0)
  return { bytes, files: files.length, packages: packages.length }
}

/** What is published: dist, with the addon of this platform as the package that it comes in, and the dependencies. */
function ours() {
  const dependencies = installedAt(ROOT)
  const addon = filesIn(join(ROOT, 'ts', 'native')).filter((path) => path.endsWith('.node'))
  const dist = filesIn(join(ROOT, 'dist')).filter((path) => !path.endsWith('.node'))
  return {
    packages: ['ferroswarm', 'its addon', ...dependencies.packages],
    files: [...dist, ...addon, ...dependencies.files]
  }
}

/** The packages that a lock file of npm names and that are there, without those of development. */
function installedAt(folder) {
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  const packages = Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(([path]) => join(folder, path))
    .filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined)
  return { packages, files: packages.flatMap(filesIn) }
}

/** The files below a folder; packages inside of a package are their own. */
function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesIn(path)
    return entry.isFile() ? [path] : []
  })
}
