import { interop, PEERS } from '../support/interop.ts'

await interop(PEERS.go, { stacks: ['ws-noise-yamux', 'ws-tls-yamux'] })
