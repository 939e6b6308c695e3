/** The proposing side against remotes that answer correctly, incorrectly, late and not at all. */
import { mock } from 'node:test'
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  InvalidParametersError,
  IOError,
  Libp2pError,
  MultiselectClientError,
  MultiselectCommunicatorError,
  MultiselectError,
  TimeoutError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import { Multiselect } from '../../ts/negotiation/multiselect.ts'
import { MultiselectClient } from '../../ts/negotiation/multiselect-client.ts'
import { MultiselectCommunicator } from '../../ts/negotiation/multiselect-communicator.ts'
import { encodeLine } from '../../ts/negotiation/multiselect-line.ts'
import { bytePipe, type PipeEnd } from '../support/byte-pipe.ts'

const HEADER = '/multistream/1.0.0'

const client = new MultiselectClient()

/** Creates our end, and a remote that has already sent all of its lines. */
function remoteSays(...lines: readonly string[]) {
  const [near, far] = bytePipe()
  for (const line of lines) near.deliver(encodeLine(line))
  return { near, far, communicator: new MultiselectCommunicator(near) }
}

/** Resolves to `count` lines that the remote has received. */
async function received(far: PipeEnd, count: number): Promise<string[]> {
  const communicator = new MultiselectCommunicator(far)
  const lines: string[] = []
  while (lines.length < count) lines.push(await communicator.read())
  return lines
}

/** Asserts the whole class chain of a `MultiselectClientError`. */
function isClientError(t: ExecutionContext, error: unknown): void {
  t.true(error instanceof MultiselectClientError, String(error))
  t.true(error instanceof MultiselectError)
  t.true(error instanceof Libp2pError)
}

// M3, M9. Serial: it mocks the timers of the process.
test.serial('the timeout of a negotiation defaults to 10 s', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let ended: unknown
  const selection = client.selectOneOf(['/a'], remoteSays(HEADER).communicator)
  selection.catch((err: unknown) => {
    ended = err
  })
  mock.timers.tick(9_999)
  await new Promise(setImmediate)
  t.is(ended, undefined)
  mock.timers.tick(1)
  await t.throwsAsync(selection, { code: 'ERR_TIMEOUT' })
})

// M1
for (const fragment of [1, 1_000]) {
  test(`negotiates with a listener in reads of ${fragment}, and ten echoes pass`, async (t) => {
    const [near, far] = bytePipe()
    near.fragment = fragment
    far.fragment = fragment
    const listener = new Multiselect<string>([['/echo/1.0.0', 'echo']])
    const [chosen, served] = await Promise.all([
      client.selectOneOf(['/echo/1.0.0'], new MultiselectCommunicator(near)),
      listener.negotiate(new MultiselectCommunicator(far))
    ])
    t.is(chosen, '/echo/1.0.0')
    t.deepEqual(served, ['/echo/1.0.0', 'echo'])
    for (let count = 0; count < 10; count += 1) {
      await near.write(Buffer.from([count]))
      await far.write(await far.read(1))
      t.deepEqual([...(await near.read(1))], [count])
    }
  })
}

// M2, go 164
test('selects the first protocol in its own order that the listener serves', async (t) => {
  for (const [proposed, expected] of [
    [['/a', '/b', '/c'], '/b'],
    [['/c', '/b'], '/c']
  ] as const) {
    const [near, far] = bytePipe()
    const listener = new Multiselect([
      ['/b', 1],
      ['/c', 2]
    ])
    const [chosen, [served]] = await Promise.all([
      client.selectOneOf(proposed, new MultiselectCommunicator(near)),
      listener.negotiate(new MultiselectCommunicator(far))
    ])
    t.deepEqual([chosen, served], [expected, expected])
  }
})

test('sends the header and the first proposal in one write, without waiting for the remote', async (t) => {
  const { near, communicator } = remoteSays()
  const selection = client.selectOneOf(['/a', '/b'], communicator)
  await new Promise(setImmediate)
  t.is(near.writes.length, 1)
  t.is(Buffer.from(near.writes[0] ?? []).toString(), '\x13/multistream/1.0.0\n\x03/a\n')
  near.deliver(encodeLine(HEADER))
  near.deliver(encodeLine('/a'))
  t.is(await selection, '/a')
})

test('leaves the bytes after the agreement to the next layer', async (t) => {
  const { near, communicator } = remoteSays(HEADER, 'na', '/b')
  near.deliver('\x03ls\nnext layer')
  t.is(await client.selectOneOf(['/a', '/b'], communicator), '/b')
  t.is(near.unread, '\x03ls\nnext layer')
})

