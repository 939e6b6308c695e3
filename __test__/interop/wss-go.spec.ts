import { interop, overSecureWebSocket, PEERS } from '../support/interop.ts'

await interop(PEERS.go, await overSecureWebSocket())
