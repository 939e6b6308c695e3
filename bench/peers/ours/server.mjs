// The handlers of the contract except ping and identify, which are built into the swarm.

import { StreamEOFError } from '../../../dist/index.js'
import { BLOCK_BYTES, readU64, u64 } from '../bulk.mjs'
import { readFully, receive, send } from './transfer.mjs'

export const PROTOCOLS = {
  bulk: '/bench/bulk/1.0.0',
  rr: '/bench/rr/1.0.0',
  msgs: '/bench/msgs/1.0.0',
  echo: '/bench/echo/1.0.0',
  reset: '/bench/reset/1.0.0',
  lp: '/bench/lp/1.0.0'
}

const PREFIX_BYTES = 4
/** Maximum payload, which bounds what a length prefix makes the server allocate. */
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
const RESET_CODE = 42

export function serve(swarm) {
  swarm.handle(PROTOCOLS.bulk, answerBulk)
  swarm.handle(PROTOCOLS.rr, answerRequest)
  swarm.handle(PROTOCOLS.msgs, countMessages)
  swarm.handle(PROTOCOLS.echo, echo)
  swarm.handle(PROTOCOLS.reset, reset)
  swarm.handle(PROTOCOLS.lp, countLengthPrefixed)
}

async function answerBulk(stream) {
  const wanted = await readFully(stream, new Uint8Array(8))
  await stream.write(u64(await receive(stream)))
  await send(stream, readU64(wanted))
  await stream.close()
}

async function answerRequest(stream) {
  const request = await stream.read({ maxBytes: PREFIX_BYTES + PAYLOAD_BYTES_MAX })
  const length = new DataView(request.buffer, request.byteOffset).getUint32(0)
  if (request.length !== PREFIX_BYTES + length) throw new Error('a request of another length')
  if (length > 0) await stream.write(request.subarray(PREFIX_BYTES))
  await stream.close()
}

async function countMessages(stream) {
  const messages = stream.messages({ framing: 'fixed32', maxMessageBytes: PAYLOAD_BYTES_MAX })
  let count = 0
  await messages.onBatch((batch) => {
    count += batch.count
  })
  await stream.write(u64(count))
  await stream.close()
}

async function countLengthPrefixed(stream) {
  const messages = stream.messages()
  const head = await messages.readMsg()
  const wanted = readU64(head)
  let count = 0
  await messages.onBatch(async (batch) => {
    for (const message of batch) count += message.length > 0 ? 1 : 0
    if (count < wanted) return
    await messages.writeMsg(u64(count))
    await messages.close()
  })
}

async function echo(stream) {
  const block = new Uint8Array(BLOCK_BYTES)
  for (;;) {
    try {
      const length = await stream.readInto(block)
      await stream.write(block.subarray(0, length))
    } catch (err) {
      if (!(err instanceof StreamEOFError)) throw err
      await stream.close()
      return
    }
  }
}

async function reset(stream) {
  await stream.read(1)
  await stream.reset(RESET_CODE)
}
