/** Modules of this package that are loaded at their first use: what a program does not use costs it no startup. */
import { createRequire } from 'node:module'

/**
 * Returns a function that returns a module, loaded by the first call. `path` is relative to the module at `url`, without
 * extension.
 *
 * Loading is synchronous (Node's `require` of an ES module), as the calls that need it are.
 */
export function lazyModule<Module>(url: string, path: string): () => Module {
  let loaded: Module | undefined
  return () => {
    // The package has .js files, its sources .ts. `require` returns the same module as `import`, without its type.
    loaded ??= createRequire(url)(`${path}${url.slice(url.lastIndexOf('.'))}`) as Module
    return loaded
  }
}
