/** The `yamux` crate as our engine; it reports no codes. */
import { RESET_CODE } from '../support/contract.ts'
import { interop } from '../support/interop.ts'

await interop(
  { name: 'go', agent: 'go-libp2p/0.51.0', codeSent: 0, codeSeen: RESET_CODE },
  { muxer: 'yamux-crate' }
)
