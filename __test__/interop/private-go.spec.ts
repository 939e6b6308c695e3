import { readFile } from 'node:fs/promises'
import { RESET_CODE } from '../support/contract.ts'
import { interop } from '../support/interop.ts'
import { peerFiles } from '../support/peer-program.ts'

const { psk } = await peerFiles()
const flags = ['--psk', psk]

await interop(
  { name: 'go', agent: 'go-libp2p/0.51.0', codeSent: RESET_CODE, codeSeen: RESET_CODE },
  {
    stacks: ['tcp-noise-yamux'],
    options: { psk: await readFile(psk) },
    flags: { server: flags, client: flags }
  }
)
