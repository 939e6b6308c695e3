// Framing and negotiation alone, in memory: ferroswarm/io and its multistream-select in JavaScript.

import { Multiselect, MultiselectClient, MultiselectCommunicator } from '../../../dist/index.js'
import { VarintMsgReadWriter } from '../../../dist/io/index.js'
import { startWatch } from '../measure.mjs'

const PROTOCOL = '/bench/micro/1.0.0'
/** Messages written before they are read: a few pages of memory, as a socket would deliver. */
const BATCH = 100

export const MICRO = { frames, negotiations }

/** Writes and reads varint-prefixed messages. */
async function frames({ n, bytes }) {
  const [near, far] = carriers()
  const [writer, reader] = [new VarintMsgReadWriter(near), new VarintMsgReadWriter(far)]
  const message = new Uint8Array(bytes)
  const watch = startWatch()
  for (let done = 0; done < n; done += BATCH) {
    const count = Math.min(BATCH, n - done)
    for (let index = 0; index < count; index += 1) await writer.writeMsg(message)
    for (let index = 0; index < count; index += 1) {
      if ((await reader.readMsg()).length !== bytes) throw new Error('a message differs')
    }
  }
  return watch.stop(n, n * bytes)
}

/** Exchanges headers and proposals until both sides have agreed. */
async function negotiations({ n }) {
  const [client, server] = [new MultiselectClient(), new Multiselect([[PROTOCOL, () => {}]])]
  const watch = startWatch()
  for (let done = 0; done < n; done += 1) {
    const [near, far] = carriers().map((carrier) => new MultiselectCommunicator(carrier))
    const [chosen, [served]] = await Promise.all([
      client.selectOneOf([PROTOCOL], near),
      server.negotiate(far)
    ])
    if (chosen !== served)
      throw new Error(`the client agreed on ${chosen}, the server on ${served}`)
  }
  return watch.stop(n, 0)
}

/** Returns two in-memory carriers, each the other's remote. */
function carriers() {
  const [near, far] = [new Carrier(), new Carrier()]
  near.remote = far
  far.remote = near
  return [near, far]
}

class Carrier {
  remote
  #chunks = []
  #wake

  async read(n = Number.POSITIVE_INFINITY) {
    while (this.#chunks.length === 0) {
      await new Promise((resolve) => {
        this.#wake = resolve
      })
    }
    const [chunk] = this.#chunks
    if (chunk.length <= n) return this.#chunks.shift()
    this.#chunks[0] = chunk.subarray(n)
    return chunk.subarray(0, n)
  }

  async write(bytes) {
    this.remote.#chunks.push(bytes)
    this.remote.#wake?.()
  }

  async close() {}
}
