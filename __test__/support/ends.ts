/** Runs the two ends of some traffic, each in its own worker. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'
import type { Counted } from './counts.ts'
import { programUrl } from './program.ts'

/** Runs a program twice: as listener, and as dialer with the listener's address in `to`. */
export async function countEnds(
  t: ExecutionContext,
  program: string,
  options: object
): Promise<{ listener: Counted; dialer: Counted }> {
  const end = (to?: string): Worker => {
    const worker = new Worker(programUrl(program), { workerData: { ...options, to } })
    t.teardown(() => worker.terminate())
    return worker
  }
  const listener = end()
  const [{ address }] = (await once(listener, 'message')) as [{ address: string }]
  const dialer = end(address)
  const [[there], [here]] = (await Promise.all([
    once(listener, 'message'),
    once(dialer, 'message')
  ])) as [[Counted], [Counted]]
  return { listener: there, dialer: here }
}
