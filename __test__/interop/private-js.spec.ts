import { readFile } from 'node:fs/promises'
import { interop } from '../support/interop.ts'
import { peerFiles } from '../support/peer-program.ts'

const { psk } = await peerFiles()
const flags = ['--psk', psk]

// js-libp2p has no error codes of streams.
await interop(
  { name: 'js', agent: 'js-libp2p/3.3.11', codeSent: 0, codeSeen: null },
  {
    stacks: ['tcp-noise-yamux'],
    options: { psk: await readFile(psk) },
    flags: { server: flags, client: flags }
  }
)
