/** Shared by the dialling verbs: a node and one connection, both closed at the end. */
import type { Connection } from '../connection.ts'
import type { SecurityName } from '../constants.ts'
import type { AddressAttempt } from '../errors.ts'
import { createSwarm, type Swarm } from '../swarm.ts'
import { type Call, MisuseError, multiaddr, type Values } from './command.ts'
import { printAttempt } from './failure.ts'
import { readKey } from './key-file.ts'

/** Milliseconds for the dial, security and muxer negotiation together. */
export const TIMEOUT_MS = 10_000

/** Options of every dialling verb. */
export const DIAL_OPTIONS = {
  security: { type: 'string' },
  timeout: { type: 'string' },
  key: { type: 'string' }
} as const

/** The `--help` text of {@link DIAL_OPTIONS}. */
export const DIAL_HELP = `  --security noise|tls  Offer this and nothing else.
  --timeout MS          Milliseconds to connect in; defaults to ${TIMEOUT_MS}.
  --key FILE            The private key to dial with, as written by "ferroswarm id --out".`

const SECURITY: readonly SecurityName[] = ['noise', 'tls']

/** Connects to the first positional and runs `work`. */
export async function withConnection<T>(
  { positionals, values, signal, out }: Call,
  work: (connection: Connection) => Promise<T>
): Promise<T> {
  const [address] = positionals
  if (address === undefined) throw new MisuseError('<multiaddr> is missing')
  const addr = multiaddr(address)
  const timeout = values.count('timeout', TIMEOUT_MS)
  const swarm = await diallingSwarm(values)
  try {
    const onAttempt = (attempt: AddressAttempt): void => printAttempt(out, attempt)
    return await work(await swarm.dialAddr(addr, { signal, timeout, onAttempt }))
  } finally {
    await swarm.close()
  }
}

/** Creates the node of a dialling verb. */
export function diallingSwarm(values: Values): Promise<Swarm> {
  const security = values.oneOf('security', SECURITY)
  const privateKey = readKey(values.text('key'))
  return createSwarm({
    // A person who looks at the result decides whether to try again.
    retry: { maxRetries: 0 },
    ...(security === undefined ? {} : { security: [security] }),
    ...(privateKey === undefined ? {} : { privateKey })
  })
}

/** Returns the negotiated stack for summaries. */
export function stackOf(connection: Connection): { security: string; muxer: string } {
  const { security, muxer } = connection.state
  return { security, muxer }
}

/** Returns the parts of a stack that a connection has: QUIC has streams without a muxer. */
export function present(stack: Readonly<Record<string, string>>): string[] {
  return Object.values(stack).filter((part) => part !== '')
}
