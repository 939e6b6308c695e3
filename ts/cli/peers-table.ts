/** The table of `ferroswarm listen`: peers, their traffic and tags, and what the pruner would close next. */

import type { Connection } from '../connection.ts'
import type { PruneVerdict } from '../connection-manager/prune-decision.ts'
import type { Swarm } from '../swarm.ts'
import { byteSize } from './output.ts'

/** Characters of a peer id that are shown: its end differs from peer to peer. */
const PEER_CHARACTERS = 8

const TITLES = ['peer', 'from', 'address', 'streams', 'in/s', 'out/s', 'tags', 'age', 'pruning']

/** Bytes carried until the last look, and its time. */
interface Sample {
  readonly at: number
  readonly received: number
  readonly sent: number
}

/** Makes the table of one swarm. */
export class PeersTable {
  readonly #swarm: Swarm
  readonly #samples = new WeakMap<object, Sample>()

  constructor(swarm: Swarm) {
    this.#swarm = swarm
  }

  /** Returns the lines of the table, at most `rows`: those that would be closed first come last. */
  lines(rows: number): string[] {
    const swarm = this.#swarm
    const connections = swarm.getConnections()
    const verdicts = new Map(
      swarm.connectionPruner
        .explain()
        .verdicts.map((verdict, index) => [verdict.candidate.connection, { verdict, index }])
    )
    const rank = (connection: Connection): number =>
      verdicts.get(connection)?.index ?? Number.POSITIVE_INFINITY
    const order = connections.toSorted((one, other) => rank(other) - rank(one) || 0)
    // Above the rows are a line of sums and the titles, below them the next one to be closed.
    const shown = order.slice(-Math.max(rows - 3, 1))
    const cells = shown.map((connection) => this.#row(connection, verdicts.get(connection)))
    return [this.#sums(), ...aligned([TITLES, ...cells]), this.#next(verdicts.values())]
  }

  #sums(): string {
    const swarm = this.#swarm
    const { total, inbound, outbound, peers } = swarm.getMetrics()
    const { low, high } = swarm.connectionPruner.info()
    const { socketBytesIn, socketBytesOut } = swarm.counters()
    const { received, sent } = this.#rates(swarm, socketBytesIn, socketBytesOut)
    const marks = Number.isFinite(high) ? `, above ${high} pruned to ${low}` : ''
    return (
      `${total} connections (${inbound} in, ${outbound} out${marks}) with ${peers} peers, ` +
      `${byteSize(received)}/s in, ${byteSize(sent)}/s out`
    )
  }

  #row(
    connection: Connection,
    place: { readonly verdict: PruneVerdict; readonly index: number } | undefined
  ): string[] {
    const swarm = this.#swarm
    const { remotePeer, direction, remoteAddr, stat } = connection
    const { bytesReceived = 0, bytesSent = 0 } = connection.counters() ?? {}
    const { received, sent } = this.#rates(connection, bytesReceived, bytesSent)
    const open = swarm.options.clock.now() - stat.opened
    const isYoung = open < swarm.connectionConfig.gracePeriod
    const kept = isYoung ? 'too young' : 'never pruned'
    return [
      `…${`${remotePeer}`.slice(-PEER_CHARACTERS)}`,
      direction,
      `${remoteAddr}`,
      `${stat.numStreams}`,
      byteSize(received),
      byteSize(sent),
      `${swarm.getTagInfo(remotePeer)?.value ?? 0}`,
      age(open),
      swarm.isProtected(remotePeer) ? 'protected' : placeText(place, kept)
    ]
  }

  #next(verdicts: Iterable<{ readonly verdict: PruneVerdict }>): string {
    const [first] = verdicts
    if (first === undefined) return 'nothing can be pruned'
    const { candidate, isClosed, reason } = first.verdict
    const peer = `…${`${candidate.connection.remotePeer}`.slice(-PEER_CHARACTERS)}`
    return isClosed ? `next to be pruned: ${peer}, ${reason}` : `${peer} would be pruned first`
  }

  /** Returns bytes a second since the last look at `owner`, in whole numbers. */
  #rates(owner: object, received: number, sent: number): { received: number; sent: number } {
    const now = performance.now()
    const before = this.#samples.get(owner)
    this.#samples.set(owner, { at: now, received, sent })
    const seconds = before === undefined ? 0 : (now - before.at) / 1_000
    const rate = (bytes: number, last = 0): number =>
      seconds === 0 ? 0 : Math.round((bytes - last) / seconds)
    return { received: rate(received, before?.received), sent: rate(sent, before?.sent) }
  }
}

/** Returns the place of a connection in the order of pruning, with what decides if it would be closed. */
function placeText(
  place: { readonly verdict: PruneVerdict; readonly index: number } | undefined,
  kept: string
): string {
  if (place === undefined) return kept
  const { verdict, index } = place
  return verdict.isClosed ? `${index + 1}. by ${verdict.rule}` : `${index + 1}.`
}

/** Returns rows of cells as lines with aligned columns. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = TITLES.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0))
  )
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  )
}

/** Formats a duration in its largest unit. */
function age(ms: number): string {
  const seconds = Math.max(Math.floor(ms / 1_000), 0)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`
}
