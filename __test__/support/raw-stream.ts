/** Streams of a raw session, by the book unless a test says otherwise. */
import { DATA, FIN, OPEN, RST } from './bad-input.ts'
import { line, MULTISTREAM, type RawFrame, type RawSession } from './raw-peer.ts'

/** Both lines that settle a protocol, as either side says them. */
export function lines(protocol: string): Buffer {
  return Buffer.concat([line(MULTISTREAM), line(protocol)])
}

/** Frames that open stream `id`, settle `protocol` and send `bytes`. */
export function opening(id: number, protocol: string, bytes: Uint8Array = Buffer.of()): RawFrame[] {
  return [
    { ...OPEN, id },
    { type: DATA, id, body: Buffer.concat([lines(protocol), bytes]) }
  ]
}

/** The next `count` bytes of stream `id`, whatever comes between them. */
export async function bytesOn(session: RawSession, id: number, count: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  while (bytes.length < count) {
    const frame = await session.frame()
    if (frame.type === DATA && frame.id === id) bytes = Buffer.concat([bytes, frame.body])
  }
  return bytes
}

/** Bytes after the answer to the negotiation of `protocol`. */
export async function answerOn(
  session: RawSession,
  id: number,
  protocol: string,
  count: number
): Promise<Buffer> {
  const { length } = lines(protocol)
  return (await bytesOn(session, id, length + count)).subarray(length)
}

/** The next frame of stream `id` with one of these flags. */
export async function flagOn(
  session: RawSession,
  id: number,
  flags: number
): Promise<Required<RawFrame>> {
  for (;;) {
    const frame = await session.frame()
    if (frame.id === id && (frame.flags & flags) !== 0) return frame
  }
}

/** A frame of each of these streams with one of these flags, in whatever order they come. */
export async function flagsOn(
  session: RawSession,
  ids: readonly number[],
  flags: number
): Promise<void> {
  const left = new Set(ids)
  while (left.size > 0) {
    const frame = await session.frame()
    if ((frame.flags & flags) !== 0) left.delete(frame.id)
  }
}

/** How stream `id` ends. */
export async function endOn(session: RawSession, id: number): Promise<'end' | 'reset'> {
  const { flags } = await flagOn(session, id, FIN | RST)
  return (flags & RST) !== 0 ? 'reset' : 'end'
}
