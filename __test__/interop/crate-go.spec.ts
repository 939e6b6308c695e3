/** The `yamux` crate as our engine; it reports no codes. */
import { interop, PEERS } from '../support/interop.ts'

await interop({ ...PEERS.go, codeSent: 0 }, { muxer: 'yamux-crate' })
