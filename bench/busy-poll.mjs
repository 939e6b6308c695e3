/**
 * Compares echoes of 32 B with and without busy polling, with 1 and 32 connections, alone and beside a process that
 * wants a core. Prints the median latency, and the CPU time of both ends per echo.
 *
 *     node bench/busy-poll.mjs
 */
import { createSwarm } from 'ferroswarm'
import { median } from './report/statistics.mjs'
import { ask, cpuUs, run, start } from './roles.mjs'

const PROTOCOL = '/bench/busy-poll/1.0.0'
const LIMITS_US = [0, 100]
const ROUNDS = 15
/** Echoes of one connection in a round, by the number of connections. */
const ECHOES = { 1: 3_000, 32: 150 }

/** As many connections between two nodes as the scenario has. */
const optionsOf = (busyPoll) => ({
  busyPoll: Number(busyPoll),
  limits: 'unlimited',
  connections: { maxPerPeer: Number.POSITIVE_INFINITY }
})

const ROLES = { server: serve, client: dial, neighbour: spin }

/** Answers each message with the CPU time used so far, in microseconds. */
async function serve(busyPoll) {
  const swarm = await createSwarm(optionsOf(busyPoll))
  swarm.handle(PROTOCOL, async (stream) => {
    for await (const bytes of stream) await stream.write(bytes)
  })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  process.on('message', () => process.send(cpuUs()))
  process.send(String(swarm.getListenAddrs()[0]))
}

/** Echoes a round for each message, and answers with its figures. */
async function dial(busyPoll, address, connections) {
  const swarm = await createSwarm(optionsOf(busyPoll))
  const streams = []
  for (let index = 0; index < Number(connections); index += 1) {
    const connection = await swarm.dialAddr(address, { force: true })
    streams.push(await connection.newStream(PROTOCOL))
  }
  const echoes = ECHOES[connections]
  await Promise.all(streams.map((stream) => echo(stream, echoes, [])))
  process.on('message', async () => {
    const latencies = []
    const before = cpuUs()
    await Promise.all(streams.map((stream) => echo(stream, echoes, latencies)))
    process.send({ p50: median(latencies), cpu: cpuUs() - before, count: latencies.length })
  })
  process.send('ready')
}

async function echo(stream, count, latencies) {
  const message = new Uint8Array(32)
  for (let index = 0; index < count; index += 1) {
    const begun = performance.now()
    await stream.write(message)
    await stream.read(message.length)
    latencies.push((performance.now() - begun) * 1_000)
  }
}

function spin() {
  process.send('ready')
  setImmediate(() => {
    while (process.connected);
  })
}

/** Measures both settings in turn, and prints a line for each. */
async function compare(connections, title) {
  const peers = []
  for (const limit of LIMITS_US) {
    const server = await start(import.meta.url, 'server', limit)
    const client = await start(import.meta.url, 'client', limit, server.greeting, connections)
    peers.push({ limit, server, client, latencies: [], cpu: [] })
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const peer of round % 2 === 0 ? peers : peers.toReversed()) {
      const before = await ask(peer.server)
      const { p50, cpu, count } = await ask(peer.client)
      peer.latencies.push(p50)
      peer.cpu.push((cpu + (await ask(peer.server)) - before) / count)
    }
  }
  for (const { limit, server, client, latencies, cpu } of peers) {
    const figures = `p50 ${median(latencies).toFixed(1)} us, CPU ${median(cpu).toFixed(1)} us per echo`
    console.log(`${title}, ${connections} connections, busyPoll ${limit}: ${figures}`)
    server.child.kill()
    client.child.kill()
  }
}

async function main() {
  for (const connections of Object.keys(ECHOES)) await compare(connections, 'alone')
  const { child } = await start(import.meta.url, 'neighbour')
  for (const connections of Object.keys(ECHOES)) await compare(connections, 'with a neighbour')
  child.kill('SIGKILL')
}

await run(ROLES, main)
