/** Output of `console.log` and `util.inspect` for this package's objects, whose fields are private. */
import type { InspectOptionsStylized, inspect } from 'node:util'

/**
 * Key of the custom inspection method of Node.js. `as never`, as only a symbol created here could have its own type.
 */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** Arguments of that method: the remaining depth, null for unlimited; the options; Node's `inspect`. */
export type InspectArguments = readonly [
  depth: number | null,
  options: InspectOptionsStylized,
  show: typeof inspect
]

/**
 * Formats an object as its name and its facts, omitting undefined ones. Below the depth limit only `id` is shown and
 * `facts` is not called.
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
