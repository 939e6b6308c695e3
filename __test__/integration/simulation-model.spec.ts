/** The model of `__test__/simulation/`, in a size that fits here: `npm run simulate` runs larger ones. */
import test from 'ava'
import { DEFAULTS, type Invariant, invariants, run } from '../simulation/model.ts'
import { Observer } from '../support/observer.ts'

for (const seed of [1, 2, 3]) {
  test(`random nodes notify in a legal order and leave nothing behind, seed ${seed}`, async (t) => {
    t.timeout(120_000, 'on a busy machine')
    const report = await run({ seed, ...DEFAULTS })
    t.log(report)
    t.true(report.connected > 500)
    t.true(report.echoes > 50)
    t.true(report.crashes > 5)
    t.true(report.pruned > 20)
  })
}

test('the same seed of the model has the same run', async (t) => {
  const size = { ...DEFAULTS, nodes: 20, seconds: 10 }
  const [one, other] = [await run({ seed: 4, ...size }), await run({ seed: 4, ...size })]
  t.deepEqual(one, other)
})

test.serial('a broken invariant fails the run, and names the fault', async (t) => {
  const broken: Invariant = {
    name: 'nobody ever connects',
    when: 'quiet',
    check: () => ['n1 does']
  }
  const list = invariants as Invariant[]
  list.push(broken)
  try {
    await t.throwsAsync(run({ seed: 5, nodes: 3, degree: 2, seconds: 1 }), {
      message: /nobody ever connects: 1 faults at \d+\.\d+ ms\n {2}n1 does/
    })
  } finally {
    list.pop()
  }
})

test('events that are out of order are faults', (t) => {
  const observer = new Observer()
  const swarm = {} as never
  const connection = { id: '1' }
  const stream = { connection } as never
  observer.openedStream(swarm, stream)
  observer.closedStream(swarm, stream)
  observer.disconnected(swarm, connection as never)
  observer.connected(swarm, connection as never)
  observer.connected(swarm, connection as never)
  observer.openedStream(swarm, stream)
  observer.disconnected(swarm, connection as never)
  t.deepEqual(observer.faults, [
    'openedStream without a connection',
    'closedStream without openedStream',
    'disconnected without connected',
    'connected after disconnected',
    'connected twice',
    'connected after disconnected',
    'openedStream after closedStream',
    'disconnected with 1 open streams'
  ])
})
