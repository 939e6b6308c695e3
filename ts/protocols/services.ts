/**
 * The seam of the built-in protocols: each is a module of `protocols/`, loaded when a swarm that wants it starts.
 */
import {
  aBoolean,
  anArray,
  type Check,
  checkOptions,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import type { Swarm } from '../swarm.ts'

/** Something that lives as long as a started swarm: it registers handlers and listens to events. */
export interface Service {
  /** Called once, with the swarm started. */
  start(swarm: Swarm): void | Promise<void>
  /** Called once, before the swarm closes its connections, which waits for it within its `drainTimeout`. */
  stop(): void | Promise<void>
}

/** Which built-in protocols a swarm runs, and further services of the application's own. */
export interface ServiceOptions {
  /** Answer `/ipfs/ping/1.0.0`. On unless false. */
  ping?: boolean
  /** Run identify and identify-push. On unless false. */
  identify?: boolean
  /** Answer `/perf/1.0.0`. Off unless true. */
  perf?: boolean
  /** Started after the built-in ones. */
  custom?: readonly Service[]
}

const aService = objectWith('start', 'stop')

const CHECKS: OptionChecks<ServiceOptions> = {
  ping: aBoolean,
  identify: aBoolean,
  perf: aBoolean,
  custom: (value, name) => {
    anArray(value, name)
    // It is one by now.
    for (const [index, service] of (value as unknown[]).entries()) {
      aService(service, `${name}[${index}]`)
    }
  }
}

/** @internal The check of the option `services`. */
export const checkServices: Check = (value, name) => {
  // Any value is checked.
  checkOptions(value as ServiceOptions, CHECKS, name)
}

/** @internal The services that `options` ask for, not started yet. */
export async function loadServices(options: ServiceOptions): Promise<Service[]> {
  const [ping, identify, perf] = await Promise.all([
    options.ping === false ? undefined : import('./ping.ts'),
    options.identify === false ? undefined : import('./identify.ts'),
    options.perf === true ? import('./perf.ts') : undefined
  ])
  const services: Service[] = []
  if (ping !== undefined) services.push(new ping.PingService())
  if (identify !== undefined) services.push(new identify.IdentifyService())
  if (perf !== undefined) services.push(new perf.PerfService())
  return [...services, ...(options.custom ?? [])]
}
