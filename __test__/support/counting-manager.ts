/** A resource manager of an application that counts what is open and refuses beyond its limits. */
import { ResourceLimitExceededError } from '../../ts/errors.ts'
import type {
  ConnManagementScope,
  ResourceManager,
  StreamManagementScope
} from '../../ts/resource-manager/interfaces.ts'
import { nullResourceManager, nullScope } from '../../ts/resource-manager/null.ts'

export class CountingManager implements ResourceManager {
  streamsMax = Number.POSITIVE_INFINITY
  /** The scope of its refusals. */
  scope = 'system'
  /** Open streams and connections. */
  streams = 0
  connections = 0
  /** Calls of the manager and its scopes, in order. */
  readonly calls: string[] = []

  /** Called when a stream is admitted. */
  onAdmitted: () => void = () => {}

  readonly viewSystem = nullResourceManager.viewSystem
  readonly viewTransient = nullResourceManager.viewTransient
  readonly viewService = nullResourceManager.viewService
  readonly viewProtocol = nullResourceManager.viewProtocol
  readonly viewPeer = nullResourceManager.viewPeer
  readonly verifySourceAddress = nullResourceManager.verifySourceAddress
  readonly close = nullResourceManager.close

  constructor(limits: { streamsMax?: number } = {}) {
    Object.assign(this, limits)
  }

  openConnection(
    direction: 'inbound' | 'outbound',
    usesFd: boolean,
    endpoint?: unknown
  ): ConnManagementScope {
    this.calls.push(`openConnection ${direction} ${usesFd} ${endpoint}`)
    this.connections += 1
    return {
      ...nullScope,
      setPeer: (peer) => void this.calls.push(`setPeer ${peer}`),
      done: () => {
        this.calls.push('done connection')
        this.connections -= 1
      }
    }
  }

  openStream(peer: unknown, direction: 'inbound' | 'outbound'): StreamManagementScope {
    this.calls.push(`openStream ${peer} ${direction}`)
    if (this.streams >= this.streamsMax) throw this.full()
    this.streams += 1
    this.onAdmitted()
    return {
      ...nullScope,
      setProtocol: (protocol) => void this.calls.push(`setProtocol ${protocol}`),
      done: () => {
        this.calls.push('done stream')
        this.streams -= 1
      }
    }
  }

  /** The refusal of a stream. */
  full(): ResourceLimitExceededError {
    const { streams: current, streamsMax: limit, scope } = this
    return new ResourceLimitExceededError(`${current} streams reach the limit of ${limit}`, {
      scope,
      resource: 'streams',
      limit,
      current
    })
  }

  /** Returns the number of calls that begin with `text`. */
  count(text: string): number {
    return this.calls.filter((call) => call.startsWith(text)).length
  }
}
