/** Usage of the scopes of swarms in this process, by their names. Import it before the first swarm is created. */
import type { NativeResources } from '../../ts/native/addon.ts'
import { environment } from '../../ts/native/environment.ts'
import { RESOURCE_NAMES, type ResourceName } from '../../ts/resource-manager/scope-limits.ts'
import type { Swarm } from '../../ts/swarm.ts'

/** What a scope uses. */
export type ScopeUsage = Readonly<Record<ResourceName, number>>

/** The accounting of each node, by its peer id. */
const accounts = new Map<string, NativeResources>()

const engine = environment()
const makeNode = engine.makeNode.bind(engine)
engine.makeNode = (...args) => {
  const node = makeNode(...args)
  accounts.set(node.peerId, node.resources())
  return node
}

/**
 * Returns the usage of a scope that is not that of one connection or stream, such as `peer:12D3…`; zero of everything
 * if there is no such scope.
 */
export function usageOf(swarm: Swarm, scope: string): ScopeUsage {
  const report = accounts.get(`${swarm.peerId}`)?.report() ?? []
  const { usage } = report.find((figures) => figures.scope === scope) ?? { usage: [] }
  const entries = RESOURCE_NAMES.map((resource, index) => [resource, usage[index] ?? 0])
  // `Object.fromEntries` widens keys to `string`; these are all the resources.
  return Object.fromEntries(entries) as ScopeUsage
}
