/** The event target of the streams of `ferroswarm/libp2p` keeps the rules of `EventTarget`. */
import test from 'ava'
import { Events } from '../../ts/libp2p/events.ts'

interface Map {
  ping: CustomEvent<number>
  pong: Event
}

function recorded(): { events: Events<Map>; calls: string[]; log: (name: string) => () => void } {
  const calls: string[] = []
  return { events: new Events<Map>(), calls, log: (name) => () => void calls.push(name) }
}

test('listeners run in their order, each once however often it is added', (t) => {
  const { events, calls, log } = recorded()
  const [first, second] = [log('first'), log('second')]
  events.addEventListener('pong', first)
  events.addEventListener('pong', second)
  events.addEventListener('pong', first)
  t.is(events.listenerCount('pong'), 2)
  t.true(events.safeDispatchEvent('pong'))
  t.deepEqual(calls, ['first', 'second'])
})

test('one that is added during a dispatch waits for the next, one that is removed is not called', (t) => {
  const { events, calls, log } = recorded()
  const removed = log('removed')
  events.addEventListener('pong', () => {
    events.addEventListener('pong', log('added'))
    events.removeEventListener('pong', removed)
  })
  events.addEventListener('pong', removed)
  events.safeDispatchEvent('pong')
  t.deepEqual(calls, [])
  events.safeDispatchEvent('pong')
  t.deepEqual(calls, ['added'])
})

test('once, a signal and an object with handleEvent', (t) => {
  const { events, calls, log } = recorded()
  const controller = new AbortController()
  events.addEventListener('pong', log('once'), { once: true })
  events.addEventListener('pong', log('signal'), { signal: controller.signal })
  events.addEventListener('pong', { handleEvent: log('object') })
  events.addEventListener('pong', log('aborted'), { signal: AbortSignal.abort() })
  events.safeDispatchEvent('pong')
  controller.abort()
  events.safeDispatchEvent('pong')
  t.deepEqual(calls, ['once', 'signal', 'object', 'object'])
  t.is(events.listenerCount('pong'), 1)
})

test('an event has its target, its detail, and reports that its default is prevented', (t) => {
  const { events } = recorded()
  let seen: CustomEvent<number> | undefined
  events.addEventListener('ping', (event) => {
    seen = event
    event.preventDefault()
  })
  t.false(events.dispatchEvent(new CustomEvent('ping', { detail: 7, cancelable: true })))
  t.is(seen?.detail, 7)
  t.is(seen?.target, events)
  t.true(events instanceof EventTarget)
})

test.serial('a listener that throws is an uncaught exception, and stops no other', async (t) => {
  const { events, calls, log } = recorded()
  const caught: unknown[] = []
  const handlers = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (err) => caught.push(err.message))
  try {
    events.addEventListener('pong', () => {
      throw new Error('thrown')
    })
    events.addEventListener('pong', log('other'))
    events.safeDispatchEvent('pong')
    t.deepEqual(calls, ['other'])
    await new Promise(setImmediate)
    t.deepEqual(caught, ['thrown'])
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const handler of handlers) process.on('uncaughtException', handler)
  }
})
