/** A peerstore in a file: the native store, whose commits are on the disk when they resolve. */
import {
  ERROR_CODES,
  PeerstoreCorruptError,
  PeerstoreError,
  PeerstoreLockedError
} from '../errors.ts'
import type { CommandResult, NativeStore } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import { environment } from '../native/environment.ts'
import type { RequestId } from '../native/handles.ts'
import type { Backend, StoredRecord } from './backend.ts'

/** In place of the length of a record: it is to be removed. */
const DELETED = 0xffffffff

/** Bytes of the two lengths in front of each key and record. */
const HEAD_BYTES = 8

/** Peer ids are ASCII; any other keys are read and written as their bytes. */
const KEY_ENCODING = 'latin1'

/** {@link Backend} over a file. */
export class NativeBackend implements Backend {
  readonly #path: string
  readonly #warn: (line: string) => void
  #store: NativeStore | undefined

  constructor(path: string, warn: (line: string) => void) {
    this.#path = path
    this.#warn = warn
  }

  async open(): Promise<void> {
    const engine = environment()
    const { native } = engine
    const { page } = await this.#command((request) => {
      this.#store = new native.NativeStore(engine.hot.attachment, request, this.#path)
    })
    if (page === undefined || page.length === 0) return
    const path = JSON.stringify(this.#path)
    this.#warn(
      `the peerstore ${path} was damaged and is repaired: the latest writes may be missing`
    )
  }

  async *load(): AsyncGenerator<Iterable<StoredRecord>> {
    let after: Uint8Array | undefined
    for (;;) {
      const { page } = await this.#command((request, store) => store.load(request, after))
      if (page === undefined || page.length === 0) return
      const records = recordsOf(page)
      yield records
      // A page that is not empty has a last one. A damaged file may have any bytes in its place.
      after = Buffer.from(records.at(-1)?.[0] ?? '', KEY_ENCODING)
    }
  }

  async commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    const batch = batchOf(changes)
    await this.#command((request, store) => store.commit(request, batch))
  }

  async close(): Promise<void> {
    await this.#command((request, store) => store.close(request))
  }

  async #command(begin: (request: RequestId, store: NativeStore) => void): Promise<CommandResult> {
    const taking = { takeResult: (request: RequestId) => this.#opened.takeResult(request) }
    try {
      return await environment().command(taking, (request) =>
        begin(request, this.#store as NativeStore)
      ).result
    } catch (err) {
      throw this.#failure(err)
    }
  }

  get #opened(): NativeStore {
    if (this.#store === undefined) throw new PeerstoreError('the peerstore is not open')
    return this.#store
  }

  #failure(err: unknown): unknown {
    if (!(err instanceof CommandError)) return err
    const path = this.#path
    const { code } = err.result
    const message = `the peerstore ${JSON.stringify(path)} cannot be used: ${err.message}`
    const options = { path }
    if (code === ERROR_CODES.ERR_PEERSTORE_LOCKED) return new PeerstoreLockedError(message, options)
    if (code === ERROR_CODES.ERR_PEERSTORE_CORRUPT)
      return new PeerstoreCorruptError(message, options)
    return new PeerstoreError(message, options)
  }
}

/** Encodes changes as the native side reads them: see `crates/store/src/batch.rs`. */
function batchOf(changes: ReadonlyMap<string, Uint8Array | undefined>): Uint8Array {
  const parts: Uint8Array[] = []
  for (const [peer, record] of changes) {
    const head = Buffer.allocUnsafe(HEAD_BYTES)
    head.writeUInt32LE(peer.length, 0)
    head.writeUInt32LE(record?.length ?? DELETED, 4)
    parts.push(head, Buffer.from(peer, KEY_ENCODING))
    if (record !== undefined) parts.push(record)
  }
  return Buffer.concat(parts)
}

function recordsOf(page: Uint8Array): StoredRecord[] {
  const bytes = Buffer.from(page.buffer, page.byteOffset, page.length)
  const records: StoredRecord[] = []
  for (let at = 0; at < bytes.length; ) {
    const start = at + HEAD_BYTES
    const middle = start + bytes.readUInt32LE(at)
    at = middle + bytes.readUInt32LE(start - 4)
    records.push([bytes.toString(KEY_ENCODING, start, middle), bytes.subarray(middle, at)])
  }
  return records
}
