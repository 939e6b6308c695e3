import test from 'ava'
import { AddressBook } from '../../ts/dial/address-book.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const OTHER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const at = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`

test('gives the most recently confirmed address first, each once', (t) => {
  const book = new AddressBook()
  book.add(PEER, [at(1), at(2)])
  book.add(PEER, [`${at(1)}/p2p/${PEER}`])
  t.deepEqual(book.get(PEER), [at(1), at(2)])
  t.deepEqual(book.peers(), [PEER])
})

test('ignores an address that names another peer', (t) => {
  const book = new AddressBook()
  book.add(PEER, [`${at(1)}/p2p/${OTHER}`])
  t.deepEqual(book.get(PEER), [])
  t.deepEqual(book.peers(), [])
})

test('keeps no more than 64 addresses of a peer, the latest', (t) => {
  const book = new AddressBook()
  for (let port = 1; port <= 100; port += 1) book.add(PEER, [at(port)])
  t.is(book.get(PEER).length, 64)
  t.is(book.get(PEER)[0], at(100))
})

test('forgets a peer', (t) => {
  const book = new AddressBook()
  book.add(PEER, [at(1)])
  book.delete(PEER)
  t.deepEqual(book.get(PEER), [])
})
