/** What `console.log` and `util.inspect` show of this package's objects, whose fields are private. */
import type { InspectOptionsStylized, inspect } from 'node:util'

/** The method that Node asks what an object looks like. A symbol has a type of its own only where it is made: `as never`. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** What Node passes to that method: the levels that are left, null for all of them; the options; its `inspect`. */
export type InspectArguments = readonly [
  depth: number | null,
  options: InspectOptionsStylized,
  show: typeof inspect
]

/**
 * An object by its name and its facts, without those that are undefined. Below the last level `id` has to do, and the
 * facts are not asked for.
 */
export function shown(
  name: string,
  id: string,
  facts: () => Readonly<Record<string, unknown>>,
  [depth, options, show]: InspectArguments
): string {
  if (depth !== null && depth < 0) return options.stylize(`[${name} ${id}]`, 'special')
  const known = Object.entries(facts()).filter(([, value]) => value !== undefined)
  return `${name} ${show(Object.fromEntries(known), { ...options, depth })}`
}
