/** Objects that have ended leave nothing on the signals of their listeners. */
import { getEventListeners } from 'node:events'
import test from 'ava'
import { Swarm } from '../../ts/index.ts'
import { createPair, until } from '../support/pair.ts'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length
const ignore = (): void => {}

test('a swarm that is closed leaves nothing on the signals of its listeners', async (t) => {
  const { signal } = new AbortController()
  const { dialer, listener } = await createPair(t)
  const events = ['connected', 'disconnected', 'openedStream', 'closedStream'] as const
  const closes: string[] = []
  for (const swarm of [dialer, listener]) {
    for (const event of events) swarm.addEventListener(event, ignore, { signal })
    swarm.addEventListener('listenClose', () => closes.push('listenClose'), { signal })
    swarm.addEventListener('disconnected', () => closes.push('disconnected'), { signal })
  }
  t.is(listeners(signal), 12)
  await Promise.all([dialer.close(), listener.close()])
  t.is(listeners(signal), 0)
  t.deepEqual(closes.sort(), ['disconnected', 'disconnected', 'listenClose'], 'up to the last')
  dialer.addEventListener('connected', ignore, { signal })
  t.is(listeners(signal), 0, 'no more events will come')
})

test('a swarm that is closed before it has started leaves nothing on the signals of its listeners', async (t) => {
  const { signal } = new AbortController()
  const swarm = new Swarm()
  swarm.addEventListener('connected', ignore, { signal })
  t.is(listeners(signal), 1)
  await swarm.close()
  t.is(listeners(signal), 0)
})

test('a connection that has ended leaves nothing on the signals of its listeners, at either end', async (t) => {
  const { signal } = new AbortController()
  const { inbound, outbound } = await createPair(t)
  const ends = [inbound, outbound]
  for (const connection of ends) connection.addEventListener('close', ignore, { signal })
  t.is(listeners(signal), 2)
  await outbound.close()
  await until(() => listeners(signal) === 0)
  for (const connection of ends) connection.addEventListener('close', ignore, { signal })
  t.is(listeners(signal), 0, 'no more events will come')
})

for (const end of ['close', 'reset', 'the end of the connection'] as const) {
  test(`a stream that ends by ${end} leaves nothing on the signals of its listeners`, async (t) => {
    const { signal } = new AbortController()
    const { outbound, openStreams } = await createPair(t)
    const { near, far } = await openStreams()
    for (const stream of [near, far]) {
      stream.addEventListener('close', ignore, { signal })
      stream.addEventListener('drain', ignore, { signal })
    }
    t.is(listeners(signal), 4)
    if (end === 'close') await Promise.all([near.close(), far.close()])
    else if (end === 'reset') await near.reset()
    else await outbound.close()
    await until(() => listeners(signal) === 0)
    for (const stream of [near, far]) stream.addEventListener('close', ignore, { signal })
    t.is(listeners(signal), 0, 'no more events will come')
  })
}
