/** The `yamux` crate as our engine. */
import { interop, PEERS } from '../support/interop.ts'

await interop(PEERS.js, { muxer: 'yamux-crate' })
