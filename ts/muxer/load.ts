/**
 * Loading of the native node of {@link yamux} and of upgrades by muxers of the application, at their first use.
 *
 * Loading is synchronous (Node's `require` of an ES module), as the calls that need it are.
 */
import { createRequire } from 'node:module'

type UpgradeModule = typeof import('./muxed-upgrades.ts')
type YamuxModule = typeof import('./yamux-node.ts')

let upgrades: UpgradeModule | undefined
let yamuxNode: YamuxModule | undefined

/** Returns the module of upgrades. */
export function loadMuxedUpgrades(): UpgradeModule {
  // `require` returns the same module as `import`, without its type.
  upgrades ??= load('muxed-upgrades') as UpgradeModule
  return upgrades
}

/** Returns the module of the node. */
export function loadYamuxNode(): YamuxModule {
  yamuxNode ??= load('yamux-node') as YamuxModule
  return yamuxNode
}

function load(name: string): unknown {
  // The package has .js files, its sources .ts.
  const { url } = import.meta
  return createRequire(url)(`./${name}${url.slice(url.lastIndexOf('.'))}`)
}
