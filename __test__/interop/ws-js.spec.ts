import { interop } from '../support/interop.ts'

// js-libp2p has no error codes of streams.
await interop(
  { name: 'js', agent: 'js-libp2p/3.3.11', codeSent: 0, codeSeen: null },
  { stacks: ['ws-noise-yamux', 'ws-tls-yamux'] }
)
