/** Explanations of refusals, and reports of usage and limits. */
import { inspect } from 'node:util'
import test from 'ava'
import { InvalidParametersError, ResourceLimitExceededError } from '../../ts/index.ts'
import { createPair, PAIR_PROTOCOL } from '../support/pair.ts'

test('a refusal is explained with figures, holders, options and the limit that would do', async (t) => {
  const limits = { protocols: { [PAIR_PROTOCOL]: { streamsOutbound: 1 } } }
  const pair = await createPair(t, { dialer: { limits } })
  await pair.openStreams()
  const err = (await t.throwsAsync(pair.outbound.newStream(PAIR_PROTOCOL), {
    instanceOf: ResourceLimitExceededError
  })) as ResourceLimitExceededError
  const holder = `protocol:${PAIR_PROTOCOL}.peer:${pair.listener.peerId}`
  t.deepEqual(err.holders, [{ scope: holder, used: 1 }])
  const expected = [
    `protocol:${PAIR_PROTOCOL}: no room for 1 more of streamsOutbound`,
    '  in use           1 of 1',
    `  set by           limits.protocols["${PAIR_PROTOCOL}"].streamsOutbound`,
    '  for all others   limits.protocolDefault.streamsOutbound',
    '  enough would be  2',
    `  used most by     ${holder} (1)`
  ]
  t.is(pair.dialer.resourceManager.explain(err), expected.join('\n'))
  // As the cause of another error, and beside one that refers to itself.
  const outer = new Error('outer', { cause: err })
  t.is(pair.dialer.resourceManager.explain(outer), expected.join('\n'))
  const cyclic = new Error('cyclic')
  cyclic.cause = cyclic
  t.throws(() => pair.dialer.resourceManager.explain(cyclic))
  t.is(
    pair.dialer.resourceManager.explain(Object.assign(cyclic, { attempts: [{ cause: err }] })),
    expected.join('\n')
  )
  for (const part of ['1 of 1 streamsOutbound', err.option, 'scope:', 'holders:']) {
    t.true(inspect(err).includes(part), part)
  }
})

test('a protocol whose name looks like that of a peer in a protocol is itself', async (t) => {
  const name = '/x/.peer:a'
  const limits = { protocols: { [name]: { streamsOutbound: 0 } } }
  const { outbound, dialer } = await createPair(t, { dialer: { limits } })
  const err = (await t.throwsAsync(outbound.newStream(name), {
    instanceOf: ResourceLimitExceededError
  })) as ResourceLimitExceededError
  t.is(err.scope, `protocol:${name}`)
  t.is(err.option, `limits.protocols["${name}"].streamsOutbound`)
  dialer.resourceManager.viewProtocol(name, (scope) => {
    scope.setLimit({ streamsOutbound: 1 })
    t.true(dialer.resourceManager.listProtocols().includes(name))
  })
})

test('names of any length and with control characters are exact in errors, and escaped in messages', async (t) => {
  const long = `/${'x'.repeat(1_000)}\t\u001b[31m`
  const limits = { protocolPeers: { [long]: { streamsInbound: 0 } } }
  const { outbound, listener } = await createPair(t, { listener: { limits } })
  listener.handle(
    (name) => name.startsWith('/x'),
    (stream) => stream.close()
  )
  const refusals: ResourceLimitExceededError[] = []
  listener.addEventListener('limit', ({ detail }) => refusals.push(detail.error))
  const limited = new Promise((resolve) =>
    listener.addEventListener('limit', resolve, { once: true })
  )
  await t.throwsAsync(outbound.newStream(long).then((stream) => stream.read()))
  await limited
  const [err] = refusals
  t.is(err?.scope, `protocol:${long}.peer:${outbound.localPeer}`)
  t.is(err?.option, `limits.protocolPeers[${JSON.stringify(long)}].streamsInbound`)
  t.true(err?.message.includes('\\u{9}\\u{1b}[31m'), err?.message)
})

test('a limit that was set by hand follows no option', async (t) => {
  const limits = { peerDefault: { streamsOutbound: 100 } }
  const { outbound, dialer, listener } = await createPair(t, { dialer: { limits } })
  const { resourceManager } = dialer
  resourceManager.viewPeer(listener.peerId, (scope) => scope.setLimit({ streamsOutbound: 0 }))
  const err = (await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), {
    instanceOf: ResourceLimitExceededError
  })) as ResourceLimitExceededError
  t.is(err.option, '')
  t.false(resourceManager.explain(err).includes('limits.'), resourceManager.explain(err))
})

