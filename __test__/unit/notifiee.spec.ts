import test from 'ava'
import { globalNoopNotifiee, NoopNotifiee, NotifyBundle } from '../../ts/notifiee.ts'

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
