import test, { type ExecutionContext } from 'ava'
import { ADDRESS_TTL_PERMANENT, ADDRESS_TTL_RECENTLY_CONNECTED } from '../../ts/constants.ts'
import { PeerstoreError, StateError } from '../../ts/errors.ts'
import { makeIdentity } from '../../ts/identity/keys.ts'
import type { Backend, StoredRecord } from '../../ts/peerstore/backend.ts'
import { Journal } from '../../ts/peerstore/journal.ts'
import { TableBook } from '../../ts/peerstore/peer-book.ts'
import { Peerstore } from '../../ts/peerstore/peerstore.ts'
import { FakeClock } from '../support/fake-clock.ts'

const [ONE, TWO, SELF] = [1, 2, 3].map(() => makeIdentity(undefined).peer) as [
  string,
  string,
  string
]
const at = (port: number): string => `/ip4/192.0.2.1/tcp/${port}`

/** Commits end as the test decides. */
class ScriptedBackend implements Backend {
  readonly records = new Map<string, Uint8Array>()
  readonly commits: string[][] = []
  readonly log: string[] = []
  /** Ends the commit under way. */
  readonly ends: ((err?: Error) => void)[] = []
  isManual = false

  open(): Promise<void> {
    this.log.push('open')
    return Promise.resolve()
  }

  async *load(): AsyncGenerator<Iterable<StoredRecord>> {
    yield* [[...this.records]]
  }

  async commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    this.commits.push([...changes.keys()])
    if (this.isManual) {
      await new Promise<void>((resolve, reject) => {
        this.ends.push((err) => (err === undefined ? resolve() : reject(err)))
      })
    }
    for (const [peer, record] of changes) {
      if (record === undefined) this.records.delete(peer)
      else this.records.set(peer, record)
    }
  }

  close(): Promise<void> {
    this.log.push('close')
    return Promise.resolve()
  }
}

