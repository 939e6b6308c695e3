// Length-prefixed messages with false lengths, or truncated. The stream fails, its connection goes on.
import test, { type ExecutionContext } from 'ava'
import { MessageTooLargeError, MissingMessageError, MsgioError } from '../../ts/errors.ts'
import type { Framing, Messages, MessagesOptions } from '../../ts/stream/messages.ts'
import { DATA, FIN, OPEN } from '../support/bad-input.ts'
import { pattern } from '../support/pair.ts'
import { varint } from '../support/raw-noise.ts'
import { RawPeer, type RawSession } from '../support/raw-peer.ts'
import { answerOn, opening } from '../support/raw-stream.ts'
import { createStand, ECHO_PROTOCOL, type Stand } from '../support/stand.ts'

const PROTOCOL = '/ferroswarm/test/messages/1.0.0'
const LIMIT = 4_096
/** Part of the window that a test may fill without credit. */
const PIECE = 16_000

interface Attack {
  readonly stand: Stand
  readonly session: RawSession
  readonly messages: Messages
}

/** A stream of messages at the node, opened by a raw peer. */
async function attack(t: ExecutionContext, options: MessagesOptions): Promise<Attack> {
  const stand = await createStand(t)
  const taken = Promise.withResolvers<Messages>()
  stand.node.handle(PROTOCOL, (stream) => {
    taken.resolve(stream.messages(options))
  })
  const peer = await RawPeer.connect(t, stand.port)
  const session = await peer.dial()
  session.send(...opening(1, PROTOCOL))
  return { stand, session, messages: await taken.promise }
}

/** Asserts that the connection and the bystander still work. */
async function stillWorks(t: ExecutionContext, { stand, session }: Attack): Promise<void> {
  session.send(...opening(3, ECHO_PROTOCOL, Uint8Array.of(7)), { ...OPEN, id: 3, flags: FIN })
  t.deepEqual(await answerOn(session, 3, ECHO_PROTOCOL, 1), Buffer.of(7))
  await stand.echo()
}

function send(session: RawSession, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += PIECE) {
    session.send({ type: DATA, id: 1, body: bytes.subarray(at, at + PIECE) })
  }
}

const LIES: Readonly<Record<string, readonly [Framing, Buffer, typeof MsgioError]>> = {
  'a varint of eleven bytes (A105)': ['varint', Buffer.alloc(11, 0x80), MsgioError],
  'a varint of 2^64 - 1 (A106)': ['varint', Buffer.from('ffffffffffffffffff01', 'hex'), MsgioError],
  'a varint that is not minimal (A107)': ['varint', Buffer.from('818000', 'hex'), MsgioError],
  'a length of 2^31 - 1 (A108)': ['fixed32', Buffer.from('7fffffff', 'hex'), MessageTooLargeError],
  'a length of 2^31 (A108)': ['fixed32', Buffer.from('80000000', 'hex'), MessageTooLargeError],
  'a length of 2^32 - 1 (A108)': ['fixed32', Buffer.from('ffffffff', 'hex'), MessageTooLargeError],
  'a length one above the limit (A109)': [
    'fixed32',
    Buffer.from('00001001', 'hex'),
    MessageTooLargeError
  ]
}

for (const [what, [framing, prefix, error]] of Object.entries(LIES)) {
  test(`${what} is refused at the prefix, and the message before it is delivered`, async (t) => {
    const attacked = await attack(t, { framing, maxMessageBytes: LIMIT })
    const honest = pattern(LIMIT)
    const first = framing === 'varint' ? varint(LIMIT) : Buffer.from('00001000', 'hex')
    send(attacked.session, Buffer.concat([first, honest, prefix]))
    const { messages } = attacked
    t.deepEqual(new Uint8Array(await messages.readMsg()), honest)
    await t.throwsAsync(messages.readMsg(), { instanceOf: error })
    await stillWorks(t, attacked)
  })
}

test('a message truncated by the end of its stream is not delivered (A111)', async (t) => {
  const attacked = await attack(t, { framing: 'fixed32' })
  const { session, messages } = attacked
  send(session, Buffer.from('00000002aabb00000010cc', 'hex'))
  session.send({ ...OPEN, flags: FIN })
  t.deepEqual(Buffer.from(await messages.readMsg()), Buffer.of(0xaa, 0xbb))
  await t.throwsAsync(messages.readMsg(), { instanceOf: MissingMessageError })
  await stillWorks(t, attacked)
})
