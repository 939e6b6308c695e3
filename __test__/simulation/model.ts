/**
 * A model run: many nodes that dial, talk, close, crash and come back at random, by a seed. Whatever happens, each swarm
 * must notify in a legal order, and nothing may be left in the end.
 */
import { CommonTags, type ConnectionConfig, type Swarm } from '../../ts/index.ts'
import { type NodeOptions, type SimulatedNetwork, simulate } from '../../ts/testing/index.ts'
import { Observer } from '../support/observer.ts'
import { seeded } from '../support/random.ts'
import { ECHO, echoed, serveEcho } from '../support/simulated.ts'

/** The size of a run. */
export interface RunOptions {
  readonly seed: number
  readonly nodes: number
  /** Connections of each node at the beginning, on average. */
  readonly degree: number
  /** Seconds of virtual time with churn. */
  readonly seconds: number
}

/** Some seconds of real time. */
export const DEFAULTS: Readonly<Omit<RunOptions, 'seed'>> = { nodes: 60, degree: 10, seconds: 30 }

/** What a run has done. */
export interface RunReport {
  readonly hash: string
  /** Connections when all nodes had dialled, per node. */
  readonly degree: number
  readonly connected: number
  readonly openedStream: number
  readonly echoes: number
  readonly crashes: number
  /** Connections that were pruned. */
  readonly pruned: number
}

/** The nodes of a run, for invariants. */
export interface World {
  readonly net: SimulatedNetwork
  /** What each swarm has notified of, by the name of its node. */
  readonly observers: ReadonlyMap<string, Observer>
  /** The decisions of all pruners, each with what is wrong with it. */
  readonly pruned: readonly Pruned[]
}

/** A decision of a pruner. */
interface Pruned {
  readonly closed: number
  /** Empty if nothing is wrong. */
  readonly fault: string
}

/** What must be true of every run. */
export interface Invariant {
  readonly name: string
  /** When it is checked: after each second of churn, or at the end, when nothing has happened for a while. */
  readonly when: 'always' | 'quiet'
  /** Returns what is wrong; nothing if all is well. */
  check(world: World): string[]
}

/** Options of every node. Identify runs, as in reality; more than one connection per peer is usual under churn. */
function optionsOf(degree: number): NodeOptions {
  return { limits: 'unlimited', connections: marksOf(degree) }
}

/** Marks that the churn crosses: a node begins with `degree` connections. */
function marksOf(degree: number): ConnectionConfig {
  const high = Math.max(degree, 3)
  const low = Math.ceil(high / 2)
  return {
    high,
    low,
    min: Math.floor(low / 2),
    gracePeriod: 2_000,
    silencePeriod: 1_000,
    autoConnectInterval: 5_000
  }
}

/** Faults that an error names. */
const FAULTS_SHOWN = 10

/** The share of the nodes that do something within a second. */
const ACTIVE = 0.2

/** Milliseconds within which a healthy network comes to rest: stalls, time-outs of dials, and their repetitions. */
const REST_MS = 120_000

/** The invariants. Those of a policy, such as watermarks or protected peers, belong here. */
export const invariants: readonly Invariant[] = [
  {
    name: 'the events of a swarm come in a legal order, each once',
    when: 'always',
    check: ({ observers }) => [...observers].flatMap(([name, { faults }]) => prefixed(name, faults))
  },
  {
    name: 'a swarm lists the connections that it has notified of',
    when: 'always',
    check: ({ net, observers }) =>
      up(net).flatMap(([name, swarm]) => {
        const [listed, notified] = [swarm.getTotalConnections(), observers.get(name)?.size ?? 0]
        // A connection that is being closed is listed no more, and has not ended yet.
        return listed <= notified ? [] : [`${name} lists ${listed} connections of ${notified}`]
      })
  },
  {
    name: 'no protected peer is pruned, and nobody above the low mark is left out',
    when: 'always',
    check: ({ pruned }) => pruned.filter(({ fault }) => fault !== '').map(({ fault }) => fault)
  },
  {
    name: 'at rest, no node has more connections than its high mark',
    when: 'quiet',
    check: ({ net }) =>
      up(net).flatMap(([name, swarm]) => {
        const { connected, high } = swarm.connectionPruner.info()
        const safe = swarm
          .getConnections()
          .filter(({ remotePeer }) => swarm.isProtected(remotePeer))
        // Protected connections stay, whatever their number.
        return connected <= Math.max(high, safe.length)
          ? []
          : [
              `${name} has ${connected} connections, ${safe.length} of them protected, above ${high}`
            ]
      })
  },
  {
    name: 'at rest, both ends of a connection are listed',
    when: 'quiet',
    check: ({ net }) => {
      const peers = new Map(up(net).map(([name, swarm]) => [`${swarm.peerId}`, name]))
      const counts = new Map<string, number>()
      for (const [name, swarm] of up(net)) {
        for (const { remotePeer, direction } of swarm.getConnections()) {
          const remote = peers.get(`${remotePeer}`) ?? `${remotePeer}`
          const [dialler, listener] = direction === 'outbound' ? [name, remote] : [remote, name]
          const key = `from ${dialler} to ${listener}`
          counts.set(key, (counts.get(key) ?? 0) + (direction === 'outbound' ? 1 : -1))
        }
      }
      return [...counts].flatMap(([key, more]) =>
        more === 0 ? [] : [`${key}: the dialler lists ${more} more than the listener`]
      )
    }
  },
  {
    name: 'at rest, every stream has ended',
    when: 'quiet',
    check: ({ observers }) =>
      [...observers].flatMap(([name, { streams }]) =>
        streams === 0 ? [] : [`${name} has ${streams} open streams`]
      )
  }
]

