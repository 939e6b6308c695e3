import test from 'ava'
import {
  globalNoopNotifiee,
  NoopNotifiee,
  Notifiees,
  NotifyBundle
} from '../../ts/swarm/notifiee.ts'

// go 86
test('a bundle has the callbacks it was given and no others', (t) => {
  const bundle = new NotifyBundle({ connected: () => 'called' })
  t.is(bundle.connected?.(undefined as never, undefined as never), 'called')
  t.is(bundle.disconnected, undefined)
  t.is(new NotifyBundle().listen, undefined)
})

test('every callback of the noop notifiee returns undefined', (t) => {
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

test('notifies each notifiee in turn, and isolates failures', async (t) => {
  const errors: unknown[] = []
  const notifiees = new Notifiees((err) => errors.push(err))
  const notified: string[] = []
  const last = { connected: () => notified.push('last') }
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
  t.deepEqual(notified, ['last'])
  t.deepEqual(
    errors.map((err) => (err as Error).message),
    ['thrown', 'rejected']
  )
  notifiees.delete(last)
  t.is(notifiees.size, 3)
})

test('a notifiee may remove itself and others in a callback: the removed are not called any more', (t) => {
  const notifiees = new Notifiees(() => {})
  const notified: string[] = []
  const tell = () => notifiees.tell(undefined as never, 'connected', undefined as never)
  const later = { connected: () => notified.push('later') }
  const once = {
    connected: () => {
      notified.push('once')
      notifiees.delete(once)
      notifiees.delete(later)
    }
  }
  const last = { connected: () => notified.push('last') }
  for (const notifiee of [once, later, last]) notifiees.add(notifiee)
  tell()
  t.deepEqual(notified, ['once', 'last'])
  tell()
  t.deepEqual(notified, ['once', 'last', 'last'])
})

test('a notifiee that is added in a callback is notified of later events only', (t) => {
  const notifiees = new Notifiees(() => {})
  let added = 0
  // Each adds another one, which would never end if it were called for the same event.
  const adding = () => ({
    connected: () => {
      added += 1
      notifiees.add(adding())
    }
  })
  notifiees.add(adding())
  const tell = () => notifiees.tell(undefined as never, 'connected', undefined as never)
  tell()
  t.is(added, 1)
  tell()
  t.is(added, 3)
})
