import { setTimeout as sleep } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'

const PREFIX = '/library/'
const TRIES = 5

/** What a table of peers does not know yet it may know a moment later. */
export async function repeated(task) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await task()
    } catch (err) {
      if (tries === TRIES) throw err
      await sleep(300)
    }
  }
}

/** Texts that are found by their content: each node offers its own, and fetches those of others. */
export class Library {
  #node
  #texts = new Map()

  constructor(node) {
    this.#node = node
    node.services.fetch.registerLookupFunction(PREFIX, async (key) => {
      const text = this.#texts.get(new TextDecoder().decode(key).slice(PREFIX.length))
      return text === undefined ? undefined : new TextEncoder().encode(text)
    })
  }

  /** Offers a text; resolves to its identifier. */
  async publish(text) {
    const cid = CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(text)))
    this.#texts.set(`${cid}`, text)
    await this.#node.contentRouting.provide(cid, { signal: AbortSignal.timeout(30_000) })
    return cid
  }

  /** Fetches a text from the first peer that has it. */
  async read(cid) {
    return this.#texts.get(`${cid}`) ?? (await repeated(() => this.#fetch(cid)))
  }

  async #fetch(cid) {
    const signal = AbortSignal.timeout(30_000)
    const failures = []
    for await (const provider of this.#node.contentRouting.findProviders(cid, { signal })) {
      if (provider.id.equals(this.#node.peerId)) continue
      try {
        const bytes = await this.#node.services.fetch.fetch(provider.id, `${PREFIX}${cid}`, {
          signal
        })
        if (bytes !== undefined) return new TextDecoder().decode(bytes)
      } catch (err) {
        failures.push(err)
      }
    }
    throw new AggregateError(failures, `nobody has ${cid}`)
  }
}
