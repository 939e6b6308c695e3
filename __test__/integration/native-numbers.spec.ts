/** Numbers outside Rust's integer types: the boundary refuses them, and none of them ends the process. */
import test from 'ava'
import { ERROR_CODES } from '../../ts/errors.ts'
import type { HotCalls, NativeNode, NativeNodeOptions } from '../../ts/native/addon.ts'
import { thrownByNative } from '../../ts/native/command-error.ts'
import { environment } from '../../ts/native/environment.ts'
import { aConnection, aListener, aRequest, aStream } from '../support/handles.ts'
import { createNode } from '../support/pair.ts'

const NONSENSE = [NaN, Infinity, -Infinity, -1, 0.5, 2 ** 32, 2 ** 53, 1e300, -1e300]
const MISUSE = -ERROR_CODES.ERR_INVALID_PARAMETERS
const BYTES = new Uint8Array(16)
const WORDS = new Uint32Array(16)

/** Every hot call that takes numbers, with `number` for one of them and 1 for the others. */
const HOT: Readonly<Record<string, ((hot: HotCalls, number: number) => number)[]>> = {
  open: [(hot, number) => hot.open(aConnection(number), WORDS.subarray(0, 1), true)],
  read: [(hot, number) => hot.read(aStream(number), BYTES)],
  readLeft: [(hot, number) => hot.readLeft(aStream(number), BYTES)],
  readMessages: [(hot, number) => hot.readMessages(aStream(number), BYTES, WORDS)],
  frame: [
    (hot, number) => hot.frame(aStream(number), 0, 1),
    (hot, number) => hot.frame(aStream(1), number, 1),
    (hot, number) => hot.frame(aStream(1), 0, number)
  ],
  write: [(hot, number) => hot.write(aStream(number), BYTES)],
  submit: [(hot, number) => hot.submit(new Int32Array(3), number, BYTES)],
  closeRead: [(hot, number) => hot.closeRead(aStream(number))],
  discard: [(hot, number) => hot.discard(aStream(number))],
  remove: [(hot, number) => hot.remove(aStream(number))],
  reset: [
    (hot, number) => hot.reset(aStream(number), 0),
    (hot, number) => hot.reset(aStream(1), number)
  ],
  resetBehind: [
    (hot, number) => hot.resetBehind(aStream(number), 0),
    (hot, number) => hot.resetBehind(aStream(1), number)
  ],
  setState: [
    (hot, number) => hot.setState(aStream(number), 2),
    (hot, number) => hot.setState(aStream(1), number)
  ],
  openForeign: [(hot, number) => hot.openForeign(number)],
  feed: [(hot, number) => hot.feed(aStream(number), BYTES)],
  feedEnd: [(hot, number) => hot.feedEnd(aStream(number))],
  feedReset: [
    (hot, number) => hot.feedReset(aStream(number), 0, 0),
    (hot, number) => hot.feedReset(aStream(1), number, 0),
    (hot, number) => hot.feedReset(aStream(1), 0, number)
  ],
  take: [(hot, number) => hot.take(aStream(number), BYTES, WORDS.subarray(0, 3))],
  answer: [
    (hot, number) => hot.answer(aStream(number), 1, 1),
    (hot, number) => hot.answer(aStream(1), number, 1),
    (hot, number) => hot.answer(aStream(1), 1, number)
  ],
  closeConnection: [
    (hot, number) => hot.closeConnection(aConnection(number), 0, false),
    (hot, number) => hot.closeConnection(aConnection(1), number, false)
  ],
  allowEarlyFin: [(hot, number) => hot.allowEarlyFin(aConnection(number))],
  measure: [(hot, number) => hot.measure(aConnection(number), new Float64Array(5))],
  listenTo: [(hot, number) => hot.listenTo(number)]
}

for (const [name, calls] of Object.entries(HOT)) {
  test(`${name} returns misuse for numbers that are not 32-bit integers`, async (t) => {
    await createNode(t)
    const { hot } = environment()
    for (const call of calls) {
      for (const number of NONSENSE) t.is(call(hot, number), MISUSE, `${call} of ${number}`)
    }
  })
}

/** This thread's attachment. */
function attachment(): number {
  return environment().hot.attachment
}

const ADDRESS = '/ip4/127.0.0.1/tcp/1'

/** Dials one address, of any peer. */
const dial = (node: NativeNode, request: number, times: number[], parallel = 1): void =>
  node.dial(aRequest(request), [ADDRESS], [''], times, parallel)

