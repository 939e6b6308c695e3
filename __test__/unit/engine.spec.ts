import test from 'ava'
import { StateError } from '../../ts/errors.ts'
import { CommandError } from '../../ts/native/command-error.ts'
import { Engine } from '../../ts/native/engine.ts'
import { RECORDS_MAX, RECORDS_PER_ENTRY, RecordKind } from '../../ts/native/record.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'
import { fakeNative } from '../support/fake-native.ts'
import { aListener } from '../support/handles.ts'

test('keeps the process alive while a command is in flight', async (t) => {
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

test('enables loop polling only on the event loop of Node.js', (t) => {
  const enables = (versions: NodeJS.ProcessVersions): boolean => {
    const fake = fakeNative()
    new Engine(fake.native, versions)
    return fake.calls.includes('enableLoopPolling')
  }
  t.true(enables(process.versions))
  t.false(enables({ ...process.versions, bun: '1.3.0' }))
  t.false(enables({ ...process.versions, deno: '2.5.0' }))
})

test('a failed command has the stack of its caller', async (t) => {
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

test('rethrows errors of the addon as its own, without keeping the process alive', (t) => {
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

test('holds completions back, and delivers them in the order of the commands', async (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const ended: number[] = []
  const commands = [1, 2, 3].map(() => engine.command(fake.node, () => {}))
  for (const [index, { result }] of commands.entries()) {
    result.then(
      () => ended.push(index),
      () => ended.push(index)
    )
  }
  const complete = (index: number): void => {
    fake.put(RecordKind.completion, commands[index]?.request ?? 0)
    fake.ring()
  }
  engine.holdCompletions()
  t.true(engine.hasCommands)
  complete(2)
  complete(0)
  await turn()
  t.deepEqual(ended, [])
  t.true(engine.hasCommands)
  complete(1)
  t.false(engine.hasCommands)
  t.true(engine.releaseCompletions())
  await turn()
  t.deepEqual(ended, [0, 1, 2])
  t.false(engine.releaseCompletions())

  // Those that follow come as they are.
  const last = engine.command(fake.node, () => {})
  fake.put(RecordKind.completion, last.request)
  fake.ring()
  await t.notThrowsAsync(last.result)
})

test('drains while the result has no room for another slot, and yields to the event loop after 64 drains', async (t) => {
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

test('ignores records of unknown handles', (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  for (const kind of Object.values(RecordKind)) fake.put(kind, 77, 78, 79)
  t.notThrows(() => engine.drain())
})

test('the end of a listener that is reported in the drain of its listen is not lost', (t) => {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const ended: number[] = []
  fake.put(RecordKind.listenerClosed, 7, 3)
  fake.ring()
  engine.adoptListener(aListener(7), (code) => ended.push(code))
  t.deepEqual(ended, [3])
  engine.adoptListener(aListener(8), (code) => ended.push(code))
  t.deepEqual(ended, [3])
  fake.put(RecordKind.listenerClosed, 8, 4)
  fake.ring()
  t.deepEqual(ended, [3, 4])
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
