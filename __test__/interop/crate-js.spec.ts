/** The `yamux` crate as our engine; it reports no codes. */
import { interop } from '../support/interop.ts'

await interop(
  { name: 'js', agent: 'js-libp2p/3.3.11', codeSent: 0, codeSeen: null },
  { muxer: 'yamux-crate' }
)
