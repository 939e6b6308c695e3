import { readFile } from 'node:fs/promises'
import { interop } from '../support/interop.ts'
import { peerFiles } from '../support/peer-program.ts'

const { psk } = await peerFiles()
const flags = ['--psk', psk]

// rust-libp2p has no error codes of streams.
await interop(
  { name: 'rust', agent: 'rust-libp2p/0.57.1', codeSent: 0, codeSeen: null },
  {
    stacks: ['tcp-noise-yamux'],
    options: { psk: await readFile(psk) },
    flags: { server: flags, client: flags }
  }
)
