// One scenario of one run: every peer in turn, round by round, each round beginning with another peer.

import { cpuSeconds, residentKiB, runClient, startServer } from './peer-process.mjs'
import { IDLE_CONCURRENCY, IDLE_WARM_UP, workOf } from './scenarios.mjs'

/**
 * The lines of every round by peer: `{ ours: [line, ...], js: [...] }`; a line is what the client printed plus
 * what the server spent, or `{ error }`.
 */
export async function measure(scenario, stack, commands, { rounds, scale }, onRun) {
  const peers = Object.keys(commands)
  const lines = Object.fromEntries(peers.map((peer) => [peer, []]))
  const servers = scenario.name === 'idle' ? undefined : await startServers(commands, stack)
  try {
    for (let round = 0; round < Math.min(rounds, scenario.roundsMax ?? rounds); round += 1) {
      for (let turn = 0; turn < peers.length; turn += 1) {
        const peer = peers[(round + turn) % peers.length]
        const work = workOf(scenario, peer, scale)
        const command = commands[peer]
        const line = await (servers === undefined
          ? measureIdle(command, stack, work)
          : measureRate(scenario, command, stack, servers[peer], work)
        ).catch((err) => ({ error: err.message }))
        lines[peer].push(line)
        onRun(peer, round, line)
      }
    }
  } finally {
    for (const server of Object.values(servers ?? {})) await server.stop()
  }
  return lines
}

/** One server a peer for all rounds of a scenario: a server is a process that runs for long. */
async function startServers(commands, stack) {
  const servers = {}
  for (const [peer, command] of Object.entries(commands)) {
    servers[peer] = await startServer(command, stack)
  }
  return servers
}

async function measureRate(scenario, command, stack, server, work) {
  const before = cpuSeconds(server.pid)
  let line
  let after
  const args = { workload: scenario.name, ...scenario.args, [scenario.flag]: work }
  await runClient(command, stack, server.addr, args, (printed) => {
    after = cpuSeconds(server.pid)
    line = printed
  })
  // The server's time holds the warm-up as well, which moves the same bytes in the same way.
  const share = scenario.untimed === undefined ? 1 : line.bytes / (line.bytes + scenario.untimed)
  return { ...line, server_cpu_s: (after - before) * share }
}

/** A server of its own: memory that another round left behind would hide what this one takes. */
async function measureIdle(command, stack, n) {
  const server = await startServer(command, stack)
  try {
    const warmUp = { workload: 'handshake-16', n: IDLE_WARM_UP }
    await runClient(command, stack, server.addr, warmUp, () => {})
    const line = { ops: n }
    const args = { workload: 'idle', n, concurrency: IDLE_CONCURRENCY }
    await runClient(command, stack, server.addr, args, ({ phase, rss_kb }) => {
      line[`server_${phase}_kb`] = residentKiB(server.pid)
      line[`client_${phase}_kb`] = rss_kb
    })
    return line
  } finally {
    await server.stop()
  }
}
