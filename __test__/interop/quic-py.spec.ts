import { interop } from '../support/interop.ts'

// py-libp2p has no error codes of streams.
await interop(
  { name: 'py', agent: 'py-libp2p/0.8.1', codeSent: 0, codeSeen: null },
  { stacks: ['quic'] }
)
