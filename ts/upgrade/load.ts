/**
 * Loading of upgrades at their first use: most programs leave the bytes to the native side.
 *
 * Loading is synchronous (Node's `require` of an ES module), as the calls that need it are.
 */
import { createRequire } from 'node:module'

type DuplexModule = typeof import('./duplex.ts')
type UpgraderModule = typeof import('./upgrader.ts')

let duplexes: DuplexModule | undefined
let upgrader: UpgraderModule | undefined

/** Returns the module of duplexes. */
export function loadDuplexes(): DuplexModule {
  // `require` returns the same module as `import`, without its type.
  duplexes ??= load('duplex') as DuplexModule
  return duplexes
}

/** Returns the module of the upgrader. */
export function loadUpgrader(): UpgraderModule {
  upgrader ??= load('upgrader') as UpgraderModule
  return upgrader
}

function load(name: string): unknown {
  // The package has .js files, its sources .ts.
  const { url } = import.meta
  return createRequire(url)(`./${name}${url.slice(url.lastIndexOf('.'))}`)
}
