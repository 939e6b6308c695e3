/** Loading of the native node of {@link yamux} at its first use. */
import { createRequire } from 'node:module'

type YamuxModule = typeof import('./yamux-node.ts')

let module: YamuxModule | undefined

/** Returns the module of the node. Loading is synchronous, as the call that needs it is. */
export function loadYamuxNode(): YamuxModule {
  // The package has .js files, its sources .ts. `require` returns the same module as `import`, without its type.
  const { url } = import.meta
  module ??= createRequire(url)(`./yamux-node${url.slice(url.lastIndexOf('.'))}`) as YamuxModule
  return module
}
