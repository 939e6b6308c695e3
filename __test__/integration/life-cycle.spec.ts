/** `start`, `stop` and `close` in any order, at any moment. */
import test from 'ava'
import { Connectedness, StateError, Swarm } from '../../ts/index.ts'
import { createNode, turns, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

/** A service that records its calls, and takes as many turns of the event loop for each. */
function slowService(count: number) {
  const calls: string[] = []
  return {
    calls,
    async start() {
      calls.push('start')
      await turns(count)
    },
    async stop() {
      calls.push('stop')
      await turns(count)
    }
  }
}

test('200 random orders of start, stop and close settle, and leave the swarm as the last word has it', async (t) => {
  const random = seeded(4_711)
  for (let round = 0; round < 200; round += 1) {
    const service = slowService(random(4))
    const swarm = new Swarm({
      ioThreads: 1,
      services: { ping: false, identify: false, custom: [service] }
    })
    const events: string[] = []
    swarm.addEventListener('closing', () => events.push('closing'))
    const order: string[] = []
    const outcomes: Promise<unknown>[] = []
    let isClosed = false
    for (let left = 1 + random(6); left > 0; left -= 1) {
      const call = (['start', 'start', 'stop', 'close'] as const)[random(4)] ?? 'start'
      order.push(call)
      if (call === 'start') {
        const mustFail = isClosed
        const started = swarm.start()
        outcomes.push(
          mustFail
            ? t.throwsAsync(started, { instanceOf: StateError }, order.join())
            : started.then(() => swarm.isStarted() || isClosed || t.fail(order.join()))
        )
      } else {
        isClosed = true
        outcomes.push(swarm[call]({ drainTimeout: random(2) * 1_000 }))
      }
      await turns(random(3))
    }
    await Promise.all(outcomes)
    t.is(swarm.isStarted(), !isClosed, order.join())
    t.is(swarm.started, !isClosed)
    if (isClosed) t.throws(() => swarm.listen(LOCAL), { instanceOf: StateError }, order.join())
    else t.true(await swarm.listen(LOCAL), order.join())
    await swarm.close({ drainTimeout: 0 })
    // Whatever has been started is stopped, once.
    const { calls } = service
    t.true(['', 'start,stop'].includes(calls.join()), `${order.join()}: ${calls.join()}`)
    t.is(events.length, order[0] === 'start' ? 1 : 0, order.join())
  }
})

test('a swarm that is closed while its services start is closed when both have ended', async (t) => {
  const service = slowService(3)
  const swarm = new Swarm({ services: { custom: [service] } })
  const starting = swarm.start()
  await until(() => service.calls.length === 1)
  const stopping = swarm.stop()
  t.is(swarm.close(), stopping)
  await Promise.all([starting, stopping])
  t.deepEqual(service.calls, ['start', 'stop'])
  t.false(swarm.isStarted())
})

test('a closed swarm keeps its last views, all of them empty', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen(LOCAL)
  await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  await Promise.all([dialer.close({ drainTimeout: 0 }), listener.close({ drainTimeout: 0 })])
  for (const swarm of [dialer, listener]) {
    t.deepEqual(swarm.getMetrics(), { total: 0, inbound: 0, outbound: 0, peers: 0 })
    t.deepEqual([...swarm.getConnectionsMap(), ...swarm.connectionsLegacy], [])
    t.deepEqual([swarm.getListenAddrs(), swarm.getInterfaceListenAddrs()], [[], []])
    t.is(swarm.connectedness(listener.peerId), Connectedness.NotConnected)
  }
})
