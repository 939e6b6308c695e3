/** The answering side against dialers of all kinds, and its table. */
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  InvalidParametersError,
  Libp2pError,
  MultiselectClientError,
  MultiselectCommunicatorError,
  MultiselectError,
  TimeoutError
} from '../../ts/errors.ts'
import { Multiselect } from '../../ts/negotiation/multiselect.ts'
import { MultiselectCommunicator } from '../../ts/negotiation/multiselect-communicator.ts'
import { encodeLine, encodeListing } from '../../ts/negotiation/multiselect-line.ts'
import { bytePipe, type PipeEnd } from '../support/byte-pipe.ts'

const HEADER = '/multistream/1.0.0'

/** Creates our end, and a dialer that has already sent all of its lines. */
function dialerSays(...lines: readonly string[]) {
  const [near, far] = bytePipe()
  for (const line of lines) near.deliver(encodeLine(line))
  return { near, far, communicator: new MultiselectCommunicator(near) }
}

/** Returns all bytes sent, concatenated. */
function sent(near: PipeEnd): string {
  return Buffer.concat(near.writes).toString('latin1')
}

function bytesOf(...lines: readonly string[]): string {
  return Buffer.concat(lines.map(encodeLine)).toString('latin1')
}

/** Asserts a `MultiselectError` of the listener's. */
function isListenerError(t: ExecutionContext, error: unknown): void {
  t.true(error instanceof MultiselectError, String(error))
  t.false(error instanceof MultiselectClientError)
  t.true(error instanceof Libp2pError)
}

// M6, M7
test('the table keeps its order, and adding a name again replaces its handler and moves it to the end', async (t) => {
  const predicate = (): boolean => true
  const table = new Multiselect<string>(
    new Map([
      ['/a', 'a'],
      ['/b', 'b']
    ])
  )
  table.addHandler(predicate, 'any')
  table.addHandler('/a', 'again')
  t.deepEqual(table.getProtocols(), ['/b', '/a'])
  t.deepEqual(
    [...table.handlers],
    [
      ['/b', 'b'],
      [predicate, 'any'],
      ['/a', 'again']
    ]
  )
  t.true(table.removeHandler(predicate))
  t.true(table.removeHandler('/b'))
  t.false(table.removeHandler('/b'))
  const { near, communicator } = dialerSays(HEADER, '/b', '/x', '/a')
  t.deepEqual(await table.negotiate(communicator), ['/a', 'again'])
  t.is(sent(near), bytesOf(HEADER, 'na', 'na', '/a'))
})

test('refuses invalid protocol names', (t) => {
  const table = new Multiselect<number>()
  for (const name of ['', 'a\nb', 'na', 'ls', HEADER, 'x'.repeat(1_024), undefined]) {
    t.throws(() => table.addHandler(name as string, 1), { instanceOf: InvalidParametersError })
  }
  t.throws(() => new Multiselect([['', 1]]), { instanceOf: InvalidParametersError })
  t.is(table.handlers.size, 0)
})

// go 164
test('names take precedence over predicates, which are called in order', async (t) => {
  const called: string[] = []
  const recording = (name: string, answer: boolean) => (protocol: string) => {
    called.push(`${name} ${protocol}`)
    return answer
  }
  const table = new Multiselect<string>([
    [recording('first', false), 'first'],
    [recording('second', true), 'second'],
    [recording('third', true), 'third'],
    ['/a', 'name']
  ])
  t.deepEqual(await table.negotiate(dialerSays(HEADER, '/a').communicator), ['/a', 'name'])
  t.deepEqual(called, [])
  t.deepEqual(await table.negotiate(dialerSays(HEADER, '/b').communicator), ['/b', 'second'])
  t.deepEqual(called, ['first /b', 'second /b'])
})

test('calls no predicate with an invalid name', async (t) => {
  const table = new Multiselect<string>([[() => true, 'any']])
  const { near, communicator } = dialerSays(HEADER, '', HEADER, 'na', '/b')
  t.deepEqual(await table.negotiate(communicator), ['/b', 'any'])
  t.is(sent(near), bytesOf(HEADER, 'na', 'na', 'na', '/b'))
})

test('a predicate that throws or returns a promise fails the negotiation with that cause', async (t) => {
  const broken = new Error('broken')
  const throws = (): boolean => {
    throw broken
  }
  const promises = (async () => false) as unknown as () => boolean
  for (const [predicate, check] of [
    [throws, (cause: unknown) => cause === broken],
    [promises, (cause: unknown) => cause instanceof InvalidParametersError]
  ] as const) {
    const table = new Multiselect([[predicate, 1]])
    const error = await t.throwsAsync(table.negotiate(dialerSays(HEADER, '/b').communicator))
    isListenerError(t, error)
    t.true(check(error?.cause))
  }
})

