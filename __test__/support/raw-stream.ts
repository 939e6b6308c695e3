/** Streams of a raw session, conforming unless a test deviates. */
import { DATA, FIN, OPEN, RST } from './bad-input.ts'
import { line, MULTISTREAM, type RawFrame, type RawSession } from './raw-peer.ts'

/** Returns both lines that negotiate a protocol, the same from either side. */
export function lines(protocol: string): Buffer {
  return Buffer.concat([line(MULTISTREAM), line(protocol)])
}

/** Returns frames that open stream `id`, negotiate `protocol` and send `bytes`. */
export function opening(id: number, protocol: string, bytes: Uint8Array = Buffer.of()): RawFrame[] {
  return [
    { ...OPEN, id },
    { type: DATA, id, body: Buffer.concat([lines(protocol), bytes]) }
  ]
}

/** Resolves to at least the next `count` bytes of stream `id`; skips other frames. */
export async function bytesOn(session: RawSession, id: number, count: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  while (bytes.length < count) {
    const frame = await session.frame()
    if (frame.type === DATA && frame.id === id) bytes = Buffer.concat([bytes, frame.body])
  }
  return bytes
}

/** Resolves to the bytes after the answer to the negotiation of `protocol`. */
export async function answerOn(
  session: RawSession,
  id: number,
  protocol: string,
  count: number
): Promise<Buffer> {
  const { length } = lines(protocol)
  return (await bytesOn(session, id, length + count)).subarray(length)
}

/** Resolves to the next frame of stream `id` with one of these flags. */
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

/** Resolves when each of these streams has had a frame with one of these flags, in any order. */
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

/** Resolves to the way in which stream `id` ends. */
export async function endOn(session: RawSession, id: number): Promise<'end' | 'reset'> {
  const { flags } = await flagOn(session, id, FIN | RST)
  return (flags & RST) !== 0 ? 'reset' : 'end'
}
