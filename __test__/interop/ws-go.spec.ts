import { RESET_CODE } from '../support/contract.ts'
import { interop } from '../support/interop.ts'

await interop(
  { name: 'go', agent: 'go-libp2p/0.51.0', codeSent: RESET_CODE, codeSeen: RESET_CODE },
  { stacks: ['ws-noise-yamux', 'ws-tls-yamux'] }
)
