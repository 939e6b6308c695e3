/** `ferroswarm listen`: a node that serves ping, identify, echo and, with `--perf`, perf. */
import { StreamClosedError, StreamEOFError } from '../errors.ts'
import { expandWildcards } from '../identity/interfaces.ts'
import type { Stream } from '../stream.ts'
import { createSwarm, type Swarm } from '../swarm.ts'
import { type Call, type Command, type ExitCode, multiaddr } from './command.ts'
import { present } from './connect.ts'
import { readKey } from './key-file.ts'
import { PeersTable } from './peers-table.ts'

/** Echoes bytes as they arrive, and end-of-stream. */
export const ECHO_PROTOCOL = '/echo/1.0.0'

const ADDRESS = '/ip4/0.0.0.0/tcp/0'
const ECHO_BYTES = 64 * 1024

/** As many as `limits` permit by default: any number of peers may come. */
const CONNECTIONS_MAX = 16_384

/** Milliseconds between two tables. */
const TABLE_INTERVAL_MS = 1_000

/** Lines of a terminal that are left to the events above the table. */
const EVENT_LINES = 6

/** The verb. */
export const command: Command = {
  name: 'listen',
  usage: '[multiaddr...] [options]',
  help: `  --perf                Serve /perf/1.0.0 too: any peer may then request any number of bytes.
  --limits              Show once a second what peers use, and the limits.
  --key FILE            The node's private key, as written by "ferroswarm id --out".

Without an address it listens on ${ADDRESS}. It ends with Ctrl-C or SIGTERM. A terminal shows the peers with
their traffic, tags and place in the order of pruning.

With --json: {"event":"listening","peerId","addrs"} once, then {"event":"connected","peerId",
"remoteAddr","security","muxer"}, {"event":"disconnected","peerId"} and {"event":"pruned","peerId",
"rule","reason"} as it happens; with --limits {"event":"limits","rows":[{"scope","usage","limits"}]}
once a second, where null is no limit, and {"event":"limit","scope","resource","limit","current",
"option"} for each refusal.`,
  options: { perf: { type: 'boolean' }, limits: { type: 'boolean' }, key: { type: 'string' } },
  positionals: [0, 64],
  run: listen
}

async function listen({ positionals, values, out, signal }: Call): Promise<ExitCode> {
  const addresses = positionals.length === 0 ? [ADDRESS] : positionals.map(multiaddr)
  const privateKey = readKey(values.text('key'))
  const swarm = await createSwarm({
    services: { perf: values.flag('perf') },
    // A node to try out does not connect to others by itself.
    connections: { max: CONNECTIONS_MAX, autoConnectBelow: 0 },
    ...(privateKey === undefined ? {} : { privateKey })
  })
  try {
    swarm.handle(ECHO_PROTOCOL, echo)
    report(swarm, out)
    await swarm.listen(...addresses)
    const peerId = swarm.peerId.toString()
    const addrs = expandWildcards(swarm.getListenAddrs().map((addr) => addr.toString())).map(
      (addr) => `${addr}/p2p/${peerId}`
    )
    out.event(
      { event: 'listening', peerId, addrs },
      [`listening as ${out.style('bold', peerId)}`, ...addrs.map((addr) => `  ${addr}`)].join('\n')
    )
    if (values.flag('limits')) showLimits(swarm, out)
    else if (out.rows !== undefined) showPeers(swarm, out)
    await ended(signal)
    out.text('closing')
  } finally {
    await swarm.close()
  }
  return 0
}

function report(swarm: Swarm, out: Call['out']): void {
  swarm.addEventListener('connected', ({ detail: connection }) => {
    const { security, muxer } = connection.state
    const peerId = connection.remotePeer.toString()
    const remoteAddr = connection.remoteAddr.toString()
    out.event(
      { event: 'connected', peerId, remoteAddr, security, muxer },
      `${out.style('green', '+')} ${peerId} from ${remoteAddr} over ${present({ security, muxer }).join(', ')}`
    )
  })
  swarm.addEventListener('disconnected', ({ detail: connection }) => {
    const peerId = connection.remotePeer.toString()
    out.event({ event: 'disconnected', peerId }, `${out.style('dim', '-')} ${peerId}`)
  })
  swarm.addEventListener('prune', ({ detail }) => {
    for (const { candidate, rule, reason } of detail.verdicts) {
      const peerId = candidate.connection.remotePeer.toString()
      out.event(
        { event: 'pruned', peerId, rule, reason },
        `${out.style('red', 'pruned')} ${peerId}: ${reason}`
      )
    }
  })
}

/** Calls `show` now and once a second until the swarm closes. */
function repeatedly(swarm: Swarm, show: () => void): void {
  show()
  const timer = setInterval(show, TABLE_INTERVAL_MS)
  swarm.signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

/** Shows the peers on a terminal. */
function showPeers(swarm: Swarm, out: Call['out']): void {
  const table = new PeersTable(swarm)
  repeatedly(swarm, () => {
    const rows = Math.max((out.rows ?? 0) - EVENT_LINES, 4)
    out.table({ event: 'peers' }, table.lines(rows).join('\n'))
  })
}

/** Shows usage and limits once a second until the swarm closes, and refusals as they happen. */
function showLimits(swarm: Swarm, out: Call['out']): void {
  const show = (): void => {
    const report = swarm.resourceManager.report()
    // Above the rows are the titles, below them what is left out, and the cursor.
    const rows = out.rows === undefined ? undefined : out.rows - 3
    out.table({ event: 'limits', rows: report.rows }, report.toString(rows))
  }
  swarm.addEventListener('limit', ({ detail: { error } }) => {
    const { scope, resource, limit, current, option, message } = error
    out.event(
      { event: 'limit', scope, resource, limit, current, option },
      `${out.style('red', 'refused')} ${message}`
    )
  })
  repeatedly(swarm, show)
}

async function echo(stream: Stream): Promise<void> {
  const bytes = new Uint8Array(ECHO_BYTES)
  // A peer may keep its stream open for ever: it ends when the node closes.
  const end = (): void => void stream.closeRead()
  stream.signal.addEventListener('abort', end, { once: true })
  try {
    for (;;) {
      const length = await stream.readInto(bytes)
      await stream.write(bytes.subarray(0, length))
    }
  } catch (err) {
    if (!(err instanceof StreamEOFError || err instanceof StreamClosedError)) throw err
    await stream.close()
  } finally {
    stream.signal.removeEventListener('abort', end)
  }
}

/** Resolves on a signal, or when the parent process at the other end of the IPC channel has exited. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (process.connected === true) process.once('disconnect', () => resolve())
  })
}