/** Runs the model. Throws if an invariant is broken. */
export async function run({ seed, nodes, degree, seconds }: RunOptions): Promise<RunReport> {
  await using net = simulate({ seed, latency: 20, jitter: 60, dialFailure: 0.02, lossPerHour: 20 })
  const observers = new Map<string, Observer>()
  const peers = new Map<string, string>()
  const pruned: Pruned[] = []
  const world: World = { net, observers, pruned }
  const count = { echoes: 0, crashes: 0 }
  const observe = (name: string, swarm: Swarm): void => {
    const observer = observers.get(name)
    if (observer !== undefined) swarm.notify(observer)
    swarm.addEventListener('prune', ({ detail }) => {
      const { verdicts, connected, low, exempt } = detail
      const isSafe = verdicts.every(
        ({ candidate }) => !swarm.isProtected(candidate.connection.remotePeer)
      )
      const tooMany = verdicts.length > Math.max(connected - exempt.grace - low, 0)
      const fault = isSafe ? (tooMany ? 'has pruned too many' : '') : 'has pruned a protected peer'
      pruned.push({ closed: verdicts.length, fault: fault && `${name} ${fault}` })
    })
    serveEcho(swarm)
  }
  const names = Array.from({ length: nodes }, (_, index) => `n${index}`)
  for (const name of names) {
    observers.set(name, new Observer())
    const swarm = await net.node(name, optionsOf(degree))
    peers.set(name, `${swarm.peerId}`)
    observe(name, swarm)
  }
  const random = seeded(seed)
  const pick = (): string => names[random(nodes)] ?? ''

  /** Dials and talks; whatever fails is the network's doing. */
  const talk = async (from: string, to: string): Promise<void> => {
    const connection = await net.swarm(from).dialAddr(net.address(to))
    const stream = await connection.newStream(ECHO)
    if ((await echoed(stream, from)) === from) count.echoes += 1
    await stream.close()
  }
  /** Tags, protects or trims. */
  const judge = (swarm: Swarm, peer: string, which: number): void => {
    if (which < 115) swarm.tagPeer(peer, `tag ${random(3)}`, random(20) - 5)
    else if (which < 120) swarm.protect(peer, 'model')
    else if (which < 125) swarm.unprotect(peer, 'model')
    else if (which < 127) swarm.tagPeer(peer, CommonTags.KEEP_ALIVE, 10)
    else if (which < 129) swarm.untagPeer(peer, CommonTags.KEEP_ALIVE)
    else void swarm.connectionPruner.trim()
  }
  const act = async (): Promise<void> => {
    const [from, to] = [pick(), pick()]
    const which = random(130)
    if (from === to) return
    if (!net.isUp(from)) observe(from, await net.restart(from))
    else if (which < 55) talk(from, to).catch(() => {})
    else if (which < 85) void net.swarm(from).getConnections()[0]?.close()
    else if (which < 90) closeOne(net.swarm(from))
    else if (which < 95) {
      count.crashes += 1
      await net.crash(from)
    } else if (which < 98) net.partition([from], [to])
    else if (which < 100) net.heal()
    else judge(net.swarm(from), peers.get(to) ?? '', which)
  }

  const dials = names.flatMap((name) =>
    Array.from({ length: Math.round(degree / 2) }, async () => {
      const to = pick()
      if (to !== name)
        await net
          .swarm(name)
          .dialAddr(net.address(to))
          .catch(() => {})
    })
  )
  await net.run(Promise.all(dials))
  await net.advance(1_000)
  const reached = up(net).reduce((sum, [, swarm]) => sum + swarm.getTotalConnections(), 0) / nodes
  check('always', world)

  const actions = Math.max(Math.round(nodes * ACTIVE), 1)
  for (let second = 0; second < seconds; second += 1) {
    for (let action = 0; action < actions; action += 1) {
      await act()
      await net.advance(1_000 / actions)
    }
    check('always', world)
  }
  net.heal()
  await net.advance(REST_MS)
  check('always', world)
  // Whoever has fewer than its low mark goes on dialling, and may be pruned again: there is no rest otherwise.
  for (const [, swarm] of up(net)) swarm.autoConnector.stop()
  await net.advance(REST_MS)
  check('always', world)
  check('quiet', world)

  await net.close()
  for (const [name, { size, streams }] of observers) {
    if (size + streams > 0)
      throw new Error(`${name} ends with ${size} connections, ${streams} streams`)
  }
  check('always', world)
  const sum = (of: (observer: Observer) => number): number =>
    [...observers.values()].reduce((total, observer) => total + of(observer), 0)
  return {
    hash: net.hash,
    degree: reached,
    connected: sum(({ connectedCount }) => connectedCount),
    openedStream: sum(({ openedCount }) => openedCount),
    pruned: pruned.reduce((total, { closed }) => total + closed, 0),
    ...count
  }
}

function closeOne(swarm: Swarm): void {
  const [peer] = swarm.getPeers()
  if (peer !== undefined) void swarm.closePeer(peer)
}

/** Returns the swarms that run, by name. */
function up(net: SimulatedNetwork): [name: string, swarm: Swarm][] {
  return net.names.filter((name) => net.isUp(name)).map((name) => [name, net.swarm(name)])
}

function prefixed(name: string, faults: readonly string[]): string[] {
  return faults.map((fault) => `${name}: ${fault}`)
}

function check(when: Invariant['when'], world: World): void {
  for (const invariant of invariants.filter((each) => each.when === when)) {
    const faults = invariant.check(world)
    if (faults.length === 0) continue
    const shown = faults.slice(0, FAULTS_SHOWN).join('\n  ')
    const at = `${world.net.elapsed.toFixed(3)} ms`
    throw new Error(`${invariant.name}: ${faults.length} faults at ${at}\n  ${shown}`)
  }
}
