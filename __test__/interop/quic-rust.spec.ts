import { interop, PEERS } from '../support/interop.ts'

// rust-libp2p has no resets over QUIC.
await interop({ ...PEERS.rust, endsInsteadOfReset: true }, { stacks: ['quic'] })
