/**
 * `ferroswarm/testing`: a network in memory for tests of applications, with latency, losses, partitions and crashes, in
 * virtual time. See docs/simulation.md.
 */
export type { LinkOptions } from './link.ts'
export {
  type PartitionOptions,
  type SimulatedNetwork,
  type SimulationOptions,
  simulate,
  type WithinOptions
} from './network.ts'
export type { NodeOptions } from './node.ts'
export type { TraceEvent, TraceEventName } from './trace.ts'
