/** The negotiations that the upgrader of libp2p sees over a native connection. */
import test from 'ava'
import { VirtualNegotiation } from '../../ts/libp2p/virtual-negotiation.ts'

const line = (text: string): Buffer =>
  Buffer.from(`${String.fromCharCode(text.length + 1)}${text}\n`)
const HEADER = line('/multistream/1.0.0')

function negotiation(protocol: string): { remote: VirtualNegotiation; sent: () => string } {
  const chunks: Uint8Array[] = []
  const remote = new VirtualNegotiation(protocol, (bytes) => chunks.push(bytes))
  return { remote, sent: () => Buffer.concat(chunks).toString('latin1') }
}

test('the settled protocol is accepted, others are refused', (t) => {
  const { remote, sent } = negotiation('/tls/1.0.0')
  remote.answer(Buffer.concat([HEADER, line('/noise')]))
  remote.answer(line('/tls/1.0.0'))
  t.is(sent(), Buffer.concat([HEADER, line('na'), line('/tls/1.0.0')]).toString('latin1'))
})

test('lines may be split anywhere', (t) => {
  const { remote, sent } = negotiation('/noise')
  for (const byte of Buffer.concat([HEADER, line('/noise')])) remote.answer(Uint8Array.of(byte))
  t.is(sent(), Buffer.concat([HEADER, line('/noise')]).toString('latin1'))
})

test('an upgrader that waits for proposals gets the settled one', (t) => {
  const { remote, sent } = negotiation('/noise')
  remote.propose()
  t.is(sent(), Buffer.concat([HEADER, line('/noise')]).toString('latin1'))
})

test('a line beyond the limit is refused', (t) => {
  const { remote } = negotiation('/noise')
  t.throws(() => remote.answer(Uint8Array.of(0xff, 0x7f)), { instanceOf: RangeError })
})