/** Every command that takes numbers. */
const COMMANDS: Readonly<Record<string, (node: NativeNode, number: number) => unknown>> = {
  'the request of listen': (node, number) => node.listen(aRequest(number), ADDRESS, false),
  'the request of resolve': (node, number) => node.resolve(aRequest(number), 'a.test', 'A'),
  'the request of unlisten': (node, number) => node.unlisten(aRequest(number), aListener(1)),
  'the listener of unlisten': (node, number) => node.unlisten(aRequest(1), aListener(number)),
  'the request of dial': (node, number) => dial(node, number, [0, 1, 0]),
  'parallel of dial': (node, number) => dial(node, 1, [0, 1, 0], number),
  'the request of takeAttempts': (node, number) => node.takeAttempts(aRequest(number)),
  'the request of cancel': (node, number) => node.cancel(aRequest(number)),
  'the handle of connection': (node, number) => node.connection(aConnection(number)),
  'the request of takeResult': (node, number) => node.takeResult(aRequest(number)),
  'the request of close': (node, number) => node.close(aRequest(number), 0),
  'the request of drain': (node, number) => node.drain(aRequest(number), 0),
  'the protocol of setHandlers': (node, number) =>
    node.setHandlers([{ protocol: number, inboundMax: 1, service: 0 }], false),
  'inboundMax of setHandlers': (node, number) =>
    node.setHandlers(
      [{ protocol: environment().protocols.id('/a'), inboundMax: number, service: 0 }],
      false
    ),
  'the service of setHandlers': (node, number) =>
    node.setHandlers(
      [{ protocol: environment().protocols.id('/a'), inboundMax: 1, service: number }],
      false
    ),
  'the attachment of protocolName': (_, number) => environment().native.protocolName(number, 1),
  'the number of protocolName': (_, number) =>
    environment().native.protocolName(attachment(), number),
  'the stream of queriedProtocol': (_, number) =>
    environment().native.queriedProtocol(attachment(), aStream(number))
}

const TIMES: Readonly<Record<string, (node: NativeNode, number: number) => unknown>> = {
  'timeoutMs of drain': (node, number) => node.drain(aRequest(1), number),
  'timeoutMs of close': (node, number) => node.close(aRequest(1), number),
  'the delay of dial': (node, number) => dial(node, 1, [number, 1, 0]),
  'the timeout of dial': (node, number) => dial(node, 1, [0, number, 0]),
  'the hold of dial': (node, number) => dial(node, 1, [0, 1, number])
}

function nativeNode(): NativeNode {
  const { native } = environment()
  const privateKey = native.generateKey('ed25519')
  return new native.NativeNode({ attachment: attachment(), privateKey, ioThreads: 1 })
}

for (const [what, call] of Object.entries(COMMANDS)) {
  test(`${what} is refused unless it is a 32-bit integer`, (t) => {
    const node = nativeNode()
    for (const number of NONSENSE) {
      const thrown = t.throws(() => call(node, number), { any: true }, `${number}`)
      t.is((thrownByNative(thrown) as { code?: string }).code, 'ERR_INVALID_PARAMETERS')
    }
  })
}

for (const [what, call] of Object.entries(TIMES)) {
  test(`${what} is refused unless it is a valid time`, (t) => {
    const node = nativeNode()
    for (const number of [NaN, -1, -Infinity, -1e300]) {
      const thrown = t.throws(() => call(node, number), { any: true }, `${number}`)
      t.is((thrownByNative(thrown) as { code?: string }).code, 'ERR_INVALID_PARAMETERS')
    }
  })
}

test('limits and ioThreads of a node are refused unless they are integers above 0', (t) => {
  const { native } = environment()
  const privateKey = native.generateKey('ed25519')
  const limits = (name: string, number: number) =>
    ({ [name]: number }) as unknown as NativeNodeOptions['limits']
  const make = (options: Partial<NativeNodeOptions>): unknown =>
    new native.NativeNode({ attachment: attachment(), privateKey, ...options } as NativeNodeOptions)
  for (const number of [...NONSENSE, 0]) {
    t.throws(() => make({ ioThreads: number }), { any: true }, `ioThreads ${number}`)
    for (const name of ['acceptBacklog', 'windowMaxBytes']) {
      const given = limits(name, number)
      t.throws(
        () => make(given === undefined ? {} : { limits: given }),
        { any: true },
        `${name} ${number}`
      )
    }
    if (number === 0.5) continue
    const time = limits('inboundUpgradeTimeoutMs', number)
    t.throws(
      () => make(time === undefined ? {} : { limits: time }),
      { any: true },
      `inboundUpgradeTimeoutMs ${number}`
    )
  }
})
