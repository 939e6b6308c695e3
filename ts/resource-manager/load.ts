/**
 * Loading of the resource manager at its first use: most programs never look at it.
 *
 * Loading is synchronous (Node's `require` of an ES module), as the properties that need it are.
 */
import { createRequire } from 'node:module'

type Manager = typeof import('./manager.ts')

let manager: Manager | undefined

/** Returns the module of the resource manager. */
export function loadManager(): Manager {
  // The package has .js files, its sources .ts. `require` returns the same module as `import`, without its type.
  const { url } = import.meta
  manager ??= createRequire(url)(`./manager${url.slice(url.lastIndexOf('.'))}`) as Manager
  return manager
}