test('leaves the bytes after the agreement to the next layer', async (t) => {
  const { near, communicator } = dialerSays(HEADER, '/a')
  near.deliver('next layer')
  await new Multiselect([['/a', 1]]).negotiate(communicator)
  t.is(near.unread, 'next layer')
})

// M4
test('lists its names as the specification nests them, four times at most', async (t) => {
  const table = new Multiselect<number>([
    ['/a', 1],
    [() => true, 2],
    ['/b', 3]
  ])
  const four = dialerSays(HEADER, 'ls', 'ls', 'ls', 'ls', '/a')
  await table.negotiate(four.communicator)
  const listing = Buffer.from(encodeListing(['/a', '/b'])).toString('latin1')
  t.is(sent(four.near), bytesOf(HEADER) + listing.repeat(4) + bytesOf('/a'))

  const five = dialerSays(HEADER, 'ls', 'ls', 'ls', 'ls', 'ls', '/a')
  isListenerError(t, await t.throwsAsync(table.negotiate(five.communicator)))
})

// M10, A008
test('answers 32 proposals and no more', async (t) => {
  const table = new Multiselect([['/a', 1]])
  const unknown = Array<string>(31).fill('/x')
  t.deepEqual(await table.negotiate(dialerSays(HEADER, ...unknown, '/a').communicator), ['/a', 1])
  const late = dialerSays(HEADER, ...unknown, '/x', '/a')
  isListenerError(t, await t.throwsAsync(table.negotiate(late.communicator)))
  t.is(sent(late.near), bytesOf(HEADER, ...Array(32).fill('na')))
})

// M3, M9
test('a silent dialer is a timeout, before and after the handshake', async (t) => {
  const table = new Multiselect([['/a', 1]])
  const calls = [
    () => table.handshake(dialerSays().communicator, { timeout: 5 }),
    () => table.negotiate(dialerSays().communicator, { timeout: 5 }),
    () => table.negotiate(dialerSays(HEADER).communicator, { timeout: 5 }),
    () => table.negotiate(dialerSays(HEADER, 'ls').communicator, { timeout: 5 })
  ]
  for (const call of calls) {
    const error = await t.throwsAsync<MultiselectError>(call, { code: 'ERR_TIMEOUT' })
    isListenerError(t, error)
    t.is(error?.kind, 'environment')
    t.true(error?.cause instanceof TimeoutError)
  }
})

test('the caller may abort', async (t) => {
  const controller = new AbortController()
  const { communicator } = dialerSays(HEADER)
  const waiting = new Multiselect().negotiate(communicator, { signal: controller.signal })
  setImmediate(() => controller.abort())
  await t.throwsAsync(waiting, { instanceOf: AbortError })
})

// M8, A006
test('another version of multistream-select is an error', async (t) => {
  for (const first of ['/multistream/2.0.0', 'ls', '']) {
    const table = new Multiselect([['/a', 1]])
    isListenerError(t, await t.throwsAsync(table.negotiate(dialerSays(first, '/a').communicator)))
    isListenerError(t, await t.throwsAsync(table.handshake(dialerSays(first).communicator)))
  }
})

// M10
test('every communicator failure is the cause of a MultiselectError', async (t) => {
  const faults: ((near: PipeEnd) => void)[] = [
    (near) => near.end(),
    (near) => near.deliver(Buffer.from('\x03/\xff\n', 'latin1')),
    (near) => near.deliver(Buffer.from([0x81, 0x08])),
    (near) => near.deliver('\x02ab'),
    (near) => {
      near.readsLeft = 0
    },
    (near) => {
      near.writesLeft = 0
    }
  ]
  for (const fault of faults) {
    const { near, communicator } = dialerSays()
    fault(near)
    const error = await t.throwsAsync(new Multiselect().negotiate(communicator))
    isListenerError(t, error)
    t.true(error?.cause instanceof MultiselectCommunicatorError)
  }
})

// go 166
test('a dialer that sends its message and closes is served', async (t) => {
  const { near, communicator } = dialerSays(HEADER, '/a')
  near.deliver('message')
  near.end()
  // Only the header can still be written.
  near.writesLeft = 1
  t.deepEqual(await new Multiselect([['/a', 1]]).negotiate(communicator), ['/a', 1])
  t.is(Buffer.from(await near.read()).toString(), 'message')
})
