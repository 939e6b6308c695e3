import { interop, PEERS } from '../support/interop.ts'

await interop(PEERS.rust, { stacks: ['ws-noise-yamux', 'ws-tls-yamux'] })
