import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { lpStream } from '@libp2p/utils'

export const PROTOCOL = '/files/1.0.0'

const encode = (value) => Buffer.from(JSON.stringify(value))

/** Serves the files of a folder: a request names one, the answer has its size, and its bytes behind it. */
export async function serveFiles(node, folder) {
  await node.handle(PROTOCOL, async (stream) => {
    const messages = lpStream(stream)
    const { name } = JSON.parse((await messages.read()).subarray())
    const path = join(folder, basename(name))
    const found = await stat(path).catch(() => undefined)
    if (found === undefined) {
      await messages.write(encode({ error: `there is no ${name}` }))
      await stream.close()
      return
    }
    await messages.write(encode({ size: found.size }))
    messages.unwrap()
    for await (const chunk of createReadStream(path)) {
      if (!stream.send(chunk)) await stream.onDrain()
    }
    await stream.close()
  })
}
