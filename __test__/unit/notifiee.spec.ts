import test from 'ava'
import {
  globalNoopNotifiee,
  NoopNotifiee,
  Notifiees,
  NotifyBundle
} from '../../ts/swarm/notifiee.ts'

test('a bundle has the callbacks it was given and no others', (t) => {
  const bundle = new NotifyBundle({ connected: () => 'told' })
  t.is(bundle.connected?.(undefined as never, undefined as never), 'told')
  t.is(bundle.disconnected, undefined)
  t.is(new NotifyBundle().listen, undefined)
})

test('the noop notifiee answers everything with nothing', (t) => {
  const names = [
    'listen',
    'listenClose',
    'connected',
    'disconnected',
    'openedStream',
    'closedStream'
  ]
  for (const name of names as 'connected'[]) {
    t.is(globalNoopNotifiee[name](undefined as never, undefined as never), undefined)
  }
  t.true(Object.isFrozen(globalNoopNotifiee))
  t.true(globalNoopNotifiee instanceof NoopNotifiee)
})

test('tells each one in turn, and what one does wrong harms no other', async (t) => {
  const errors: unknown[] = []
  const notifiees = new Notifiees((err) => errors.push(err))
  const told: string[] = []
  const last = { connected: () => told.push('last') }
  notifiees.add({
    connected: () => {
      throw new Error('thrown')
    }
  })
  notifiees.add({ connected: () => Promise.reject(new Error('rejected')) })
  notifiees.add({})
  t.true(notifiees.add(last))
  t.false(notifiees.add(last))
  notifiees.tell(undefined as never, 'connected', undefined as never)
  await null
  await null
  t.deepEqual(told, ['last'])
  t.deepEqual(
    errors.map((err) => (err as Error).message),
    ['thrown', 'rejected']
  )
  notifiees.delete(last)
  t.is(notifiees.size, 3)
})
