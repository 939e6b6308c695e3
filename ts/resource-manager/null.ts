/** A resource manager that refuses nothing and counts nothing. */
import { type Check, objectWith } from '../base/arguments.ts'
import { peerIdOf, peerText } from '../identity/peer-id.ts'
import type {
  ConnManagementScope,
  ConnScope,
  ResourceManager,
  ScopeStat,
  StreamManagementScope,
  StreamScope
} from './interfaces.ts'

const UNUSED: ScopeStat = Object.freeze({
  numStreamsInbound: 0,
  numStreamsOutbound: 0,
  numConnsInbound: 0,
  numConnsOutbound: 0,
  numFD: 0,
  memory: 0
})

/**
 * The scope of {@link nullResourceManager}: a connection's and a stream's. Never refuses; its usage is always 0, and its
 * end has no effect. Its methods may be spread into other scopes.
 */
export const nullScope: ConnManagementScope & StreamManagementScope & ConnScope & StreamScope =
  Object.freeze({
    stat: UNUSED,
    peerScope: undefined,
    protocolScope: undefined,
    serviceScope: undefined,
    reserveMemory: () => {},
    releaseMemory: () => {},
    beginSpan: () => nullScope,
    setPeer: () => {},
    setProtocol: () => {},
    setService: () => {},
    done: () => {},
    [Symbol.dispose]: () => {}
  })

/** A {@link ResourceManager} that never refuses. Its methods may be spread into managers that implement only some. */
export const nullResourceManager: ResourceManager = Object.freeze<ResourceManager>({
  openConnection: () => nullScope,
  openStream: () => nullScope,
  viewSystem: (view) => view(nullScope),
  viewTransient: (view) => view(nullScope),
  viewService: (name, view) => view({ ...nullScope, name }),
  viewProtocol: (protocol, view) => view({ ...nullScope, protocol }),
  viewPeer: (peer, view) => view({ ...nullScope, peer: peerIdOf(peerText(peer)) }),
  verifySourceAddress: () => false,
  close: () => {}
})

/** @internal A resource manager: an object of any class with all methods of the interface. */
export const aResourceManager: Check = objectWith(...Object.keys(nullResourceManager))
