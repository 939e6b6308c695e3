import { inPrivateNetwork, interop, PEERS } from '../support/interop.ts'

await interop(PEERS.rust, await inPrivateNetwork())
