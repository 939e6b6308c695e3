/** Our side of the protocols in interop/contract.md that a swarm does not serve by default. */
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { echo } from './echo.ts'

/** Protocols by workload. */
export const CONTRACT = {
  requests: '/bench/rr/1.0.0',
  echo: '/bench/echo/1.0.0',
  reset: '/bench/reset/1.0.0'
} as const

/** Code sent by the reset handler. */
export const RESET_CODE = 42

/** Size of a request's length prefix. */
const PREFIX_BYTES = 4

/** Serves all of them. */
export function serveContract(swarm: Pick<Swarm, 'handle'>): void {
  swarm.handle(CONTRACT.requests, answer)
  swarm.handle(CONTRACT.echo, echo)
  swarm.handle(CONTRACT.reset, async (stream) => {
    await stream.read(1)
    await stream.reset(RESET_CODE)
  })
}

/** Encodes a request: its length, then its bytes. */
export function requestOf(payload: Uint8Array): Uint8Array {
  const request = new Uint8Array(PREFIX_BYTES + payload.length)
  new DataView(request.buffer).setUint32(0, payload.length)
  request.set(payload, PREFIX_BYTES)
  return request
}

async function answer(stream: Stream): Promise<void> {
  const request = await stream.read()
  const length = new DataView(request.buffer, request.byteOffset).getUint32(0)
  const payload = request.subarray(PREFIX_BYTES)
  if (payload.length !== length) {
    throw new Error(`expected a request of ${length} bytes, received ${payload.length}`)
  }
  await stream.write(payload)
  await stream.close()
}
