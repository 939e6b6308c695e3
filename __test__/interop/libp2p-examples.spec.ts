/** Programs of js-libp2p, with the components of ferroswarm/libp2p and with stock ones: their imports alone differ. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { libp2pPrograms } from '../support/libp2p-programs.ts'

const PRINTED: Readonly<Record<string, string>> = {
  echo: 'echo: hey\n',
  chat: [
    'bob hears: hello, bob',
    'alice hears: hello, alice',
    'bob hears: how is the weather?',
    'alice hears: it rains here',
    'bob hears: good bye',
    'alice hears: bye',
    ''
  ].join('\n'),
  pubsub: 'received: apple, banana, car, orange\n',
  relay: 'hello from behind the relay\n'
}

const OURS = "import { noise, tcp, yamux } from 'ferroswarm/libp2p'\n"
const STOCK = [
  "import { noise } from '@libp2p/noise'",
  "import { tcp } from '@libp2p/tcp'",
  "import { yamux } from '@libp2p/yamux'",
  ''
].join('\n')

await libp2pPrograms((run, folder) => {
  for (const [name, printed] of Object.entries(PRINTED)) {
    const path = join('examples', `${name}.js`)
    test(`${name} with our components`, async (t) => {
      t.deepEqual(await run([path]), { code: 0, out: printed, err: '' })
    })

    test(`${name} with stock components`, async (t) => {
      const text = await readFile(join(folder, path), 'utf8')
      t.true(text.includes(OURS))
      const stock = join('examples', `${name}.stock.js`)
      await writeFile(join(folder, stock), text.replace(OURS, STOCK))
      t.deepEqual(await run([stock]), { code: 0, out: printed, err: '' })
    })
  }
})
