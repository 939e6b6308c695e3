/** The options of simulated networks: types, and checks. */
import {
  aBoolean,
  anObject,
  type Check,
  integer,
  misuse,
  type OptionChecks
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { InvalidParametersError } from '../errors.ts'
import type { SwarmOptions } from '../swarm/options.ts'

/** @internal Events that the trace keeps by default, some MB. */
export const TRACE_EVENTS = 10_000

const TRACE_EVENTS_MAX = 10_000_000

/** The properties of a link, the same in both directions. All optional. */
export interface LinkOptions {
  /** Milliseconds of a packet in one direction. Defaults to 10. */
  latency?: number
  /** Up to so many more milliseconds, drawn for each packet, in whole microseconds. Packets keep their order. Defaults to 0. */
  jitter?: number
  /** Bytes per second in each direction, shared by the connections of the link; `Infinity` for no bound, the default. */
  bandwidth?: number
  /** Probability that a dial is answered by a reset instead of a connection. Defaults to 0. */
  dialFailure?: number
  /**
   * Losses per hour of a connection: the time until one is lost is drawn at its beginning, from an exponential
   * distribution. Both ends see a reset. Defaults to 0.
   */
  lossPerHour?: number
  /**
   * Milliseconds after which the connections across a partition are lost, as by the keepalive of a muxer: until then they
   * wait for {@link SimulatedNetwork.heal}. Defaults to 40,000.
   */
  stallTimeout?: number
}

/** @internal */
export const aFiniteDuration: Check = (value, name) => {
  if (typeof value === 'number' && value >= 0 && value <= TIMER_MS_MAX) return
  throw misuse(name, `a duration of 0 to ${TIMER_MS_MAX} ms`, value)
}

const aProbability: Check = (value, name) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw misuse(name, 'a probability between 0 and 1', value)
  }
}

const aRate: Check = (value, name) => {
  if (typeof value !== 'number' || !(value >= 0) || value === Number.POSITIVE_INFINITY) {
    throw misuse(name, 'a number of 0 or more', value)
  }
}

const aBandwidth: Check = (value, name) => {
  if (typeof value !== 'number' || !(value > 0)) {
    throw misuse(name, 'bytes per second, more than 0', value)
  }
}

/** @internal Checks of the properties of a link, for the options that include them. */
export const LINK_CHECKS: OptionChecks<LinkOptions> = {
  latency: aFiniteDuration,
  jitter: aFiniteDuration,
  bandwidth: aBandwidth,
  dialFailure: aProbability,
  lossPerHour: aRate,
  stallTimeout: aFiniteDuration
}

/** Options of `simulate`: the seed, and the properties of links that `link} does not set. */
export interface SimulationOptions extends LinkOptions {
  /** Whatever is random follows from it: identities, jitter, losses, and the `random` of the swarms. Defaults to 0. */
  seed?: number
  /** Number of the latest events that `trace} returns. Defaults to 10,000. */
  traceEvents?: number
}

/** Options of `partition}. */
export interface PartitionOptions {
  /** Whether only packets from the first group to the second are stopped. Defaults to false: both directions. */
  oneWay?: boolean
}

/** Options of `until} and `run}. */
export interface WithinOptions {
  /** Milliseconds of virtual time after which the call rejects with `TimeoutError`. Defaults to 60,000. */
  within?: number
}

/** @internal */
export const SIMULATION_CHECKS: OptionChecks<SimulationOptions> = {
  ...LINK_CHECKS,
  seed: integer(Number.MIN_SAFE_INTEGER),
  traceEvents: integer(0, TRACE_EVENTS_MAX)
}

/** @internal */
export const PARTITION_CHECKS: OptionChecks<PartitionOptions> = { oneWay: aBoolean }

/** @internal */
export const WITHIN_CHECKS: OptionChecks<WithinOptions> = { within: aFiniteDuration }

/** Options that the network gives to its swarms, and those of sockets and bytes that a simulation does not have. */
const NOT_GIVEN = [
  'clock',
  'random',
  'transports',
  'quic',
  'webSocket',
  'psk',
  'privateKey',
  'peerId',
  'muxers',
  'security',
  'ioThreads',
  'busyPoll'
] as const

/** Options of a node: those of a swarm but for what the network sets, and for what it does not have. */
export type NodeOptions = Omit<SwarmOptions, (typeof NOT_GIVEN)[number]>

/** @internal Refuses the options that the network sets. */
export function checkGiven(given: NodeOptions): void {
  anObject(given, 'options')
  const name = NOT_GIVEN.find((option) => (given as SwarmOptions)[option] !== undefined)
  if (name === undefined) return
  throw new InvalidParametersError(`the option ${name} is set by the simulated network`)
}
