// The servers of a scenario, and clients that run against them.

import { runClient, startServer } from '../peer-process.mjs'

/** Fraction of a run's work done before its timed part, so that compilers have optimised the code. */
const WARM_UP_PART = 1 / 8

/** One server per peer for a whole scenario, as servers are long-running processes. */
export class Servers {
  #running = new Map()

  async of({ peer, command, stack }) {
    const running = this.#running.get(peer) ?? (await startServer(command, stack))
    this.#running.set(peer, running)
    return running
  }

  /** Stops the server of a peer; the next run starts another. */
  async drop({ peer }) {
    const server = this.#running.get(peer)
    this.#running.delete(peer)
    await server?.stop()
  }

  async stop() {
    for (const peer of [...this.#running.keys()]) await this.drop({ peer })
  }
}

/** Runs a workload once; resolves to the client's line with the server's CPU time and counters. */
export async function runWorkload({ workload, args, flag, untimed }, target, size, { servers }) {
  const server = await servers.of(target.server ?? target)
  const warmUp = untimed === undefined ? Math.ceil(size * WARM_UP_PART) : undefined
  const options = { workload, ...args, [flag]: size, 'warm-up': warmUp }
  try {
    const before = await server.command('stats')
    const line = await runClient(target.command, target.stack, server.addr, options)
    const after = await server.command('stats')
    // The server's figures include the warm-up, which is the same work.
    const share =
      untimed === undefined ? size / (size + warmUp) : line.bytes / (line.bytes + untimed)
    const grown = growth(before, after)
    return {
      ...line,
      server_cpu_s: (grown.cpu_user_s + grown.cpu_sys_s) * share,
      server_counters: growth(before.counters, after.counters, share)
    }
  } catch (err) {
    // The server may be broken as well; if it has failed, its error is appended.
    await servers.drop(target.server ?? target).catch(({ message }) => {
      err.message += `; the server: ${message}`
    })
    throw err
  }
}

function growth(before = {}, after = {}, share = 1) {
  const grown = Object.entries(after).map(([name, value]) => [name, (value - before[name]) * share])
  return Object.fromEntries(grown)
}
