/** The framers of `ferroswarm/io`, by framing. */
import {
  type BaseMsgReadWriter,
  FixedLengthMsgReadWriter,
  type Framing,
  MESSAGE_BYTES_MAX,
  type ReadWriteCloser,
  VarintMsgReadWriter
} from '../../ts/io/index.ts'
import { ScriptedCarrier } from './readers.ts'

export const FRAMINGS: readonly Framing[] = ['varint', 'fixed8', 'fixed16', 'fixed32', 'fixed64']
const LENGTH_BYTES = { fixed8: 1, fixed16: 2, fixed32: 4, fixed64: 8 } as const

/** Creates a framer over `carrier`. */
export function framer(
  framing: Framing,
  carrier: ReadWriteCloser,
  maxMessageBytes = MESSAGE_BYTES_MAX
): BaseMsgReadWriter {
  if (framing === 'varint') return new VarintMsgReadWriter(carrier, { maxMessageBytes })
  const lengthBytes = LENGTH_BYTES[framing]
  return new FixedLengthMsgReadWriter(carrier, { lengthBytes, maxMessageBytes })
}

/** Encodes messages as they are on the wire. */
export function wireOf(framing: Framing, messages: readonly Uint8Array[]): Uint8Array {
  const encoder = framer(framing, new ScriptedCarrier([]))
  return new Uint8Array(Buffer.concat(messages.map((message) => encoder.encodeMsg(message))))
}
