import { interop } from '../support/interop.ts'

// rust-libp2p has no error codes of streams, and no resets over QUIC.
await interop(
  {
    name: 'rust',
    agent: 'rust-libp2p/0.57.1',
    codeSent: 0,
    codeSeen: null,
    endsInsteadOfReset: true
  },
  { stacks: ['quic'] }
)
