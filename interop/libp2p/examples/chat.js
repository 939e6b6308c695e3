// Two nodes talk in length-prefixed messages over one stream, each in its turn.
import { lpStream } from '@libp2p/utils'
import { noise, tcp, yamux } from 'ferroswarm/libp2p'
import { createLibp2p } from 'libp2p'

const PROTOCOL = '/chat/1.0.0'

async function create() {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()]
  })
}

async function say(messages, text) {
  await messages.write(new TextEncoder().encode(text))
}

async function hear(name, messages) {
  const text = new TextDecoder().decode((await messages.read()).subarray())
  console.log(`${name}: ${text}`)
}

const [alice, bob] = await Promise.all([create(), create()])

const over = new Promise((resolve, reject) => {
  bob.handle(PROTOCOL, async (stream) => {
    try {
      const messages = lpStream(stream)
      for (const answer of ['hello, alice', 'it rains here', 'bye']) {
        await hear('bob hears', messages)
        await say(messages, answer)
      }
      await stream.close()
      resolve()
    } catch (err) {
      reject(err)
    }
  })
})

const stream = await alice.dialProtocol(bob.getMultiaddrs(), PROTOCOL)
const messages = lpStream(stream)
for (const text of ['hello, bob', 'how is the weather?', 'good bye']) {
  await say(messages, text)
  await hear('alice hears', messages)
}
await stream.close()
await over

await Promise.all([alice.stop(), bob.stop()])
