// Framing and negotiation by themselves, in memory: what ferroswarm/io and its multistream-select take in JavaScript.

import { Multiselect, MultiselectClient, MultiselectCommunicator } from '../../../dist/index.js'
import { VarintMsgReadWriter } from '../../../dist/io/index.js'
import { startWatch } from '../measure.mjs'

const PROTOCOL = '/bench/micro/1.0.0'
/** Messages that are written before they are read: some pages of memory, as a socket would give them. */
const BATCH = 100

export const MICRO = { frames, negotiations }

/** Messages behind varints, written and read again. */
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

/** A header and a proposal each way, until both have agreed. */
async function negotiations({ n }) {
  const [client, server] = [new MultiselectClient(), new Multiselect([[PROTOCOL, () => {}]])]
  const watch = startWatch()
  for (let done = 0; done < n; done += 1) {
    const [near, far] = carriers().map((carrier) => new MultiselectCommunicator(carrier))
    const [chosen, [served]] = await Promise.all([
      client.selectOneOf([PROTOCOL], near),
      server.negotiate(far)
    ])
    if (chosen !== served) throw new Error(`${chosen} and ${served} were agreed on`)
  }
  return watch.stop(n, 0)
}

/** Two carriers in memory that are each other's remote. */
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
