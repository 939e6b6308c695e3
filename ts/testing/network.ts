/** The simulated network. */
import { aFunction, anArray, aString, checkOptions, misuse, objectWith } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import { InvalidParametersError, StateError } from '../errors.ts'
import { environment } from '../native/environment.ts'
import type { SwarmOptions } from '../swarm/options.ts'
import type { Swarm } from '../swarm.ts'
import type { SimulatedConn } from './conn.ts'
import { Driver } from './driver.ts'
import type { Half } from './half.ts'
import { type Link, linkOf, Path } from './link.ts'
import { SimulatedNode } from './node.ts'
import {
  aFiniteDuration,
  type LinkOptions,
  type NodeOptions,
  PARTITION_CHECKS,
  type PartitionOptions,
  SIMULATION_CHECKS,
  type SimulationOptions,
  TRACE_EVENTS,
  WITHIN_CHECKS,
  type WithinOptions
} from './options.ts'
import { randomOf } from './random.ts'
import { Trace, type TraceEvent, type TraceEventName } from './trace.ts'
import type { Places, Station } from './transport.ts'
import { EPOCH_MS, VirtualClock } from './virtual-clock.ts'

/** Nodes of a network: each has a thread and some 200 KiB. */
const NODES_MAX = 10_000

/** Milliseconds of virtual time that `until` and `run` wait by default, as a dial does. */
const WITHIN_MS = 60_000

const aPromise = objectWith('then')

/**
 * Makes a network in memory whose time is virtual: a run takes no longer than its work, and the same seed has the same
 * run. See docs/simulation.md, also for what is outside the simulation.
 *
 * @throws {@link InvalidParametersError} for an invalid option.
 * @example
 * ```ts
 * import { simulate } from 'ferroswarm/testing'
 *
 * await using net = simulate({ seed: 1, latency: 25 })
 * const a = await net.node('a')
 * const b = await net.node('b')
 * const connection = await net.run(a.dial(net.address('b')))
 * net.partition(['a'], ['b'])
 * await net.until(() => connection.isClosed, { within: 60_000 })
 * ```
 */
export function simulate(options: SimulationOptions = {}): SimulatedNetwork {
  checkOptions(options, SIMULATION_CHECKS)
  const { seed = 0, traceEvents = TRACE_EVENTS, ...link } = options
  return new SimulatedNetwork(seed, linkOf(link), new Trace(traceEvents))
}

/** A network of swarms in this process, made by {@link simulate}. */
export class SimulatedNetwork implements AsyncDisposable {
  readonly #seed: number
  readonly #defaults: Link
  readonly #trace: Trace
  readonly #clock = new VirtualClock()
  readonly #nodes = new Map<string, SimulatedNode>()
  readonly #byHost = new Map<string, SimulatedNode>()
  readonly #paths = new Map<string, Path>()
  // The directions with a packet to send at this point of time.
  #sending: Half[] = []
  readonly #driver: Driver
  readonly #places: Places
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(seed: number, defaults: Link, trace: Trace) {
    this.#seed = seed
    this.#defaults = defaults
    this.#trace = trace
    this.#driver = new Driver(this.#clock, environment(), () => this.#sendAll())
    this.#places = this.#makePlaces()
  }

  /** Virtual time: the clock of every swarm of the network. It begins in 2020, the same for every seed. */
  get clock(): Clock {
    return this.#clock
  }

  /** Milliseconds of virtual time since the simulation began. */
  get elapsed(): number {
    return this.#clock.now() - EPOCH_MS
  }

