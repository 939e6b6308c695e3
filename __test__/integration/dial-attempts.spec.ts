import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { AbortError, DialAllFailedError, ERROR_CODES, TimeoutError } from '../../ts/errors.ts'
import type { NativeNode } from '../../ts/native/addon.ts'
import { CommandError } from '../../ts/native/command-error.ts'
import { environment } from '../../ts/native/environment.ts'
import type { RequestId } from '../../ts/native/handles.ts'
import { createNode, until } from '../support/pair.ts'
import { RawPeer } from '../support/raw-peer.ts'

const ENTRY = { delayMs: 0, timeoutMs: 10_000 }

/** An address where nothing listens. */
async function nowhere(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `/ip4/127.0.0.1/tcp/${port}`
}

/** Address of a peer that accepts and stays silent. */
const silence = (t: ExecutionContext): Promise<string> => RawPeer.serve(t, () => {})

/** A native node without a swarm, and its dial notifications in order; calls `onFailed` for each failure. */
function bareNode(
  t: ExecutionContext,
  onFailed: (node: NativeNode, request: RequestId) => void = () => {}
) {
  const engine = environment()
  const node = engine.makeNode({ privateKey: engine.native.generateKey('ed25519'), ioThreads: 1 })
  const notifications: string[] = []
  engine.adoptNode(node.id, {
    onConnectionOpened: (_, request) => notifications.push(`connection ${request}`),
    onGateQuestions: () => {},
    onAttemptsFailed: (request) => {
      notifications.push(`attempts ${request}`)
      onFailed(node, request)
    },
    loggedLevels: 0,
    onDiagnostic: () => {},
    onDropped: () => {}
  })
  const command = (begin: (node: NativeNode, request: RequestId) => void) =>
    engine.command(node, (request) => begin(node, request))
  t.teardown(async () => {
    await command((node, request) => node.close(request, 0)).result
    engine.dropNode(node.id)
  })
  return { node, notifications, command }
}

interface Entry {
  readonly address: string
  readonly delayMs: number
  readonly timeoutMs: number
}

/** Dials addresses, of any peer. */
function dial(node: NativeNode, request: RequestId, entries: readonly Entry[]): void {
  const times = entries.flatMap(({ delayMs, timeoutMs }) => [delayMs, timeoutMs, 0])
  const addresses = entries.map(({ address }) => address)
  node.dial(
    request,
    addresses,
    addresses.map(() => ''),
    times,
    8
  )
}

test('a failed attempt is reported while the dial goes on, with the stage of the others', async (t) => {
  const { node, notifications, command } = bareNode(t)
  const entries = [await nowhere(), await silence(t)].map((address) => ({ ...ENTRY, address }))
  const { request, result } = command((node, number) => dial(node, number, entries))
  await until(() => notifications.length > 0)
  t.deepEqual(notifications, [`attempts ${request}`])
  let { failed, underWay } = node.takeAttempts(request)
  t.is(failed.length, 1)
  t.like(failed[0], { index: 0, stage: 'connect', code: ERROR_CODES.ERR_CONNECTION_REFUSED })
  await until(() => {
    ;({ failed, underWay } = node.takeAttempts(request))
    return underWay[0]?.stage === 'security'
  })
  t.deepEqual(failed, [], 'taken attempts are not reported again')
  t.is(underWay.length, 1)
  t.is(underWay[0]?.index, 1)

  node.cancel(request)
  const { result: cancelled } = await t.throwsAsync(result, { instanceOf: CommandError })
  t.is(cancelled.code, ERROR_CODES.ERR_ABORTED)
  t.falsy(cancelled.attempts)
  t.deepEqual(node.takeAttempts(request), { failed: [], underWay: [] }, 'nothing is retained')
})

