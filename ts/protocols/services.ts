/**
 * Services of a swarm. Each built-in protocol is a module of `protocols/`, loaded when a swarm that runs it starts.
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

/** A component that runs while a swarm is started: registers handlers and listens to events. */
export interface Service {
  /** Called once, after the swarm has started. */
  start(swarm: Swarm): void | Promise<void>
  /** Called once, when the swarm begins to close. `close` waits for it, within its `drainTimeout`. */
  stop(): void | Promise<void>
}

/** Built-in protocols and custom services of a swarm. */
export interface ServiceOptions {
  /** Respond to `/ipfs/ping/1.0.0`. Defaults to true. */
  ping?: boolean
  /** Run identify and identify-push. Defaults to true. */
  identify?: boolean
  /** Respond to `/perf/1.0.0`. Defaults to false. */
  perf?: boolean
  /** Custom services, started after the built-in ones. */
  custom?: readonly Service[]
}

const aService = objectWith('start', 'stop')

const CHECKS: OptionChecks<ServiceOptions> = {
  ping: aBoolean,
  identify: aBoolean,
  perf: aBoolean,
  custom: (value, name) => {
    anArray(value, name)
    // An array, by the check above.
    for (const [index, service] of (value as unknown[]).entries()) {
      aService(service, `${name}[${index}]`)
    }
  }
}

/** @internal The check of the option `services`. */
export const checkServices: Check = (value, name) => {
  // `checkOptions` accepts any value, and throws.
  checkOptions(value as ServiceOptions, CHECKS, name)
}

/** @internal Loads the services of `options`, without starting them. */
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
