/** The interfaces of resource managers: the null ones implement them, and a mock of each compiles. */
import {
  type ConnManagementScope,
  type ConnScope,
  nullResourceManager,
  nullScope,
  type PeerScope,
  type ProtocolScope,
  type ResourceManager,
  type ResourceScope,
  type ResourceScopeSpan,
  type ResourceScopeViewer,
  type ScopeStat,
  type ServiceScope,
  type StreamManagementScope,
  type StreamScope,
  type Swarm
} from '../../ts/index.ts'

declare const swarm: Swarm

const ours: [ResourceManager, ResourceScopeViewer] = [nullResourceManager, nullResourceManager]
const scopes: [
  ResourceScope,
  ResourceScopeSpan,
  ConnManagementScope,
  ConnScope,
  StreamManagementScope,
  StreamScope
] = [nullScope, nullScope, nullScope, nullScope, nullScope, nullScope]

const stat: ScopeStat = {
  numStreamsInbound: 0,
  numStreamsOutbound: 0,
  numConnsInbound: 0,
  numConnsOutbound: 0,
  numFD: 0,
  memory: 0
}
const scope: ResourceScope = {
  stat,
  reserveMemory(size: number, priority: number) {
    if (size * priority < 0) throw new RangeError()
  },
  releaseMemory: (_size: number) => {},
  beginSpan: () => span
}
const span: ResourceScopeSpan = { ...scope, done: () => {}, [Symbol.dispose]: () => {} }
const peerScope: PeerScope = { ...scope, peer: swarm.peerId }
const protocolScope: ProtocolScope = { ...scope, protocol: '/a' }
const serviceScope: ServiceScope = { ...scope, name: 'a' }
const connection: ConnManagementScope = { ...span, peerScope, setPeer: (peer) => void `${peer}` }
const stream: StreamManagementScope = {
  ...span,
  peerScope,
  protocolScope,
  serviceScope: undefined,
  setProtocol: (protocol) => void protocol.length,
  setService: (service) => void service.length
}

class Manager implements ResourceManager {
  openConnection(direction: 'inbound' | 'outbound', usesFd: boolean): ConnManagementScope {
    return direction === 'inbound' && usesFd ? connection : nullScope
  }

  openStream(): StreamManagementScope {
    return stream
  }

  viewSystem<T>(view: (scope: ResourceScope) => T): T {
    return view(scope)
  }

  viewTransient<T>(view: (scope: ResourceScope) => T): T {
    return view(scope)
  }

  viewService<T>(_: string, view: (scope: ServiceScope) => T): T {
    return view(serviceScope)
  }

  viewProtocol<T>(_: string, view: (scope: ProtocolScope) => T): T {
    return view(protocolScope)
  }

  viewPeer<T>(_: unknown, view: (scope: PeerScope) => T): T {
    return view(peerScope)
  }

  verifySourceAddress(address: string): boolean {
    return address === ''
  }

  close(): void {}
}

const viewed: number = new Manager().viewSystem(({ stat }) => stat.memory)
swarm.setResourceManager(new Manager(), { streamSemaphore: false })
swarm.setResourceManager(null)
// @ts-expect-error every method is required
swarm.setResourceManager({ openStream: () => nullScope })
// @ts-expect-error a promise is not a scope
swarm.setResourceManager({ ...nullResourceManager, openStream: async () => nullScope })

export type Checked = [typeof ours, typeof scopes, typeof viewed]
