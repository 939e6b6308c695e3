/** The table of `ferroswarm listen`. */
import test from 'ava'
import { PeersTable } from '../../ts/cli/peers-table.ts'
import { createCrowd } from '../support/crowd.ts'

test('the table shows who is connected, and who would be pruned next', async (t) => {
  const crowd = await createCrowd(t, { low: 2, high: 3 })
  const { swarm, clock } = crowd
  const table = new PeersTable(swarm)
  t.deepEqual(table.lines(10).slice(1), [
    'peer  from  address  streams  in/s  out/s  tags  age  pruning',
    'nothing can be pruned'
  ])
  const idle = await crowd.join({ address: '/ip4/192.0.2.1/tcp/4001' })
  const busy = await crowd.join({ direction: 'outbound', streams: 2 })
  const safe = await crowd.join()
  swarm.protect(safe.peer, 'app')
  swarm.tagPeer(busy.peer, 'good', 7)
  const young = table.lines(10)
  t.regex(young[0] ?? '', /^3 connections \(2 in, 1 out, above 3 pruned to 2\) with 3 peers, /)
  t.true(young.slice(2, 5).every((line) => /too young|protected/.test(line)))
  clock.advance(180_000)
  const lines = table.lines(10)
  const rows = lines.slice(2, 5).map((line) => line.trim().split(/ {2,}/))
  const [first, second, third] = rows
  t.is(first?.at(-1), 'protected')
  t.deepEqual(second?.slice(1), ['outbound', '/', '2', '0 bytes', '0 bytes', '7', '3 min', '2.'])
  t.is(third?.[0], `…${idle.peer.slice(-8)}`)
  t.is(third?.at(-1), '1. by value')
  t.regex(lines.at(-1) ?? '', new RegExp(`^next to be pruned: …${idle.peer.slice(-8)}, `))
  // Those that would be closed first are shown on a small screen.
  const small = table.lines(4)
  t.is(small.length, 4)
  t.true(small[2]?.startsWith(`…${idle.peer.slice(-8)}`))
})
