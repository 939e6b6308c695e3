import test from 'ava'
import { EventOrder } from '../../ts/swarm/event-order.ts'

test('an event that another one causes follows it, and so does what comes after both', (t) => {
  const order = new EventOrder()
  const calls: string[] = []
  order.deliver(() => {
    calls.push('first begins')
    order.deliver(() => {
      calls.push('second')
      order.deliver(() => calls.push('third'))
    })
    order.after(() => calls.push('after the second'))
    calls.push('first ends')
  })
  t.deepEqual(calls, ['first begins', 'first ends', 'second', 'after the second', 'third'])
})

test('what comes after events that are delivered is called at once', (t) => {
  const order = new EventOrder()
  const calls: string[] = []
  order.after(() => {
    calls.push('after begins')
    order.deliver(() => calls.push('event'))
    calls.push('after ends')
  })
  t.deepEqual(calls, ['after begins', 'event', 'after ends'])
})

test('what several events have in common is done before the first one is delivered', (t) => {
  const order = new EventOrder()
  const calls: string[] = []
  order.hold(() => {
    order.deliver(() => {
      calls.push('first')
      order.hold(() => order.deliver(() => calls.push('third')))
    })
    order.deliver(() => calls.push('second'))
    calls.push('held')
  })
  t.deepEqual(calls, ['held', 'first', 'second', 'third'])
})