  /** The names of all nodes, those that are down too, in the order of their making. */
  get names(): string[] {
    return [...this.#nodes.keys()]
  }

  /**
   * Makes a node: a swarm that is started and listens at {@link SimulatedNetwork.address}. Its clock, its randomness, its
   * key and its transport are those of the network, and its limits on rates, which count real time, are lifted unless
   * they are given; all other options are as usual. At most 10,000 nodes.
   *
   * @throws {@link InvalidParametersError} for a name in use, and for an invalid option or one that the network sets.
   * @throws {@link StateError} if the network is closed.
   */
  node(name: string, options: NodeOptions = {}): Promise<Swarm> {
    return this.#add(name, options).start()
  }

  /**
   * Returns the options of a node for an application that makes its swarm itself, once. The swarm listens as soon as it
   * is told to, at {@link SimulatedNetwork.address}.
   *
   * @throws {@link InvalidParametersError} for a name in use, and for an invalid option or one that the network sets.
   * @throws {@link StateError} if the network is closed.
   */
  options(name: string, options: NodeOptions = {}): SwarmOptions {
    return this.#add(name, options).options()
  }

  /**
   * Returns whether a node runs: it is started, and has neither crashed nor been closed.
   *
   * @throws {@link InvalidParametersError} for an unknown name.
   */
  isUp(name: string): boolean {
    return this.#named(name).isUp
  }

  /**
   * Returns the swarm of a node.
   *
   * @throws {@link InvalidParametersError} for an unknown name.
   * @throws {@link StateError} if it is down.
   */
  swarm(name: string): Swarm {
    const { isUp, latest } = this.#named(name)
    if (!isUp || latest === undefined) throw new StateError(`the node ${name} is down`)
    return latest
  }

  /**
   * Returns the address of a node, with its peer id: `/ip4/10.<x>.<y>.<z>/tcp/4001/p2p/<peer id>`.
   *
   * @throws {@link InvalidParametersError} for an unknown name.
   */
  address(name: string): string {
    const node = this.#named(name)
    return `${node.address}/p2p/${node.peer}`
  }

  /**
   * Sets properties of the link between two nodes; those that are not given stay as they are. Packets under way keep their
   * times, and connections their lifetimes.
   *
   * @throws {@link InvalidParametersError} for an unknown name, twice the same one, and for an invalid option.
   */
  link(a: string, b: string, options: LinkOptions): void {
    const [one, other] = this.#pair(a, b)
    const there = this.#path(one, other)
    const link = linkOf(options, there.link)
    there.link = link
    this.#path(other, one).link = link
  }

  /**
   * Stops all packets between two groups of nodes, silently: dials time out, and connections wait for
   * {@link SimulatedNetwork.heal}, until they are lost by `stallTimeout`. In addition to earlier partitions.
   *
   * @throws {@link InvalidParametersError} for an unknown name, one in both groups, an empty group, and for an invalid
   * option.
   */
  partition(from: readonly string[], to: readonly string[], options?: PartitionOptions): void {
    checkOptions(options, PARTITION_CHECKS)
    const [ones, others] = [this.#group(from, 'from'), this.#group(to, 'to')]
    const both = from.find((name) => to.includes(name))
    if (both !== undefined) throw misuse('a node', 'in one of the two groups', both)
    this.#record('partitioned', ones[0]?.name ?? '', others[0]?.name)
    for (const one of ones) {
      for (const other of others) {
        this.#path(one, other).cut()
        if (options?.oneWay !== true) this.#path(other, one).cut()
      }
    }
  }

  /** Ends all partitions. Packets that waited are sent now. */
  heal(): void {
    this.#record('healed')
    for (const path of this.#paths.values()) path.heal()
  }

  /**
   * Ends a node as a crash of its process does: nothing more is sent but the resets by which the others learn of it. Its
   * swarm is closed. Resolves when it is; no virtual time passes.
   *
   * @throws {@link InvalidParametersError} for an unknown name.
   * @throws {@link StateError} if it is down.
   */
  crash(name: string): Promise<void> {
    this.#assertOpen()
    const node = this.#named(name)
    const swarm = this.swarm(name)
    this.#record('crashed', name)
    node.crash()
    return this.#driver.outcome(swarm.close({ drainTimeout: 0 }), WITHIN_MS)
  }

  /**
   * Starts a node that is down again: a new swarm with the same options, key and address. Its handlers are to be
   * registered again.
   *
   * @throws {@link InvalidParametersError} for an unknown name.
   * @throws {@link StateError} if it is not down.
   */
  restart(name: string): Promise<Swarm> {
    this.#assertOpen()
    return this.#named(name).start()
  }

  /**
   * Lets virtual time pass: runs the timers and delivers the packets that are due, in order. Calls at the same time wait
   * side by side.
   *
   * @throws {@link InvalidParametersError} for an invalid duration.
   * @throws {@link StateError} if the network is closed, and if time does not pass for an endless loop of immediates or
   * of timers of 0 ms.
   */
  advance(ms: number): Promise<void> {
    aFiniteDuration(ms, 'ms')
    this.#assertOpen()
    return this.#driver.advance(ms)
  }

  /**
   * Lets virtual time pass until `predicate` returns true. It is called whenever the process has settled; what it throws
   * rejects the call.
   *
   * @throws {@link TimeoutError} if that takes longer than `within`.
   * @throws {@link InvalidParametersError} for an invalid argument.
   * @throws {@link StateError} as {@link SimulatedNetwork.advance}.
   */
  until(predicate: () => boolean, options?: WithinOptions): Promise<void> {
    aFunction(predicate, 'predicate')
    checkOptions(options, WITHIN_CHECKS)
    this.#assertOpen()
    return this.#driver.until(predicate, options?.within ?? WITHIN_MS)
  }

  /**
   * Lets virtual time pass until `promise` settles, and resolves or rejects as it does.
   *
   * @throws {@link TimeoutError} if that takes longer than `within`.
   * @throws {@link InvalidParametersError} for an invalid argument.
   * @throws {@link StateError} as {@link SimulatedNetwork.advance}.
   * @example
   * ```ts
   * const connection = await net.run(a.dial(net.address('b')), { within: 1_000 })
   * ```
   */
  run<T>(promise: Promise<T>, options?: WithinOptions): Promise<T> {
    aPromise(promise, 'promise')
    checkOptions(options, WITHIN_CHECKS)
    this.#assertOpen()
    return this.#driver.outcome(promise, options?.within ?? WITHIN_MS)
  }

  /** Returns the latest events, oldest first, as a copy. */
  trace(): TraceEvent[] {
    return this.#trace.latest()
  }

  /** A hash of all events so far: runs of one program with one seed have the same. */
  get hash(): string {
    return this.#trace.hash
  }

  /** Closes all swarms, at once. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Alias of {@link SimulatedNetwork.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    for (const { latest } of this.#nodes.values()) {
      if (latest === undefined) continue
      // One after another: how long the native thread of each takes to end is a matter of real time.
      await this.#driver.outcome(latest.close({ drainTimeout: 0 }), WITHIN_MS)
    }
  }

  #add(name: string, options: NodeOptions): SimulatedNode {
    this.#assertOpen()
    aString(name, 'name')
    if (name === '') throw misuse('name', 'a name of at least one character', name)
    if (this.#nodes.has(name)) {
      throw new InvalidParametersError(`there is a node ${JSON.stringify(name)} already`)
    }
    if (this.#nodes.size >= NODES_MAX) {
      throw new StateError(`the network has ${NODES_MAX} nodes, its maximum`)
    }
    const node = new SimulatedNode({ name, number: this.#nodes.size + 1 }, options, {
      seed: this.#seed,
      clock: this.#clock,
      places: this.#places,
      record: (event, remote, detail) => this.#record(event, name, remote, detail),
      assertOpen: () => this.#assertOpen(),
      nameOf: (address) => this.#nameOf(address)
    })
    this.#nodes.set(name, node)
    this.#byHost.set(node.host, node)
    return node
  }

  #makePlaces(): Places {
    return {
      clock: this.#clock,
      path: (from, to) => this.#path(from, to),
      at: (host) => this.#byHost.get(host)?.transport,
      hasPacket: (half) => this.#sending.push(half),
      received: (from, to, bytes) => this.#record('received', to, from, bytes),
      lost: (dialler, listener) => this.#record('lost', dialler, listener),
      opened: (conn) => this.#conns(conn).add(conn),
      ended: (conn) => this.#conns(conn).delete(conn),
      dialled: (from, address) => this.#record('dialled', from.name, this.#nameOf(address)),
      refused: (from, address) => this.#record('refused', from.name, this.#nameOf(address)),
      accepted: (by, from) => this.#record('accepted', by.name, from.name)
    }
  }

  #conns({ node }: SimulatedConn): Set<SimulatedConn> {
    return this.#named(node).conns
  }

  /** Sends the packets of this point of time, in the order of their making. */
  #sendAll(): boolean {
    const sending = this.#sending
    if (sending.length === 0) return false
    this.#sending = []
    for (const half of sending) half.send()
    return true
  }

  #path(from: Station, to: Station | undefined): Path {
    // A name has at least one character.
    const key = JSON.stringify([from.name, to?.name ?? ''])
    let path = this.#paths.get(key)
    if (path === undefined) {
      path = new Path(this.#defaults, randomOf(`${this.#seed} path ${key}`))
      this.#paths.set(key, path)
    }
    return path
  }

  /** Returns the name of the node at an address; the address if there is none. */
  #nameOf(address: string): string {
    const host = address.split('/', 3)[2] ?? ''
    return this.#byHost.get(host)?.name ?? address
  }

  #record(event: TraceEventName, node = '', remote = '', detail: number | string = ''): void {
    this.#trace.add({ at: this.elapsed, event, node, remote, detail })
  }

  #named(name: string): SimulatedNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw misuse('name', 'the name of a node', name)
    return node
  }

  #pair(a: string, b: string): [SimulatedNode, SimulatedNode] {
    const pair: [SimulatedNode, SimulatedNode] = [this.#named(a), this.#named(b)]
    if (a === b) throw misuse('the second name', 'that of another node', b)
    return pair
  }

  #group(names: readonly string[], argument: string): SimulatedNode[] {
    anArray(names, argument)
    if (names.length === 0) throw misuse(argument, 'at least one name', names)
    return names.map((name) => this.#named(name))
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StateError('the simulated network is closed')
  }
}
