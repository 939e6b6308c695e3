import { RESET_CODE } from '../support/contract.ts'
import { interop } from '../support/interop.ts'
import { peerFiles } from '../support/peer-program.ts'

const { cert, key } = await peerFiles()

await interop(
  { name: 'go', agent: 'go-libp2p/0.51.0', codeSent: RESET_CODE, codeSeen: RESET_CODE },
  {
    stacks: ['wss-noise-yamux'],
    options: { webSocket: { certificate: { cert, key }, roots: cert } },
    flags: { server: ['--cert', cert, '--key', key], client: ['--ca', cert] }
  }
)
