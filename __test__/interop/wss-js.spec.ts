import { interop } from '../support/interop.ts'
import { peerFiles } from '../support/peer-program.ts'

const { cert, key } = await peerFiles()

// js-libp2p has no error codes of streams.
await interop(
  { name: 'js', agent: 'js-libp2p/3.3.11', codeSent: 0, codeSeen: null },
  {
    stacks: ['wss-noise-yamux'],
    options: { webSocket: { certificate: { cert, key }, roots: cert } },
    flags: { server: ['--cert', cert, '--key', key], client: ['--ca', cert] }
  }
)
