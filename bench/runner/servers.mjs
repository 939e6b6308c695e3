// The servers of a scenario, and clients against them.

import { cpuSeconds, runClient, startServer } from '../peer-process.mjs'

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

/** One run of a workload: the client's line, and the CPU time that the server spent on it. */
export async function runWorkload({ workload, args, flag, untimed }, target, size, { servers }) {
  const server = await servers.of(target.server ?? target)
  const asked = { workload, ...args, [flag]: size }
  const before = cpuSeconds(server.pid)
  let line
  let after
  try {
    line = await runClient(target.command, target.stack, server.addr, asked, () => {
      after = cpuSeconds(server.pid)
    })
  } catch (err) {
    // It may be the server that is broken, and if it ended badly, that is told as well.
    await servers.drop(target.server ?? target).catch(({ message }) => {
      err.message += `; the server: ${message}`
    })
    throw err
  }
  // The server's time holds the warm-up as well, which moves the same bytes in the same way.
  const share = untimed === undefined ? 1 : line.bytes / (line.bytes + untimed)
  return { ...line, server_cpu_s: (after - before) * share }
}
