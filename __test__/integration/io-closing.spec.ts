/** Closes with a peer that reads nothing: they end on a signal, and after a minute. */
import { Duplex } from 'node:stream'
import { mock } from 'node:test'
import test, { type ExecutionContext } from 'ava'
import { AbortError, TimeoutError } from '../../ts/errors.ts'
import { CLOSE_MS } from '../../ts/io/closing.ts'
import {
  fromDuplex,
  fromWebStreams,
  type ReadWriteCloser,
  secureMessages,
  tcpStream
} from '../../ts/io/index.ts'
import { turns, until } from '../support/pair.ts'
import { KEYS } from '../support/secured.ts'
import { socketPair } from '../support/sockets.ts'

const MORE_THAN_FITS = new Uint8Array(32 * 1024 * 1024)

/** Carriers whose write never ends; `isGone` returns whether the underlying transport was released. */
const STUCK: Readonly<
  Record<
    string,
    (t: ExecutionContext) => Promise<{ carrier: ReadWriteCloser; isGone: () => boolean }>
  >
> = {
  'a socket': async (t) => {
    const { near } = await socketPair(t)
    return { carrier: tcpStream(near), isGone: () => near.destroyed }
  },
  'a Duplex': async () => {
    const duplex = new Duplex({ read() {}, write() {} })
    return { carrier: fromDuplex(duplex), isGone: () => duplex.destroyed }
  },
  'Web streams': async () => {
    let isGone = false
    const readable = new ReadableStream({ cancel: () => {} })
    const writable = new WritableStream({
      start: ({ signal }) => signal.addEventListener('abort', () => (isGone = true)),
      write: () => new Promise(() => {})
    })
    return { carrier: fromWebStreams({ readable, writable }), isGone: () => isGone }
  }
}

for (const [name, make] of Object.entries(STUCK)) {
  test(`a close over ${name} whose other side reads nothing ends with its signal`, async (t) => {
    const { carrier, isGone } = await make(t)
    void carrier.write(MORE_THAN_FITS).catch(() => {})
    await turns()
    const abort = new AbortController()
    const closing = carrier.close({ signal: abort.signal })
    await turns()
    abort.abort()
    await t.throwsAsync(closing, { instanceOf: AbortError })
    await until(isGone)
    t.true(isGone())
  })

  test.serial(`a close over ${name} whose other side reads nothing ends by itself`, async (t) => {
    const { carrier, isGone } = await make(t)
    void carrier.write(MORE_THAN_FITS).catch(() => {})
    await turns()
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const closing = t.throwsAsync(carrier.close(), { instanceOf: TimeoutError })
    mock.timers.tick(CLOSE_MS)
    await closing
    mock.timers.reset()
    await until(isGone)
    t.true(isGone())
  })
}

test.serial(
  'secured messages to a peer that reads nothing are closed by a signal, or by themselves',
  async (t) => {
    for (const isTimed of [false, true]) {
      const { near, far } = await socketPair(t)
      const [messages] = await Promise.all([
        secureMessages(near, { privateKey: KEYS[0], security: 'noise', initiator: true }),
        secureMessages(far, { privateKey: KEYS[1], security: 'noise', initiator: false })
      ])
      far.pause()
      void messages.writeMsg(new Uint8Array(8_000_000)).catch(() => {})
      void messages.writeMsg(new Uint8Array(8_000_000)).catch(() => {})
      await turns()
      const abort = new AbortController()
      if (isTimed) {
        mock.timers.enable({ apis: ['setTimeout'] })
        const closing = t.throwsAsync(messages[Symbol.asyncDispose](), { instanceOf: TimeoutError })
        mock.timers.tick(CLOSE_MS)
        await closing
        mock.timers.reset()
      } else {
        const closing = messages.close({ signal: abort.signal })
        await turns()
        abort.abort()
        await t.throwsAsync(closing, { instanceOf: AbortError })
      }
      await until(() => near.destroyed)
      t.true(near.destroyed)
    }
  }
)
