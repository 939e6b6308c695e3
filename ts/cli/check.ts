/** `ferroswarm check`: dials every address of a peer on its own, then identifies and pings it. */
import type { Connection } from '../connection.ts'
import { type AddressAttempt, Libp2pError } from '../errors.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import { identify } from '../protocols/identify.ts'
import { ping } from '../protocols/ping.ts'
import type { Swarm } from '../swarm.ts'
import { printable } from '../text/printable.ts'
import { type Call, type Command, type ExitCode, MisuseError, multiaddr } from './command.ts'
import { DIAL_HELP, DIAL_OPTIONS, diallingSwarm, present, stackOf, TIMEOUT_MS } from './connect.ts'
import { adviceFor, attemptsOf, furthest, printAttempt } from './failure.ts'
import { milliseconds, rounded } from './output.ts'
import { percentiles } from './ping.ts'

/** Addresses that are tried at a time: with the connection that is kept, as many as a peer permits by default. */
const PARALLEL = 2

/** Round trips that are measured. */
const PINGS = 3

/** The verb. */
export const command: Command = {
  name: 'check',
  usage: '<multiaddr>... [options]',
  help: `${DIAL_HELP}

Resolves names, dials each address by itself, and identifies and pings the peer over the first that works.
Exit code 0: at least one address works, and the peer answers.

With --json: {"event":"resolved","address","addresses"} for each name, {"event":"works","address",
"resolvedFrom","peerId","security","muxer","ms"} or {"event":"attempt","address","resolvedFrom","stage",
"code","message","elapsedMs","hint"} for each address, then {"event":"summary","ok","works","failed",
"peerId","agentVersion","protocols","rttMs","advice"}.`,
  options: DIAL_OPTIONS,
  positionals: [1, 32],
  run: async (call) => {
    const addrs = call.positionals.map(multiaddr)
    const peers = new Set(addrs.flatMap((addr) => parseAddress(addr).peer ?? []))
    if (peers.size > 1) throw new MisuseError('the addresses are of different peers')
    const swarm = await diallingSwarm(call.values)
    try {
      return await check(call, swarm, addrs)
    } finally {
      await swarm.close()
    }
  }
}

/** A concrete address to try. */
interface Candidate {
  readonly address: string
  readonly resolvedFrom: string | undefined
}

async function check(call: Call, swarm: Swarm, addrs: readonly string[]): Promise<ExitCode> {
  const failed: AddressAttempt[] = []
  const found = await Promise.all(addrs.map((addr) => resolve(call, swarm, addr, failed)))
  const candidates = [
    ...new Map(found.flat().map((candidate) => [candidate.address, candidate])).values()
  ]
  let kept: Connection | undefined
  let works = 0
  const dialNext = async (): Promise<void> => {
    for (let next = candidates.shift(); next !== undefined; next = candidates.shift()) {
      const connection = await dial(call, swarm, next, failed)
      if (connection === undefined) continue
      works += 1
      // One is enough for the rest, and the other side may permit few.
      if (kept === undefined) kept = connection
      else await connection.close({ signal: call.signal })
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, dialNext))
  return conclude(call, kept, works, failed)
}

/** Returns the addresses of a name, or the address itself. */
async function resolve(
  { out, signal }: Call,
  swarm: Swarm,
  addr: string,
  failed: AddressAttempt[]
): Promise<Candidate[]> {
  const { name } = parseAddress(addr)
  if (name === undefined) return [{ address: addr, resolvedFrom: undefined }]
  const began = performance.now()
  try {
    const resolved = (await swarm.dnsResolver.resolve(addr, { signal })).map(String)
    const count = `${resolved.length} ${resolved.length === 1 ? 'address' : 'addresses'}`
    out.event({ event: 'resolved', address: addr, addresses: resolved }, `  ${name} has ${count}`)
    return resolved.map((address) => ({ address, resolvedFrom: addr }))
  } catch (err) {
    if (!(err instanceof Libp2pError)) throw err
    const attempt: AddressAttempt = {
      address: addr,
      resolvedFrom: undefined,
      transport: '',
      stage: 'resolve',
      elapsed: performance.now() - began,
      cause: err,
      hint: ''
    }
    failed.push(attempt)
    printAttempt(out, attempt)
    return []
  }
}

/** Dials one address; returns its connection if it works. */
async function dial(
  { out, signal, values }: Call,
  swarm: Swarm,
  { address, resolvedFrom }: Candidate,
  failed: AddressAttempt[]
): Promise<Connection | undefined> {
  const began = performance.now()
  try {
    const timeout = values.count('timeout', TIMEOUT_MS)
    const connection = await swarm.dialAddr(address, { signal, timeout })
    const ms = performance.now() - began
    const peerId = connection.remotePeer.toString()
    const stack = stackOf(connection)
    out.event(
      {
        event: 'works',
        address,
        resolvedFrom: resolvedFrom ?? null,
        peerId,
        ...stack,
        ms: rounded(ms)
      },
      `  ${address}: ${out.style('green', 'works')}, ${present(stack).join(' and ')} in ${milliseconds(ms)}`
    )
    return connection
  } catch (err) {
    // A dial of one address has one attempt.
    const [attempt] = attemptsOf(err)
    if (attempt === undefined) throw err
    const ended = { ...attempt, resolvedFrom }
    failed.push(ended)
    printAttempt(out, ended)
    return undefined
  }
}

/** Identifies and pings the peer, and prints the verdict. */
async function conclude(
  call: Call,
  connection: Connection | undefined,
  works: number,
  failed: readonly AddressAttempt[]
): Promise<ExitCode> {
  const { out, signal } = call
  const counts = { works, failed: failed.length }
  if (connection === undefined) {
    const telling = furthest(failed)
    const advice = telling === undefined ? '' : adviceFor(telling.cause, telling.stage)
    out.event(
      {
        event: 'summary',
        ok: false,
        ...counts,
        peerId: null,
        agentVersion: null,
        protocols: [],
        rttMs: null,
        advice
      },
      `${out.style('red', 'unreachable')}: no address works\n  ${out.style('bold', 'What to do:')} ${advice}`
    )
    return 1
  }
  const peer = await identify(connection, { signal })
  const times: number[] = []
  for await (const ms of ping(connection, { count: PINGS, signal })) times.push(ms)
  const rttMs = percentiles(times)
  const peerId = connection.remotePeer.toString()
  const agent = printable(peer.agentVersion ?? 'an unnamed agent')
  const verdict = failed.length === 0 ? 'reachable' : 'reachable, but not at every address'
  const trips = rttMs === null ? 'no answer to pings' : `round trip ${milliseconds(rttMs.p50)}`
  out.event(
    {
      event: 'summary',
      ok: true,
      ...counts,
      peerId,
      agentVersion: peer.agentVersion ?? null,
      protocols: peer.protocols,
      rttMs,
      advice: ''
    },
    [
      `${out.style('green', verdict)}: ${out.style('bold', peerId)}`,
      `  ${agent}, ${trips}, ${counts.works} of ${counts.works + counts.failed} addresses work`,
      `  speaks ${peer.protocols.map(printable).join(' ')}`
    ].join('\n')
  )
  return 0
}
