/**
 * A connection whose network goes down: prints the first `socketFailed` that is logged, as JSON. Takes down the
 * loopback interface, so it needs its own network namespace; a small `tcp_retries2` there makes it give up soon.
 */
import { execFileSync } from 'node:child_process'
import type { Diagnostic } from '../../../ts/diagnostics/report.ts'
import { createSwarm } from '../../../ts/swarm.ts'

const OPTIONS = { ioThreads: 1, services: { ping: false, identify: false } } as const

const info = (message: string, detail?: unknown): void => {
  const fact = detail as Diagnostic | undefined
  if (fact?.name !== 'socketFailed') return
  console.log(JSON.stringify({ level: 'info', message, fact, connection: connection.id }))
  process.exit()
}
const listener = await createSwarm(OPTIONS)
const dialer = await createSwarm({ ...OPTIONS, logger: { info } })
await listener.listen('/ip4/127.0.0.1/tcp/0')
const connection = await dialer.dialAddr(`${listener.getListenAddrs()[0]}`)
execFileSync('ip', ['link', 'set', 'lo', 'down'])
const stream = await connection.newStream('/lost')
await stream.write(new Uint8Array(1_000))
