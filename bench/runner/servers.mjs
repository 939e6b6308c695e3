// The servers of a scenario, and clients against them.

import { runClient, startServer } from '../peer-process.mjs'

/** Of the work of a run, what is done before its timed part: compilers have seen it then. */
const WARM_UP_PART = 1 / 8

/** One server a peer for all of a scenario: a server is a process that runs for long. */
export class Servers {
  #running = new Map()

  async of({ peer, command, stack }) {
    const running = this.#running.get(peer) ?? (await startServer(command, stack))
    this.#running.set(peer, running)
    return running
  }

  /** Stops that of a peer; the next run has another one. */
  async drop({ peer }) {
    const server = this.#running.get(peer)
    this.#running.delete(peer)
    await server?.stop()
  }

  async stop() {
    for (const peer of [...this.#running.keys()]) await this.drop({ peer })
  }
}

/** One run of a workload: the client's line, and what the server spent on it and counted meanwhile. */
export async function runWorkload({ workload, args, flag, untimed }, target, size, { servers }) {
  const server = await servers.of(target.server ?? target)
  const warmUp = untimed === undefined ? Math.ceil(size * WARM_UP_PART) : undefined
  const asked = { workload, ...args, [flag]: size, 'warm-up': warmUp }
  try {
    const before = await server.ask('stats')
    const line = await runClient(target.command, target.stack, server.addr, asked)
    const after = await server.ask('stats')
    // The server's part holds the warm-up as well, which is the same work.
    const share =
      untimed === undefined ? size / (size + warmUp) : line.bytes / (line.bytes + untimed)
    const grown = growth(before, after)
    return {
      ...line,
      server_cpu_s: (grown.cpu_user_s + grown.cpu_sys_s) * share,
      server_counters: growth(before.counters, after.counters, share)
    }
  } catch (err) {
    // It may be the server that is broken, and if it ended badly, that is told as well.
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