// M2, A017, go 164
test('UnsupportedProtocolError names every refused protocol', async (t) => {
  for (const protocols of [['/a', '/b'], []]) {
    const { communicator } = remoteSays(HEADER, 'na', 'na', 'na')
    const error = await t.throwsAsync(client.selectOneOf(protocols, communicator), {
      instanceOf: UnsupportedProtocolError,
      code: 'ERR_UNSUPPORTED_PROTOCOL'
    })
    isClientError(t, error)
    t.deepEqual(error?.protocols, protocols)
  }
})

// A016
test('an unexpected answer ends the selection without further proposals', async (t) => {
  for (const answer of ['/b', '/A', '/a/', '', 'ls', '\0']) {
    const { far, communicator } = remoteSays(HEADER, answer, '/b')
    const error = await t.throwsAsync(client.selectOneOf(['/a', '/b'], communicator))
    isClientError(t, error)
    t.false(error instanceof UnsupportedProtocolError)
    t.deepEqual(await received(far, 2), [HEADER, '/a'])
    t.is(far.unread, '')
  }
})

// M8, A006, go 165
test('another version of multistream-select is an error', async (t) => {
  for (const call of [
    (c: MultiselectCommunicator) => client.handshake(c),
    (c: MultiselectCommunicator) => client.selectOneOf(['/a'], c),
    (c: MultiselectCommunicator) => client.queryMultistreamCommand(c, 'ls')
  ]) {
    const { communicator } = remoteSays('/multistream/2.0.0', '/a')
    const error = await t.throwsAsync(call(communicator))
    isClientError(t, error)
    t.true(error?.cause instanceof MultiselectError)
    t.regex(
      error?.message ?? '',
      /expected \/multistream\/1\.0\.0, received "\/multistream\/2\.0\.0"/
    )
  }
})

// M8
test('a remote that restarts instead of answering is followed once', async (t) => {
  const once = remoteSays(HEADER, 'na', HEADER, HEADER, '/b')
  t.is(await client.selectOneOf(['/a', '/b'], once.communicator), '/b')
  t.deepEqual(await received(once.far, 5), [HEADER, '/a', '/b', HEADER, '/b'])

  const twice = remoteSays(HEADER, HEADER, HEADER, HEADER, '/a')
  isClientError(t, await t.throwsAsync(client.selectOneOf(['/a'], twice.communicator)))
  const again = remoteSays(HEADER, HEADER, HEADER, 'na', HEADER, HEADER, '/b')
  isClientError(t, await t.throwsAsync(client.selectOneOf(['/a', '/b'], again.communicator)))
})

// M1, M2
test('handshakes, then tries one protocol at a time', async (t) => {
  const { far, communicator } = remoteSays(HEADER, 'na', '/b')
  await client.handshake(communicator)
  const refused = await t.throwsAsync(client.trySelect(communicator, '/a'), {
    instanceOf: UnsupportedProtocolError
  })
  t.deepEqual(refused?.protocols, ['/a'])
  t.is(await client.trySelect(communicator, '/b'), '/b')
  t.deepEqual(await received(far, 3), [HEADER, '/a', '/b'])
})

type Call = (communicator: MultiselectCommunicator, options: object) => Promise<unknown>

const CALLS: Readonly<Record<string, Call>> = {
  handshake: (communicator, options) => client.handshake(communicator, options),
  selectOneOf: (communicator, options) => client.selectOneOf(['/a'], communicator, options),
  trySelect: (communicator, options) => client.trySelect(communicator, '/a', options),
  queryMultistreamCommand: (communicator, options) =>
    client.queryMultistreamCommand(communicator, 'ls', options)
}

