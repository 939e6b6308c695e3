import { inPrivateNetwork, interop, PEERS } from '../support/interop.ts'

await interop(PEERS.go, await inPrivateNetwork())
