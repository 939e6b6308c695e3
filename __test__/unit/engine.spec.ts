import test from 'ava'
import { StateError } from '../../ts/errors.ts'
import { CommandError } from '../../ts/native/command-error.ts'
import { Engine } from '../../ts/native/engine.ts'
import { RECORDS_MAX, RECORDS_PER_ENTRY, RecordKind } from '../../ts/native/record.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'
import { fakeNative } from '../support/fake-native.ts'
import { aListener } from '../support/handles.ts'

test('holds the process while a command is under way', async (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const holds = (): string[] => fake.calls.filter((call) => call.startsWith('hold'))
  const one = engine.command(fake.node, () => {}, holds)
  const two = engine.command(fake.node, () => {}, holds)
  t.deepEqual(holds(), ['hold true'])
  fake.put(RecordKind.completion, one.request)
  fake.ring()
  await one.result
  t.deepEqual(holds(), ['hold true'])
  fake.put(RecordKind.completion, two.request)
  fake.ring()
  t.deepEqual(holds(), ['hold true', 'hold false'])
})

test('has the event loop take guests where that is the one of Node.js', (t) => {
  const hosts = (versions: NodeJS.ProcessVersions): boolean => {
    const fake = fakeNative()
    new Engine(fake.native, versions)
    return fake.calls.includes('enableLoopPolling')
  }
  t.true(hosts(process.versions))
  t.false(hosts({ ...process.versions, bun: '1.3.0' }))
  t.false(hosts({ ...process.versions, deno: '2.5.0' }))
})

test('gives a failed command the stack of its caller', async (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  function theCallerOfTheCommand() {
    function begin() {
      return engine.command(fake.node, () => {}, begin)
    }
    return begin()
  }
  const { request, result } = theCallerOfTheCommand()
  fake.results.set(request, { code: 205, detail: 'gone' })
  fake.put(RecordKind.completion, request, 205)
  fake.ring()
  const err = await t.throwsAsync(result, { instanceOf: CommandError })
  const plain = err.plain()
  t.true(plain instanceof StateError)
  t.is(plain.message, 'gone')
  t.regex(plain.stack ?? '', /^StateError: gone\n.*theCallerOfTheCommand/)
})

test('throws what the addon throws as an error of ours, and holds nothing then', (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const refuse = (): void => {
    throw Object.assign(new Error('bad address'), { code: 'ERR_INVALID_PARAMETERS' })
  }
  t.throws(() => engine.command(fake.node, refuse, refuse), {
    code: 'ERR_INVALID_PARAMETERS',
    name: 'InvalidParametersError',
    message: 'bad address'
  })
  t.is(fake.calls.filter((call) => call === 'hold false').length, 1)
})

test('drains while the answer has no room for one more slot, and lets the loop turn after 64 of them', async (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  let drains = 0
  const { drain } = engine.hot
  let full = 70
  engine.hot.drain = (records) => {
    drains += 1
    full -= 1
    return full >= 0 ? RECORDS_MAX - RECORDS_PER_ENTRY + 1 : drain(records)
  }
  fake.ring()
  t.is(drains, 64)
  await turn()
  t.is(drains, 71)
})

test('does not drain from within a drain', (t) => {
  const { engine, fake, connection } = fakeConnection()
  let drains = 0
  const { drain } = engine.hot
  engine.hot.drain = (records) => {
    drains += 1
    return drain(records)
  }
  connection.addEventListener('close', () => engine.drain())
  fake.put(RecordKind.connectionClosed, 500)
  fake.ring()
  t.is(drains, 1)
})

test('ignores records of handles it does not know', (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  for (const kind of Object.values(RecordKind)) fake.put(kind, 77, 78, 79)
  t.notThrows(() => engine.drain())
})

test('the end of a listener that is told in the drain of its listen is not lost', (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const told: number[] = []
  fake.put(RecordKind.listenerClosed, 7, 3)
  fake.ring()
  engine.adoptListener(aListener(7), (code) => told.push(code))
  t.deepEqual(told, [3])
  engine.adoptListener(aListener(8), (code) => told.push(code))
  t.deepEqual(told, [3])
  fake.put(RecordKind.listenerClosed, 8, 4)
  fake.ring()
  t.deepEqual(told, [3, 4])
})

test('interns a protocol once', (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const id = engine.protocols.id('/a')
  t.is(engine.protocols.id('/a'), id)
  t.is(engine.protocols.name(id), '/a')
  t.is(engine.protocols.name(0), undefined)
  t.is(engine.protocols.proposals('/a'), engine.protocols.proposals('/a'))
})

test('names the counters', (t) => {
  const engine = new Engine(fakeNative().native)
  t.is(engine.counters().rings, 7)
  t.is(engine.counters().kicks, 0)
})
