/** What the dialling verbs share: a node of their own, one connection, and both gone at the end. */
import type { Connection } from '../connection.ts'
import type { SecurityName } from '../constants.ts'
import { createSwarm } from '../swarm.ts'
import { type Call, MisuseError, multiaddr } from './command.ts'
import { readKey } from './key-file.ts'

/** Milliseconds for address, security and muxer together. */
const TIMEOUT_MS = 10_000

/** Options of every dialling verb. */
export const DIAL_OPTIONS = {
  security: { type: 'string' },
  timeout: { type: 'string' },
  key: { type: 'string' }
} as const

/** Their part of `--help`. */
export const DIAL_HELP = `  --security noise|tls  Offer this and nothing else.
  --timeout MS          Milliseconds to connect in; ${TIMEOUT_MS} unless given.
  --key FILE            The private key to dial with, as written by "ferroswarm id --out".`

const SECURITY: readonly SecurityName[] = ['noise', 'tls']

/** Connect to the first positional and do `work`. */
export async function withConnection<T>(
  { positionals, values, signal }: Call,
  work: (connection: Connection) => Promise<T>
): Promise<T> {
  const [address] = positionals
  if (address === undefined) throw new MisuseError('<multiaddr> is missing')
  const addr = multiaddr(address)
  const timeout = values.count('timeout', TIMEOUT_MS)
  const security = values.oneOf('security', SECURITY)
  const privateKey = readKey(values.text('key'))
  const swarm = await createSwarm({
    ...(security === undefined ? {} : { security: [security] }),
    ...(privateKey === undefined ? {} : { privateKey })
  })
  try {
    return await work(await swarm.dialAddr(addr, { signal, timeout }))
  } finally {
    await swarm.close()
  }
}

/** The negotiated stack as every summary tells it. */
export function stackOf(connection: Connection): { security: string; muxer: string } {
  const { security, muxer } = connection.state
  return { security, muxer }
}
