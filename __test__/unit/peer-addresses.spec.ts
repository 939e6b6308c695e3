import test from 'ava'
import { ADDRESS_TTL_RECENTLY_CONNECTED } from '../../ts/constants.ts'
import { TableBook } from '../../ts/peerstore/peer-book.ts'
import { Peerstore } from '../../ts/peerstore/peerstore.ts'
import { FakeClock } from '../support/fake-clock.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const OTHER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'

/** A store, by the calls of a swarm and of an application. */
class Book extends TableBook {
  readonly store: Peerstore

  constructor() {
    const store = new Peerstore({ clock: new FakeClock() })
    super(store.table)
    this.store = store
  }

  add(peer: string, addrs: readonly string[]): void {
    void this.store.addAddrs(peer, addrs, ADDRESS_TTL_RECENTLY_CONNECTED)
  }
}

const at = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`

test('returns each address once, the most recently confirmed first', (t) => {
  const book = new Book()
  book.add(PEER, [at(1), at(2)])
  book.add(PEER, [`${at(1)}/p2p/${PEER}`])
  t.deepEqual(book.addressesOf(PEER), [at(1), at(2)])
  t.deepEqual(book.store.peers().map(String), [PEER])
})

test('ignores an address that names another peer', (t) => {
  const book = new Book()
  book.add(PEER, [`${at(1)}/p2p/${OTHER}`])
  t.deepEqual(book.addressesOf(PEER), [])
  t.deepEqual(book.store.peers().map(String), [])
})

test('keeps the latest 64 addresses of a peer', (t) => {
  const book = new Book()
  for (let port = 1; port <= 100; port += 1) book.add(PEER, [at(port)])
  t.is(book.addressesOf(PEER).length, 64)
  t.is(book.addressesOf(PEER)[0], at(100))
})

test('deletes a peer', (t) => {
  const book = new Book()
  book.add(PEER, [at(1)])
  void book.store.removePeer(PEER)
  t.deepEqual(book.addressesOf(PEER), [])
})

test('addresses without a transport evict none that can be dialled', (t) => {
  const book = new Book()
  for (let port = 1; port <= 60; port += 1) book.add(PEER, [at(port)])
  for (let port = 1; port <= 100; port += 1) book.add(PEER, [`${at(port)}/http`])
  const known = book.addressesOf(PEER)
  t.is(known.length, 64)
  t.deepEqual(known.slice(0, 2), [at(60), at(59)])
  t.is(known.indexOf(at(1)), 59)
  t.is(known[60], `${at(100)}/http`)
})

test('the address that worked is evicted last and tried first', (t) => {
  const book = new Book()
  book.worked(PEER, at(1))
  for (let port = 2; port <= 500; port += 1) book.add(PEER, [at(port)])
  const known = book.addressesOf(PEER)
  t.is(known.length, 64)
  t.deepEqual(known.slice(0, 2), [at(1), at(500)])
  book.add(PEER, [at(1)])
  for (let port = 1_000; port <= 1_100; port += 1) book.worked(PEER, at(port))
  t.is(book.addressesOf(PEER).length, 64)
  t.is(book.addressesOf(PEER)[0], at(1_100))
  t.false(book.addressesOf(PEER).includes(at(500)))
})

test('an address of nothing but a peer id is not stored', (t) => {
  const book = new Book()
  book.add(PEER, [`/p2p/${PEER}`])
  t.deepEqual(book.addressesOf(PEER), [])
  t.deepEqual(book.store.peers().map(String), [])
})

test('a peer that was reached is not evicted by peers that were only announced', (t) => {
  const book = new Book()
  book.worked(PEER, at(1))
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  const letter = (index: number): string => digits[Math.floor(index) % digits.length] as string
  for (let index = 0; index < 10_100; index += 1) {
    const name = letter(index) + letter(index / digits.length) + letter(index / digits.length ** 2)
    book.add(OTHER.slice(0, -3) + name, [at(2)])
  }
  t.is(book.store.peers().length, 10_000)
  t.deepEqual(book.addressesOf(PEER), [at(1)])
})