for (const [name, call] of Object.entries(CALLS)) {
  // M3, M9
  test(`${name}: a silent remote is a timeout`, async (t) => {
    for (const lines of name === 'selectOneOf' ? [[], [HEADER]] : [[]]) {
      const { communicator } = remoteSays(...lines)
      const error = await t.throwsAsync(call(communicator, { timeout: 5 }), { code: 'ERR_TIMEOUT' })
      isClientError(t, error)
      t.true(error?.cause instanceof TimeoutError)
    }
  })

  test(`${name}: a carrier that ignores the signal cannot delay the caller`, async (t) => {
    const { near, communicator } = remoteSays()
    near.read = () => new Promise(() => {})
    const error = await t.throwsAsync(call(communicator, { timeout: 5 }), { code: 'ERR_TIMEOUT' })
    isClientError(t, error)
  })

  test(`${name}: the caller's abort is an AbortError, before and during the wait`, async (t) => {
    const reason = new Error('no longer wanted')
    const { near, communicator } = remoteSays()
    const early = call(communicator, { signal: AbortSignal.abort(reason) })
    await t.throwsAsync(early, { instanceOf: AbortError })
    t.is(near.writes.length, 0)
    const controller = new AbortController()
    const waiting = call(communicator, { signal: controller.signal })
    setImmediate(() => controller.abort(reason))
    const error = await t.throwsAsync(waiting, { instanceOf: AbortError })
    t.is(error?.cause, reason)
  })

  // A018
  test(`${name}: the end, an I/O error and a malformed line have a communicator error as the cause`, async (t) => {
    const broken = (prepare: (near: PipeEnd) => void) => {
      const { near, communicator } = remoteSays()
      prepare(near)
      return call(communicator, {})
    }
    const causes = []
    for (const prepare of [
      (near: PipeEnd) => near.end(),
      (near: PipeEnd) => {
        near.readsLeft = 0
      },
      (near: PipeEnd) => {
        near.writesLeft = 0
      },
      (near: PipeEnd) => near.deliver('\x02ab')
    ]) {
      const error = await t.throwsAsync(broken(prepare))
      isClientError(t, error)
      t.true(error?.cause instanceof MultiselectCommunicatorError)
      causes.push((error?.cause as Error | undefined)?.cause)
    }
    t.true(causes.slice(0, 3).every((cause) => cause instanceof IOError))
    t.is(causes[3], undefined)
  })
}

// A018
test('a remote that ends after its header ends the selection', async (t) => {
  const { near, communicator } = remoteSays(HEADER)
  near.end()
  const error = await t.throwsAsync(client.selectOneOf(['/a', '/b'], communicator))
  isClientError(t, error)
  t.regex(error?.message ?? '', /ended during negotiation/)
})

// M10
test('text that is not UTF-8 and lines over 1,024 bytes are typed errors', async (t) => {
  for (const bytes of [Buffer.from('\x03/\xff\n', 'latin1'), Buffer.from([0x81, 0x08])]) {
    const { near, communicator } = remoteSays(HEADER)
    near.deliver(bytes)
    const error = await t.throwsAsync(client.selectOneOf(['/a'], communicator))
    isClientError(t, error)
    t.true(error?.cause instanceof MultiselectCommunicatorError)
  }
})

// M4
test('queries a listener for its list, which has the served names and no predicates', async (t) => {
  const [near, far] = bytePipe()
  const listener = new Multiselect<number>([
    ['/b', 1],
    [() => false, 2],
    ['/a', 3]
  ])
  const negotiated = listener.negotiate(new MultiselectCommunicator(far))
  const communicator = new MultiselectCommunicator(near)
  t.deepEqual(await client.queryMultistreamCommand(communicator), ['/b', '/a'])
  // The negotiation continues after the list.
  t.is(await client.trySelect(communicator, '/a'), '/a')
  t.deepEqual(await negotiated, ['/a', 3])
})

// M4
test('an unknown command is an error, and so is a remote that does not list', async (t) => {
  const { near, communicator } = remoteSays(HEADER, 'na')
  isClientError(t, await t.throwsAsync(client.queryMultistreamCommand(communicator, 'rm')))
  t.is(near.writes.length, 0)
  const error = await t.throwsAsync(client.queryMultistreamCommand(communicator, 'ls'), {
    instanceOf: UnsupportedProtocolError
  })
  isClientError(t, error)
})

test('invalid protocol names and timeouts are refused before anything is sent', (t) => {
  const { near, communicator } = remoteSays()
  for (const name of ['', '/a\n', 'na', 'ls', HEADER, 'x'.repeat(1_024), '/\ud800', 7]) {
    const names = ['/a', name as string]
    t.throws(() => client.selectOneOf(names, communicator), { instanceOf: InvalidParametersError })
    t.throws(() => client.trySelect(communicator, name as string), {
      instanceOf: InvalidParametersError
    })
  }
  for (const timeout of [-1, Number.NaN, Date.now() + 5_000]) {
    t.throws(() => client.handshake(communicator, { timeout }), {
      instanceOf: InvalidParametersError
    })
  }
  t.is(near.writes.length, 0)
})
