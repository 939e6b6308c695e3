// The size of an installation: the package and all its dependencies.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Counts the bytes, files and packages of an installed peer. */
export function installed(peer, command) {
  const { packages, files } = peer === 'ours' ? ours() : installedAt(dirname(command.at(-1)))
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0)
  return { bytes, files: files.length, packages: packages.length }
}

/** Returns the published packages: dist, the addon of this platform, and the dependencies. */
function ours() {
  const dependencies = installedAt(ROOT)
  const addon = filesIn(join(ROOT, 'ts', 'native')).filter((path) => path.endsWith('.node'))
  const dist = filesIn(join(ROOT, 'dist')).filter((path) => !path.endsWith('.node'))
  return {
    packages: ['ferroswarm', 'its addon', ...dependencies.packages],
    files: [...dist, ...addon, ...dependencies.files]
  }
}

/** Returns the installed packages of an npm lock file, without development dependencies. */
function installedAt(folder) {
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  const packages = Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(([path]) => join(folder, path))
    .filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined)
  return { packages, files: packages.flatMap(filesIn) }
}

/** Returns the files below a folder, except nested packages. */
function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesIn(path)
    return entry.isFile() ? [path] : []
  })
}
