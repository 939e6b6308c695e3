/**
 * `ferroswarm/testing`: a network in memory for tests of applications, with latency, losses, partitions and crashes, in
 * virtual time. See docs/simulation.md.
 */
export { InvalidParametersError, StateError, TimeoutError } from '../errors.ts'
export { type SimulatedNetwork, simulate } from './network.ts'
export type {
  LinkOptions,
  NodeOptions,
  PartitionOptions,
  SimulationOptions,
  WithinOptions
} from './options.ts'
export type { TraceEvent, TraceEventName } from './trace.ts'
