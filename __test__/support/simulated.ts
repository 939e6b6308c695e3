/** Simulated networks for tests, closed when the test ends. */
import type { ExecutionContext } from 'ava'
import type { Connection, Stream, Swarm } from '../../ts/index.ts'
import {
  type NodeOptions,
  type SimulatedNetwork,
  type SimulationOptions,
  simulate
} from '../../ts/testing/index.ts'

/** A protocol whose handler returns every byte. */
export const ECHO = '/echo/1.0.0'

/** Nodes without services: whatever happens between them is the test's. */
export const QUIET: NodeOptions = { services: { ping: false, identify: false } }

/** Makes a network. */
export function simulated(t: ExecutionContext, options: SimulationOptions = {}): SimulatedNetwork {
  const net = simulate(options)
  t.teardown(() => net.close())
  return net
}

/** A network of two nodes, of which the second one echoes, and a connection from `a` to `b`. */
export interface SimulatedPair {
  readonly net: SimulatedNetwork
  readonly a: Swarm
  readonly b: Swarm
  readonly outbound: Connection
  /** Opens a stream to the echo. */
  open(): Promise<Stream>
}

/** Makes a network of two connected nodes. */
export async function simulatedPair(
  t: ExecutionContext,
  options: SimulationOptions = {},
  nodes: NodeOptions = QUIET
): Promise<SimulatedPair> {
  const net = simulated(t, options)
  const a = await net.node('a', nodes)
  const b = await net.node('b', nodes)
  serveEcho(b)
  const outbound = await net.run(a.dialAddr(net.address('b')))
  return { net, a, b, outbound, open: () => net.run(outbound.newStream(ECHO)) }
}

/** Serves the echo. */
export function serveEcho(swarm: Swarm): void {
  swarm.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
}

/** Sends `text` on a stream; resolves to as many bytes of the answer, once virtual time has passed. */
export async function echoed(stream: Stream, text: string): Promise<string> {
  await stream.write(Buffer.from(text))
  let answer = ''
  while (answer.length < text.length) answer += `${Buffer.from(await stream.read(64 * 1024))}`
  return answer
}
