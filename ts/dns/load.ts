/**
 * Loading of name resolution at its first use: many programs dial IP addresses alone.
 *
 * Loading is synchronous (Node's `require` of an ES module), so that a call checks its arguments at once.
 */
import { createRequire } from 'node:module'

type Resolutions = typeof import('./resolution.ts')
type Records = typeof import('./swarm-records.ts')

const require = createRequire(import.meta.url)

// The package has .js files, its sources .ts.
const EXTENSION = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

// `require` returns the same module as `import`, without its type.
export function loadResolutions(): Resolutions {
  return require(`./resolution${EXTENSION}`) as Resolutions
}

export function loadRecords(): Records {
  return require(`./swarm-records${EXTENSION}`) as Records
}
