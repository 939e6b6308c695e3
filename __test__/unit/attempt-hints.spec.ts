/** What the entry of an attempt advises. */
import test from 'ava'
import { adviceFor, furthest } from '../../ts/cli/failure.ts'
import { attemptOf } from '../../ts/dial/failure.ts'
import { ERROR_CODES, type ErrorCode } from '../../ts/errors.ts'

const at = (stage: string, code: ErrorCode) =>
  attemptOf('/ip4/192.0.2.1/udp/1/quic-v1', {
    stage,
    code: ERROR_CODES[code],
    detail: '',
    elapsedMs: 1
  })

test('a listener of QUIC that refuses a connection is not said to be absent', (t) => {
  const refused = at('security', 'ERR_CONNECTION_REFUSED')
  t.is(refused.hint, 'the remote may be at a limit, refuse this node, or not speak libp2p')
  t.regex(adviceFor(refused.cause, refused.stage), /^The other side hung up/)
  const absent = at('connect', 'ERR_CONNECTION_REFUSED')
  t.is(absent.hint, 'nothing listens there')
  t.regex(adviceFor(absent.cause, absent.stage), /^Check the port, and that the other node/)
})

test('an attempt that was abandoned in the private network does not blame its key', (t) => {
  t.is(at('psk', 'ERR_ABORTED').hint, '')
  t.is(at('psk', 'ERR_INTERNAL').hint, '')
  for (const code of ['ERR_TIMEOUT', 'ERR_CONNECTION_ENDED', 'ERR_CONNECTION_RESET'] as const) {
    t.regex(at('psk', code).hint, /^compare the option psk of both nodes/)
  }
})

test('the stage of a private network is one of the handshake for the command line', (t) => {
  const stages = ['filter', 'connect', 'psk', 'security'].map((stage) => at(stage, 'ERR_TIMEOUT'))
  for (const [index, further] of stages.entries())
    t.is(furthest(stages.slice(0, index + 1)), further)
  t.regex(adviceFor(at('psk', 'ERR_TIMEOUT').cause, 'psk'), /does not answer the handshake/)
})
