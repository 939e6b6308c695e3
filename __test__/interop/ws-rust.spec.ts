import { interop } from '../support/interop.ts'

// rust-libp2p has no error codes of streams.
await interop(
  { name: 'rust', agent: 'rust-libp2p/0.57.1', codeSent: 0, codeSeen: null },
  { stacks: ['ws-noise-yamux', 'ws-tls-yamux'] }
)
