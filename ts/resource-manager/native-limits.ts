/** Conversion of limits for the native side. */

import { networkText } from '../identity/networks.ts'
import type { NativeResourceConfig, NativeScopeLimits } from '../native/addon.ts'
import type { ResolvedLimits } from './limits.ts'
import {
  NAMED_CLASS_NAMES,
  RESOURCE_NAMES,
  type ResolvedScopeLimits,
  SCOPE_CLASSES
} from './scope-limits.ts'

/** Returns the limits of scopes, subnets and rates as the native node takes them. */
export function nativeResources(limits: ResolvedLimits): NativeResourceConfig {
  const scopes: NativeScopeLimits[] = SCOPE_CLASSES.map((scope) => ({
    scope,
    limits: byResource(limits[scope])
  }))
  for (const scope of NAMED_CLASS_NAMES) {
    for (const [name, of] of Object.entries(limits[scope])) {
      scopes.push({ scope, name, limits: byResource(of) })
    }
  }
  return {
    scopes,
    subnets: limits.subnets.map((subnet) => ({ ...subnet })),
    rates: limits.rates.map((rate) => ({ ...rate })),
    networks: limits.networks.map((entry) => ({
      network: networkText(entry),
      connections: entry.connections
    })),
    allowlist: limits.allowlist.map((entry) => ({
      network: networkText(entry),
      ...(entry.peer === undefined ? {} : { peer: entry.peer })
    })),
    trustedSources: limits.trustedSources.map(networkText),
    loopbackExempt: limits.loopbackExempt,
    dryRun: limits.dryRun
  }
}

/** Returns the limits in the order of `Resource::ALL` in Rust; `Infinity` is unlimited. */
export function byResource(limits: ResolvedScopeLimits): number[] {
  return RESOURCE_NAMES.map((name) => limits[name])
}
