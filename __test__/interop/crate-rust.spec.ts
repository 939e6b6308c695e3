/** The `yamux` crate as our engine. */
import { interop, PEERS } from '../support/interop.ts'

await interop(PEERS.rust, { muxer: 'yamux-crate' })
