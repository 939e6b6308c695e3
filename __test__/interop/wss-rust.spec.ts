import { interop } from '../support/interop.ts'
import { peerFiles } from '../support/peer-program.ts'

const { cert, key } = await peerFiles()

// rust-libp2p has no error codes of streams.
await interop(
  { name: 'rust', agent: 'rust-libp2p/0.57.1', codeSent: 0, codeSeen: null },
  {
    stacks: ['wss-noise-yamux'],
    options: { webSocket: { certificate: { cert, key }, roots: cert } },
    flags: { server: ['--cert', cert, '--key', key], client: ['--ca', cert] }
  }
)