test('the result of a dial that failed has the attempts that were not taken before', async (t) => {
  const taken: number[] = []
  const { command } = bareNode(t, (node, request) => {
    taken.push(...node.takeAttempts(request).failed.map(({ index }) => index))
  })
  const addresses = await Promise.all([nowhere(), nowhere(), silence(t)])
  const entries = addresses.map((address, index) => ({ ...ENTRY, address, delayMs: index }))
  const silent = entries[2] as (typeof entries)[0]
  silent.timeoutMs = 2_000
  const { result } = command((node, number) => dial(node, number, entries))
  const { result: failure } = await t.throwsAsync(result, { instanceOf: CommandError })
  t.is(failure.code, ERROR_CODES.ERR_DIAL_ALL_FAILED)
  t.deepEqual(taken.sort(), [0, 1])
  t.deepEqual(
    failure.attempts?.map(({ index }) => index),
    [2]
  )
})

test('a failed dial of one address reports its result alone', async (t) => {
  const { notifications, command } = bareNode(t)
  const entries = [{ ...ENTRY, address: await nowhere() }]
  const { result } = command((node, number) => dial(node, number, entries))
  const { result: failure } = await t.throwsAsync(result, { instanceOf: CommandError })
  t.is(failure.attempts?.length, 1)
  t.deepEqual(notifications, [])
})

test('a dial whose first attempt succeeds reports its connection and its result alone', async (t) => {
  const listener = bareNode(t)
  const { node, notifications, command } = bareNode(t)
  const listening = listener.command((node, number) =>
    node.listen(number, '/ip4/127.0.0.1/tcp/0', false)
  )
  const { addresses } = await listening.result
  let takes = 0
  const takeAttempts = node.takeAttempts.bind(node)
  node.takeAttempts = (number) => {
    takes += 1
    return takeAttempts(number)
  }
  const entries = [`${addresses?.[0]}`, await nowhere()].map((address, index) => ({
    ...ENTRY,
    address,
    delayMs: 5_000 * index
  }))
  const { request, result } = command((node, number) => dial(node, number, entries))
  await result
  t.deepEqual(notifications, [`connection ${request}`])
  t.is(takes, 0)
})

test('a dial that times out names each address it tried, and its stage', async (t) => {
  const dialer = await createNode(t)
  const [refusing, silent] = await Promise.all([nowhere(), silence(t)])
  const peer = (await createNode(t)).peerId
  const addresses = [refusing, silent]
  const dial = dialer.dialPeer(peer, { addresses, timeout: 700 })
  const err = await t.throwsAsync(dial, { instanceOf: TimeoutError })
  t.regex(err.message, /within 700 ms; 2 addresses: .*refused.*; .*security handshake$/)
  t.deepEqual(
    err.attempts?.map(({ address, stage, cause }) => [address, stage, cause.code]),
    [
      [refusing, 'connect', 'ERR_CONNECTION_REFUSED'],
      [silent, 'security', 'ERR_TIMEOUT']
    ]
  )
  const elapsed = err.attempts?.[1]?.elapsed ?? 0
  t.true(elapsed > 300 && elapsed < 20_000, `${elapsed} ms`)
})

test('an aborted dial names each address it tried', async (t) => {
  const dialer = await createNode(t)
  const silent = await silence(t)
  const controller = new AbortController()
  const dial = dialer.dialAddr(silent, undefined, { signal: controller.signal })
  setTimeout(() => controller.abort(), 200)
  const err = await t.throwsAsync(dial, { instanceOf: AbortError })
  t.regex(err.message, /^the dial was aborted; 1 address: /)
  t.is(err.attempts?.[0]?.address, silent)
})

// go 17
test('refused addresses before a good one cost no head start', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const refusing = await Promise.all(Array.from({ length: 20 }, nowhere))
  const addresses = [...refusing, ...listener.getListenAddrs().map(String)]
  // Twenty head starts are 5 s.
  t.truthy(await dialer.dialPeer(listener.peerId, { addresses, timeout: 4_000 }))
})

test('every address has its own timeout: a silent one does not end those behind it', async (t) => {
  const dialer = await createNode(t)
  const addresses = [await silence(t), await nowhere()]
  const peer = (await createNode(t)).peerId
  const dial = dialer.dialPeer(peer, { addresses })
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.map(({ address, cause }) => [address, cause.code]),
    [
      [addresses[1] as string, 'ERR_CONNECTION_REFUSED'],
      [addresses[0] as string, 'ERR_TIMEOUT']
    ]
  )
})
