/** Where a peerstore is kept: a map of records by the text of their peers. */

/** A record of a peer by the text of its id. */
export type StoredRecord = readonly [peer: string, record: Uint8Array]

/** Storage for the records of a peerstore. Its errors are `PeerstoreError`s. Commits do not overlap. */
export interface Backend {
  /** Opens it. Nothing else is called before, or if this fails. */
  open(): Promise<void>
  /** Yields all records, some at a time. */
  load(): AsyncIterable<Iterable<StoredRecord>>
  /** Stores records, and removes those that are undefined; resolves once that is durable. */
  commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void>
  close(): Promise<void>
}
