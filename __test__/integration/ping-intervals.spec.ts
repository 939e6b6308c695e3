/** Pings with pauses longer than the responder's idle timeout. */
import test, { type ExecutionContext } from 'ava'
import { ping, type Stream } from '../../ts/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { createPair, turns, until } from '../support/pair.ts'

const PING = '/ipfs/ping/1.0.0'
const IDLE_MS = 10_000

/** Two nodes on `clock`, and the ping streams opened by the dialer. */
async function pinged(t: ExecutionContext, clock: FakeClock) {
  const pair = await createPair(t, { both: { clock, services: { ping: true } } })
  const opened: Stream[] = []
  pair.dialer.addEventListener('openedStream', ({ detail }) => {
    if (detail.protocol === PING) opened.push(detail)
  })
  const answering = (): number =>
    pair.inbound.streams.filter(({ protocol }) => protocol === PING).length
  return { ...pair, opened, answering }
}

for (const interval of [11_000, 20_000, 3_600_000]) {
  test(`pings every ${interval / 1_000} s go on, each over a stream of its own`, async (t) => {
    const clock = new FakeClock()
    const { outbound, opened, answering } = await pinged(t, clock)
    const pings = ping(outbound)
    for (let round = 1; round <= 4; round += 1) {
      // Measured by the clock of the swarm, which stands still.
      t.is((await pings.next()).value, 0)
      t.is(opened.length, round)
      // Earlier streams have ended at both ends.
      await until(() => outbound.streams.length === 1)
      clock.advance(interval)
      await until(() => answering() === 0)
    }
    await pings.return()
    await until(() => outbound.streams.length === 0)
    t.false(outbound.isClosed)
  })
}

test('a ping that crosses the end of its idle stream uses another one', async (t) => {
  const clock = new FakeClock()
  const { outbound, opened } = await pinged(t, clock)
  const pings = ping(outbound)
  for (let round = 0; round < 20; round += 1) {
    t.is((await pings.next()).value, 0)
    clock.advance(IDLE_MS + 1)
    // The next one is sent before, while and after the end of the stream is in flight.
    await turns(round % 5)
  }
  t.true(opened.length > 1)
  await pings.return()
})

test('pings every 9 s share one stream, however long they go on', async (t) => {
  const clock = new FakeClock()
  const { outbound, opened, answering } = await pinged(t, clock)
  const pings = ping(outbound)
  for (let round = 0; round < 10; round += 1) {
    t.is((await pings.next()).value, 0)
    clock.advance(IDLE_MS - 1_000)
    await turns()
    t.is(answering(), 1)
  }
  t.is(opened.length, 1)
  await pings.return()
})
