/** A peerstore in a datastore of js-libp2p: any `interface-datastore`, with the keys and records of its peer store. */
import { createRequire } from 'node:module'
import { InvalidParametersError, PeerstoreError } from '../errors.ts'
import { loadPeerIds } from '../identity/load.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { Backend, StoredRecord } from './backend.ts'
import type { DatastoreKey, DatastoreLike } from './interfaces.ts'

/** In front of the CID of each peer, as in js. */
const PREFIX = '/peers/'

/** Records that are passed on at a time. */
const PAGE_RECORDS = 1_000

const require = createRequire(import.meta.url)

/** {@link Backend} over a datastore, which its owner opens and closes. */
export class DatastoreBackend implements Backend {
  readonly #datastore: DatastoreLike
  #makeKey: (text: string) => DatastoreKey = () => {
    throw new PeerstoreError('the peerstore is not open')
  }

  constructor(datastore: DatastoreLike) {
    this.#datastore = datastore
  }

  open(): Promise<void> {
    const { Key } = loadKey()
    this.#makeKey = (text) => new Key(text)
    return Promise.resolve()
  }

  async *load(): AsyncGenerator<Iterable<StoredRecord>> {
    let page: StoredRecord[] = []
    try {
      for await (const { key, value } of this.#datastore.query({ prefix: PREFIX })) {
        page.push([peerOf(`${key}`), value])
        if (page.length < PAGE_RECORDS) continue
        yield page
        page = []
      }
    } catch (err) {
      throw failure(err)
    }
    yield page
  }

  async commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    try {
      const batch = this.#datastore.batch()
      for (const [peer, record] of changes) {
        const key = this.#makeKey(`${PREFIX}${peerIdOf(peer).toCID()}`)
        if (record === undefined) batch.delete(key)
        else batch.put(key, record)
      }
      await batch.commit()
    } catch (err) {
      throw failure(err)
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Returns the peer of a key; the key itself if it has none, which no record can have as its peer. */
function peerOf(key: string): string {
  try {
    return loadPeerIds().peerIdFromString(key.slice(PREFIX.length)).toString()
  } catch {
    return key
  }
}

function failure(cause: unknown): PeerstoreError {
  if (cause instanceof PeerstoreError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PeerstoreError(`the datastore of the peerstore failed: ${reason}`, { cause })
}

/** Loads the class of keys, which datastores expect. It comes with them. */
function loadKey(): { Key: new (text: string) => DatastoreKey } {
  try {
    return require('interface-datastore/key') as { Key: new (text: string) => DatastoreKey }
  } catch (cause) {
    throw new InvalidParametersError(
      'a peerstore in a datastore needs the package interface-datastore: npm install interface-datastore',
      { cause }
    )
  }
}