test('the refusal of an application, whatever its scope, is explained without options of ours', async (t) => {
  const { dialer } = await createPair(t)
  const figures = { resource: 'streams', limit: 1, current: 1 }
  for (const scope of ['peer:alice', 'service:', 'quota of alice']) {
    const err = new ResourceLimitExceededError('no more', { ...figures, scope })
    const text = dialer.resourceManager.explain(err)
    t.true(text.startsWith(`${scope}: no room for 1 more of streams`), text)
    t.false(text.includes('limits.'), text)
  }
})

test('a reservation refused for its priority names its share', async (t) => {
  const { outbound } = await createPair(t, {
    dialer: { limits: { peerDefault: { memory: 1_000 } } }
  })
  const err = t.throws(() => outbound.scope.reserveMemory(500, 101))
  t.regex(
    err.message,
    /0 of 1000 bytes .* and 500 more were requested; priority 101 may use 398 of them/
  )
})

test('the limit that an explanation calls enough is enough, and one less is not', async (t) => {
  const pair = await createPair(t, { dialer: { limits: { peerDefault: { memory: 1_000 } } } })
  const { outbound, listener, dialer } = pair
  const { resourceManager } = dialer
  outbound.scope.reserveMemory(100, 101)
  const err = t.throws(() => outbound.scope.reserveMemory(5_000, 101)) as Error
  const text = resourceManager.explain(err)
  t.true(text.includes('priority         101, which may use 398 B of it'), text)
  t.true(text.includes(`for this one     limits.peers["${listener.peerId}"].memory`), text)
  const enough = Number(/enough would be {2}(\d+)/.exec(text)?.[1])
  const set = (memory: number): void =>
    resourceManager.viewPeer(listener.peerId, (scope) => scope.setLimit({ memory }))
  set(enough - 1)
  t.throws(() => outbound.scope.reserveMemory(5_000, 101))
  set(enough)
  t.notThrows(() => outbound.scope.reserveMemory(5_000, 101))
})

test('a scope is explained by what it uses, nearest to its limit first', async (t) => {
  const pair = await createPair(t)
  await pair.openStreams()
  const { outbound, dialer } = pair
  const lines = dialer.resourceManager.explain(outbound.scope).split('\n')
  t.regex(lines[0] ?? '', /^connection-\d+$/)
  t.regex(lines[1] ?? '', /^ {2}connectionsOutbound {2}1 of 1, limits\.connection\./)
  t.true(lines.some((line) => line.includes('1 of 500, limits.connection.streamsOutbound')))
  await outbound.close()
  t.is(dialer.resourceManager.explain(outbound.scope), 'the scope is closed: nothing is in use')
})

test('a report has a row per scope, as objects, as JSON and as a table', async (t) => {
  const pair = await createPair(t)
  await pair.openStreams()
  const report = pair.dialer.resourceManager.report()
  t.deepEqual(
    report.rows.slice(0, 4).map(({ scope }) => scope),
    ['system', 'transient', 'allowlistedSystem', 'allowlistedTransient']
  )
  t.deepEqual([...report], [...report.rows])
  t.like(report.rows[0], { usage: { connections: 1, streamsOutbound: 1, fds: 1 } })
  t.deepEqual(JSON.parse(JSON.stringify(report)).length, report.rows.length)
  const table = inspect(report)
  t.is(table, String(report))
  t.regex(table, /^scope +connections in\+out +streams in\+out +fds +memory\nsystem +0\+1 of \d+/)
  t.true(table.includes(`peer:…${String(pair.listener.peerId).slice(-8)}`))
  // The header, the fixed scopes, one more, and the rest.
  const lines = report.toString(1).split('\n')
  t.is(lines.length, 7)
  t.regex(lines[6] ?? '', /^and \d+ more that use less of their limits$/)
  t.is(report.toString(0).split('\n').length, 6)
  for (const rows of [-1, 0.5, Number.NaN, '5' as never]) {
    t.throws(() => report.toString(rows), { instanceOf: InvalidParametersError })
  }
})