function setUp(backend = new ScriptedBackend(), maxPeers = 100) {
  const clock = new FakeClock()
  const store = new Peerstore({ clock, maxPeers })
  const logged: unknown[] = []
  const log = (message: string): void => void logged.push(message)
  const logger = { debug: log, info: log, warn: log, error: log }
  const journal = new Journal(backend, store.table, SELF, logger)
  const add = (peer: string, port = 1): Promise<void> =>
    store.addAddrs(peer, [at(port)], ADDRESS_TTL_RECENTLY_CONNECTED)
  return { backend, clock, store, journal, logged, add }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('the writes of a turn are one commit, and those during a commit the next one', async (t) => {
  const { backend, journal, add } = setUp()
  await journal.open()
  backend.isManual = true
  const first = Promise.all([add(ONE, 1), add(ONE, 2), add(TWO)])
  await turn()
  t.deepEqual(backend.commits, [[ONE, TWO]])
  let isStored = false
  const second = add(ONE, 3).then(() => {
    isStored = true
  })
  await turn()
  t.is(backend.commits.length, 1)
  backend.ends[0]?.()
  await first
  t.false(isStored)
  await turn()
  t.deepEqual(backend.commits, [[ONE, TWO], [ONE]])
  backend.ends[1]?.()
  await second
})

test('a failed commit rejects its writes, keeps memory, and is repeated with the next one', async (t) => {
  const { backend, store, journal, logged, add } = setUp()
  await journal.open()
  backend.isManual = true
  const failing = add(ONE)
  await turn()
  backend.ends[0]?.(new PeerstoreError('the disk is full'))
  await t.throwsAsync(failing, { instanceOf: PeerstoreError, message: 'the disk is full' })
  t.deepEqual(store.addrs(ONE).map(String), [at(1)])
  t.deepEqual(logged, ['the peerstore failed to store 1 peers, and will try again'])
  const other = add(TWO)
  await turn()
  t.deepEqual(backend.commits[1], [ONE, TWO])
  backend.ends[1]?.()
  await other
  t.deepEqual([...backend.records.keys()], [ONE, TWO])
})

test('a failed write of the swarm itself is logged, and no unhandled rejection', async (t) => {
  const { backend, clock, store, journal, logged } = setUp()
  const unhandled: unknown[] = []
  const note = (err: unknown): void => void unhandled.push(err)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  await journal.open()
  backend.isManual = true
  const book = new TableBook(store.table)
  book.connected(ONE)
  book.worked(ONE, at(1))
  await turn()
  t.is(backend.commits.length, 0, 'nobody awaits it')
  clock.advance(1_000)
  await turn()
  backend.ends[0]?.(new PeerstoreError())
  await turn()
  await turn()
  t.is(logged.length, 1)
  t.deepEqual(unhandled, [])
  // Peers that cause another write do not make it try again at once.
  book.worked(TWO, at(1))
  clock.advance(9_999)
  await turn()
  t.is(backend.commits.length, 1)
  clock.advance(1)
  await turn()
  t.deepEqual(backend.commits[1], [ONE, TWO])
  backend.ends[1]?.()
})

test('writes before the store is opened are kept, merged with what it has, and stored', async (t) => {
  const backend = new ScriptedBackend()
  const before = setUp(backend)
  await before.journal.open()
  await before.add(ONE, 1)
  await before.store.setProtocols(ONE, ['/stored'])
  await before.store.put(ONE, 'stored', Uint8Array.of(1))
  await before.journal.close(0)
  const { store, journal, add } = setUp(backend)
  t.deepEqual(store.addrs(ONE), [])
  const early = Promise.all([add(ONE, 2), store.put(ONE, 'early', Uint8Array.of(2))])
  await journal.open()
  await early
  t.deepEqual(store.addrs(ONE).map(String), [at(2), at(1)])
  t.deepEqual(store.getProtocols(ONE), ['/stored'])
  t.deepEqual(
    [store.get(ONE, 'stored'), store.get(ONE, 'early')],
    [Uint8Array.of(1), Uint8Array.of(2)]
  )
  const after = setUp(backend)
  await after.journal.open()
  t.is(after.store.addrs(ONE).length, 2)
})

test('a removed peer is removed from the store, one that was never stored costs nothing', async (t) => {
  const { backend, store, journal, add } = setUp()
  await journal.open()
  await add(ONE)
  await Promise.all([store.removePeer(ONE), add(TWO), store.removePeer(TWO)])
  t.deepEqual([...backend.records.keys()], [])
  t.deepEqual(backend.commits, [[ONE], [ONE]])
})

test('the close stores what is pending; writes after it reject', async (t) => {
  const { backend, journal, add } = setUp()
  await journal.open()
  const last = add(ONE)
  await journal.close(0)
  await last
  t.deepEqual([...backend.records.keys()], [ONE])
  t.deepEqual(backend.log, ['open', 'close'])
  await t.throwsAsync(add(TWO), { instanceOf: StateError })
})

test('writes to a store that is never opened are lost with a warning, and those after its close reject', async (t) => {
  const { backend, journal, logged, add } = setUp()
  await add(ONE)
  await journal.close(0)
  t.deepEqual(backend.log, [])
  t.deepEqual(logged, ['the peerstore was never open: 1 peers are not stored'])
  await t.throwsAsync(add(ONE), { instanceOf: StateError })
})

test('writes that are awaited before the store is opened are durable once it is open', async (t) => {
  const { backend, store, journal, add } = setUp()
  await add(ONE)
  await store.put(ONE, 'key', Uint8Array.of(1))
  t.deepEqual(backend.log, [])
  await journal.open()
  t.deepEqual([...backend.records.keys()], [ONE])
  t.deepEqual(backend.commits, [[ONE]])
})

test('a peer that is removed before the store is opened is removed from it', async (t) => {
  const backend = new ScriptedBackend()
  const before = setUp(backend)
  await before.journal.open()
  await Promise.all([before.add(ONE, 1), before.add(TWO, 1)])
  await before.journal.close(0)
  const { store, journal, add } = setUp(backend)
  await Promise.all([store.removePeer(ONE), store.removePeer(TWO)])
  await add(TWO, 2)
  await journal.open()
  t.deepEqual(store.peers().map(String), [TWO])
  t.deepEqual(store.addrs(TWO).map(String), [at(2)], 'and not merged with what was removed')
  t.deepEqual([...backend.records.keys()], [TWO])
})

test('a failed commit is repeated without another write', async (t) => {
  const { backend, clock, store, journal, add } = setUp()
  await journal.open()
  backend.isManual = true
  const failing = add(ONE)
  await turn()
  for (const attempt of [0, 1]) {
    backend.ends[attempt]?.(new PeerstoreError('the disk is full'))
    if (attempt === 0) await t.throwsAsync(failing)
    await turn()
    clock.advance(9_999)
    await turn()
    t.is(backend.commits.length, attempt + 1)
    clock.advance(1)
    await turn()
    t.deepEqual(backend.commits[attempt + 1], [ONE])
  }
  backend.ends[2]?.()
  await turn()
  t.deepEqual([...backend.records.keys()], [ONE])
  await journal.close(0)
  store.table.close(store)
  t.is(clock.timers, 0)
})

test('a peer is removed that a commit has stored although it failed', async (t) => {
  const { backend, store, journal, add } = setUp()
  await journal.open()
  const { commit } = backend
  backend.commit = async (changes) => {
    await commit.call(backend, changes)
    throw new PeerstoreError('no answer')
  }
  await t.throwsAsync(add(ONE))
  t.true(backend.records.has(ONE))
  await t.throwsAsync(store.removePeer(ONE), { message: 'no answer' })
  await t.throwsAsync(add(TWO))
  backend.commit = commit
  await store.removePeer(TWO)
  t.deepEqual([...backend.records.keys()], [])
})

test('a close does not wait for ever for storage that hangs: it rejects the writes and is logged', async (t) => {
  const { backend, clock, store, journal, logged, add } = setUp()
  await journal.open()
  backend.isManual = true
  const committing = add(ONE)
  await turn()
  const gathered = add(TWO)
  const refused = { instanceOf: PeerstoreError, message: /closed before its storage/ }
  const rejected = Promise.all([
    t.throwsAsync(committing, refused),
    t.throwsAsync(gathered, refused)
  ])
  const closing = journal.close(1_000)
  clock.advance(5_999)
  await turn()
  t.deepEqual(logged, [])
  clock.advance(1)
  await Promise.all([closing, rejected])
  t.regex(`${logged}`, /did not close in time/)
  store.table.close(store)
  t.is(clock.timers, 0)
})

test('damaged records are skipped and reported, the others are loaded', async (t) => {
  const backend = new ScriptedBackend()
  const before = setUp(backend)
  await before.journal.open()
  await before.add(ONE)
  backend.records.set(TWO, Uint8Array.of(0x0a, 0x7f))
  backend.records.set('/no/peer', Uint8Array.of())
  const { store, journal, logged } = setUp(backend)
  await journal.open()
  t.deepEqual(store.peers().map(String), [ONE])
  t.deepEqual(logged, ['the peerstore skips 2 damaged records'])
})

test('the entry of the local peer, which js keeps, is left alone', async (t) => {
  const backend = new ScriptedBackend()
  // It supports the protocol `a`.
  const record = Uint8Array.of(0x12, 1, 0x61)
  backend.records.set(SELF, record)
  const { store, journal, add } = setUp(backend)
  await journal.open()
  t.false(store.has(SELF))
  await add(SELF)
  t.true(store.has(SELF))
  t.deepEqual([...backend.records], [[SELF, record]])
})

test('a store with more peers than the bound loads the most recent ones and forgets the others', async (t) => {
  const backend = new ScriptedBackend()
  const before = setUp(backend)
  await before.journal.open()
  const peers = Array.from({ length: 10 }, () => makeIdentity(undefined).peer)
  for (const peer of peers) {
    before.clock.advance(1_000)
    await before.add(peer)
  }
  await before.store.setTags(peers[0] as string, new Map([['keep-alive', 1]]))
  before.clock.advance(1_000)
  const { store, journal, clock } = setUp(backend, 4)
  clock.advance(20_000)
  await journal.open()
  t.deepEqual(store.peers().map(String).sort(), [peers[0], ...peers.slice(-4)].sort())
  await journal.close(0)
  t.is(backend.records.size, 5)
})

test('of more peers that the application keeps than the bound the most recent ones are loaded', async (t) => {
  const backend = new ScriptedBackend()
  const before = setUp(backend)
  await before.journal.open()
  const peers = Array.from({ length: 5 }, () => makeIdentity(undefined).peer)
  for (const peer of peers) {
    before.clock.advance(1_000)
    await before.store.addAddrs(peer, [at(1)], ADDRESS_TTL_PERMANENT)
  }
  const { store, journal, logged } = setUp(backend, 2)
  await journal.open()
  t.deepEqual(store.peers().map(String).sort(), peers.slice(-2).sort())
  t.regex(`${logged}`, /forgets the 3 least recent peers/)
})

// A162
test('a store whose commits fail does not grow with the peers that have been forgotten', async (t: ExecutionContext) => {
  const { backend, journal, store, logged, add } = setUp(new ScriptedBackend(), 10)
  await journal.open()
  backend.commit = (changes) => {
    backend.commits.push([...changes.keys()])
    return Promise.reject(new PeerstoreError())
  }
  for (let round = 0; round < 20; round += 1) {
    const peers = Array.from({ length: 10 }, () => makeIdentity(undefined).peer)
    await Promise.all(peers.map((peer) => t.throwsAsync(add(peer))))
  }
  t.is(store.peers().length, 10)
  t.true(backend.commits.every((commit) => commit.length <= 20))
  t.is(logged.length, 1)
})
