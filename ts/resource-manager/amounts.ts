/** Amounts of resources and names of scopes, formatted for people. */

/** Characters of a peer id that identify it in a table. */
const PEER_CHARACTERS = 8

/** Fewer bytes than these are shown exactly. */
const EXACT_MAX = 10_000

const PEER = /(^|\.)peer:(\w+)$/

/** Formats an amount of a resource: memory in binary units, `unlimited` for infinity. */
export function amount(value: number, resource: string): string {
  if (value === Number.POSITIVE_INFINITY) return 'unlimited'
  return resource === 'memory' ? bytes(value) : String(value)
}

/** Returns the share of a limit that is used: 0 without a limit, and of a resource that is blocked and unused. */
export function share(used: number, limit: number): number {
  return used === 0 || limit === Number.POSITIVE_INFINITY ? 0 : used / limit
}

/** Shortens the peer id in the name of a scope to its last characters. */
export function shortName(scope: string): string {
  return scope.replace(PEER, (_, before: string, peer: string) =>
    peer.length <= PEER_CHARACTERS
      ? `${before}peer:${peer}`
      : `${before}peer:…${peer.slice(-PEER_CHARACTERS)}`
  )
}

function bytes(value: number): string {
  if (value < EXACT_MAX) return `${value} B`
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = value
  let unit = 0
  while (size >= 1_024 && unit < units.length - 1) {
    size /= 1_024
    unit += 1
  }
  return `${Number.isInteger(size) ? size : size.toFixed(1)} ${units[unit]}`
}
