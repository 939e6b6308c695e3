/** Refusals by limits, as swarms report them. */
import type { LimitDetail, ResourceLimitExceededError, Swarm } from '../../ts/index.ts'

/** Records the details of the event `limit` of a swarm. */
export function refusalsOf(swarm: Swarm): LimitDetail[] {
  const details: LimitDetail[] = []
  swarm.addEventListener('limit', ({ detail }) => void details.push(detail))
  return details
}

/** The fields of a refusal that a test compares; holders and stack are not among them. */
export function fieldsOf(error: ResourceLimitExceededError | undefined) {
  if (error === undefined) return undefined
  const { scope, resource, limit, current, requested, priority, option, kind, temporary } = error
  return { scope, resource, limit, current, requested, priority, option, kind, temporary }
}

/** The fields of a refusal of one connection or stream by a limit, of which all is in use. */
export function full(scope: string, resource: string, limit: number, option: string) {
  return {
    scope,
    resource,
    limit,
    current: limit,
    requested: 1,
    priority: 255,
    option,
    kind: 'limit' as const,
    temporary: true as const
  }
}
