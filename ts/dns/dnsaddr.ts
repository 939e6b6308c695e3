/** The entries of a `/dnsaddr` name: TXT records `dnsaddr=<multiaddr>`. */
import {
  type Components,
  completed,
  componentsOf,
  endsWith,
  type NamedAddress,
  withoutPeer
} from './named-address.ts'

const PREFIX = 'dnsaddr='

/** Characters of a skipped entry in the log. */
const QUOTED_MAX = 200

/** An entry that is not used, and why. */
export interface Skipped {
  readonly text: string
  readonly reason: string
}

/**
 * Returns the entries that match an address: of the wanted peer or of none, and ending as the address does. The peer and
 * the part beyond a relay are completed. Texts of other uses of TXT are ignored.
 */
export function entriesOf(
  texts: readonly string[],
  { suffix, peer, beyond }: NamedAddress,
  wanted: string | undefined
): { readonly entries: readonly Components[]; readonly skipped: readonly Skipped[] } {
  const entries: Components[] = []
  const skipped: Skipped[] = []
  for (const text of texts) {
    if (!text.startsWith(PREFIX)) continue
    const entry = parsed(text.slice(PREFIX.length))
    const reason = entry === undefined ? 'an entry is malformed' : mismatch(entry, suffix, wanted)
    if (entry === undefined || reason !== undefined) {
      skipped.push({ text: text.slice(0, QUOTED_MAX), reason: reason ?? '' })
      continue
    }
    const { body, peer: own } = withoutPeer(entry)
    entries.push(completed(body, own ?? peer, beyond))
  }
  return { entries, skipped }
}

function parsed(text: string): Components | undefined {
  try {
    const components = componentsOf(text)
    return components.length === 0 ? undefined : components
  } catch {
    return undefined
  }
}

function mismatch(
  entry: Components,
  suffix: Components,
  wanted: string | undefined
): string | undefined {
  const { body, peer } = withoutPeer(entry)
  // Whoever controls the name must not choose sockets of this host.
  if (body.some(({ name }) => name === 'unix' || name === 'memory')) {
    return 'an entry is no address of a network'
  }
  if (wanted !== undefined && peer !== undefined && peer !== wanted) {
    return 'an entry is of another peer'
  }
  return endsWith(body, suffix) ? undefined : 'an entry does not end as the address does'
}
