/** A node under attack in its own process, and a bystander in this one. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import { createSwarm } from '../../ts/swarm.ts'
import type { VictimFigures } from './programs/victim.ts'
import { ECHO_PROTOCOL } from './stand.ts'

export interface Victim {
  readonly port: number
  figures(): Promise<VictimFigures>
  /** Polls the figures until `matches` returns true; rejects after `ms`. */
  figuresWhen(matches: (figures: VictimFigures) => boolean, ms?: number): Promise<VictimFigures>
  /** Makes a round trip of the bystander's on a new stream; rejects if no echo arrives. */
  echo(): Promise<void>
  close(): Promise<void>
}

export async function startVictim(limits: LimitConfig = {}): Promise<Victim> {
  const path = new URL('./programs/victim.ts', import.meta.url)
  const child = fork(path, [JSON.stringify(limits)], {
    execArgv: ['--expose-gc'],
    // With one arena per thread, free memory would look like a leak.
    env: { ...process.env, MALLOC_ARENA_MAX: '2' }
  })
  const { port } = await answer<{ port: number }>(child)
  const swarm = await createSwarm({ services: { ping: false, identify: false } })
  const connection = await swarm.dialAddr(`/ip4/127.0.0.1/tcp/${port}`)
  const victim: Victim = {
    port,
    figures() {
      child.send('figures')
      return answer<VictimFigures>(child)
    },
    async figuresWhen(matches, ms = 15_000) {
      const end = Date.now() + ms
      for (;;) {
        const figures = await victim.figures()
        if (matches(figures)) return figures
        if (Date.now() > end) throw new Error(`the victim's figures are ${JSON.stringify(figures)}`)
      }
    },
    async echo() {
      const signal = AbortSignal.timeout(15_000)
      const stream = await connection.newStream(ECHO_PROTOCOL)
      await stream.write(new Uint8Array(1_024).fill(7), { signal })
      await stream.closeWrite({ signal })
      const back = await stream.read({ signal })
      if (back.length !== 1_024) throw new Error(`${back.length} of 1,024 bytes came back`)
    },
    async close() {
      await swarm.close({ drainTimeout: 0 })
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    }
  }
  await victim.echo()
  return victim
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the victim has ended')))
  ended.catch(() => {})
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [T]
  return message
}
