/** A node under attack in its own process, and a bystander in this one. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { ConnectionConfig } from '../../ts/connection/config.ts'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import { createSwarm } from '../../ts/swarm.ts'
import type { VictimFigures } from './programs/victim.ts'
import { ECHO_PROTOCOL } from './stand.ts'

export interface Victim {
  readonly port: number
  readonly pid: number
  figures(): Promise<VictimFigures>
  /** Blocks its event loop; resolves to the figures afterwards. */
  block(ms: number): Promise<VictimFigures>
  /** Polls the figures until `matches` returns true; rejects after `ms`. */
  figuresWhen(matches: (figures: VictimFigures) => boolean, ms?: number): Promise<VictimFigures>
  /** Makes a round trip of the bystander's on a new stream; rejects if no echo arrives. */
  echo(): Promise<void>
  close(): Promise<void>
}

/**
 * Starts a victim with these limits and options on a free port, by default of 127.0.0.1 and with nothing `over` TCP; `descriptors` limits the files
 * that its process can open. The bystander dials it on loopback.
 */
export async function startVictim(
  limits: LimitConfig = {},
  options: {
    host?: '127.0.0.1' | '::'
    over?: '' | '/ws'
    descriptors?: number
    connections?: Omit<ConnectionConfig, 'strategy'>
  } = {}
): Promise<Victim> {
  const { host = '127.0.0.1', over = '', descriptors, connections = {} } = options
  const path = new URL('./programs/victim.ts', import.meta.url)
  const execArgv = ['--expose-gc']
  const limited = ['-c', `ulimit -n ${descriptors}; exec "$0" "$@"`, process.execPath, ...execArgv]
  const child = fork(path, [JSON.stringify({ limits, connections }), host, over], {
    ...(descriptors === undefined ? { execArgv } : { execPath: '/bin/sh', execArgv: limited }),
    // With one arena per thread, free memory would look like a leak.
    env: { ...process.env, MALLOC_ARENA_MAX: '2' }
  })
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the victim has ended')))
  ended.catch(() => {})
  const answer = async <T>(): Promise<T> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [T]
    return message
  }
  const { port } = await answer<{ port: number }>()
  const swarm = await createSwarm({ services: { ping: false, identify: false } })
  const connection = await swarm.dialAddr(
    `${host === '127.0.0.1' ? '/ip4/127.0.0.1' : '/ip6/::1'}/tcp/${port}${over}`
  )
  const victim: Victim = {
    port,
    // It has answered, so it was spawned.
    pid: child.pid ?? 0,
    figures() {
      child.send('figures')
      return answer<VictimFigures>()
    },
    block(ms) {
      child.send(ms)
      return answer<VictimFigures>()
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
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    }
  }
  await victim.echo()
  return victim
}
