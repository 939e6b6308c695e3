/** The `yamux` crate as our engine; it reports no codes. */
import { interop } from '../support/interop.ts'

await interop(
  { name: 'rust', agent: 'rust-libp2p/0.57.1', codeSent: 0, codeSeen: null },
  { muxer: 'yamux-crate' }
)
