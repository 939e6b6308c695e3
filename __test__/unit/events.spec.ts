import test from 'ava'
import { TypedEventTarget } from '../../ts/base/events.ts'

class Bell extends TypedEventTarget<{ rung: CustomEvent<number> }> {
  readonly errors: unknown[] = []

  ring(times: number): void {
    this.emit('rung', new CustomEvent('rung', { detail: times }))
  }

  end(): void {
    this.endEvents()
  }

  protected override onListenerError(err: unknown): void {
    this.errors.push(err)
  }
}

test('calls listeners in the order of their registration, each once', (t) => {
  const bell = new Bell()
  const calls: string[] = []
  const first = (event: CustomEvent<number>): unknown => calls.push(`first ${event.detail}`)
  bell.addEventListener('rung', first)
  bell.addEventListener('rung', { handleEvent: (event) => calls.push(`second ${event.detail}`) })
  bell.addEventListener('rung', first)
  bell.ring(1)
  bell.removeEventListener('rung', first)
  bell.ring(2)
  t.deepEqual(calls, ['first 1', 'second 1', 'second 2'])
})

test('removes a listener after one call, or when its signal aborts', (t) => {
  const bell = new Bell()
  const controller = new AbortController()
  let calls = 0
  bell.addEventListener('rung', () => (calls += 1), { once: true })
  bell.addEventListener('rung', () => (calls += 10), { signal: controller.signal })
  bell.ring(1)
  controller.abort()
  bell.ring(2)
  t.is(calls, 11)
  t.false(bell.hasListeners('rung'))
})

test('leaves nothing on the signal of a listener that is removed, was called once or gets no more events', (t) => {
  class Signal extends EventTarget {
    readonly aborted = false
    held = 0
    override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
      this.held += 1
      super.addEventListener(...args)
    }
    override removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void {
      this.held -= 1
      super.removeEventListener(...args)
    }
  }
  const target = new Signal()
  const signal = target as unknown as AbortSignal
  const bell = new Bell()
  const listener = (): void => {}
  bell.addEventListener('rung', listener, { signal })
  bell.addEventListener('rung', listener, { signal })
  bell.addEventListener('rung', () => {}, { signal, once: true })
  t.is(target.held, 2)
  bell.removeEventListener('rung', listener)
  bell.ring(1)
  t.is(target.held, 0)
  bell.addEventListener('rung', listener, { signal })
  bell.end()
  bell.addEventListener('rung', listener, { signal })
  t.is(target.held, 0)
  t.false(bell.hasListeners('rung'))
})

test('isolates a listener that throws or rejects from the others', async (t) => {
  const bell = new Bell()
  let calls = 0
  bell.addEventListener('rung', () => {
    throw new Error('thrown')
  })
  bell.addEventListener('rung', async () => {
    throw new Error('rejected')
  })
  bell.addEventListener('rung', () => (calls += 1))
  bell.ring(1)
  await null
  t.is(calls, 1)
  t.deepEqual(
    bell.errors.map((err) => (err as Error).message),
    ['thrown', 'rejected']
  )
})
