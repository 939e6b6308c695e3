import { interop, PEERS } from '../support/interop.ts'

await interop(PEERS.js)
