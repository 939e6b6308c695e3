import { inPrivateNetwork, interop, PEERS } from '../support/interop.ts'

await interop(PEERS.js, await inPrivateNetwork())
