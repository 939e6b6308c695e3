/**
 * Compares connections over upgraded TCP sockets with those over native ones: an upload of 64 MiB, and echoes of 32 B.
 * Prints medians, and the CPU time of both ends.
 *
 *     node bench/duplexes.mjs
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { createSwarm } from 'ferroswarm'
import { environment } from './environment.mjs'
import { median } from './report/statistics.mjs'
import { ask, cpuUs, run, start } from './roles.mjs'

const PROTOCOL = '/bench/duplexes/1.0.0'
const KINDS = ['native', 'upgraded']
const ROUNDS = 9
const UPLOAD_BYTES = 64 << 20
const WRITE_BYTES = 256 << 10
const ECHOES = 3_000

/** Echoes messages, or counts an upload and answers with a byte; answers each message with its CPU time. */
async function serve(kind) {
  const swarm = await createSwarm()
  swarm.handle(PROTOCOL, async (stream) => {
    const [work] = await stream.read(1)
    if (work === 1) for await (const bytes of stream) await stream.write(bytes)
    else for await (const _ of stream);
    await stream.write(new Uint8Array(1))
    await stream.close()
  })
  process.on('message', () => process.send(cpuUs()))
  process.send({ peer: `${swarm.peerId}`, port: await listen(kind, swarm) })
}

async function listen(kind, swarm) {
  if (kind === 'native') {
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    return swarm.getListenAddrs()[0].toString().split('/').at(-1)
  }
  const server = createServer({ noDelay: true }, (socket) => void swarm.upgradeInbound(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server.address().port
}

/** Does the work that each message names, and answers with its figures. */
async function dial(kind, peer, port) {
  const swarm = await createSwarm()
  const connection =
    kind === 'native'
      ? await swarm.dialPeer(peer, { addresses: [`/ip4/127.0.0.1/tcp/${port}`] })
      : await swarm.upgradeOutbound(connect({ port: Number(port), noDelay: true }), peer)
  const works = { upload, echo }
  process.on('message', async (work) => {
    const before = cpuUs()
    const figure = await works[work](connection)
    process.send({ figure, cpu: cpuUs() - before })
  })
  process.send('ready')
}

/** Resolves to megabytes per second. */
async function upload(connection) {
  const stream = await connection.newStream(PROTOCOL)
  const chunk = new Uint8Array(WRITE_BYTES)
  await stream.write(Uint8Array.of(0))
  const began = performance.now()
  for (let sent = 0; sent < UPLOAD_BYTES; sent += chunk.length) await stream.write(chunk)
  await stream.closeWrite()
  await stream.read(1)
  return UPLOAD_BYTES / 1_000 / (performance.now() - began)
}

/** Resolves to the median in microseconds. */
async function echo(connection) {
  const stream = await connection.newStream(PROTOCOL)
  const message = new Uint8Array(32)
  await stream.write(Uint8Array.of(1))
  const latencies = []
  for (let index = 0; index < ECHOES; index += 1) {
    const began = performance.now()
    await stream.write(message)
    await stream.read(message.length)
    latencies.push((performance.now() - began) * 1_000)
  }
  await stream.close()
  return median(latencies)
}

async function main() {
  const { node, kernel, cpu } = environment()
  console.log(
    `${cpu}; ${kernel}; node ${node}; medians of ${ROUNDS} rounds, after one of warming up`
  )
  const peers = []
  for (const kind of KINDS) {
    const server = await start(import.meta.url, 'server', kind)
    const { peer, port } = server.greeting
    peers.push({ kind, server, client: await start(import.meta.url, 'client', kind, peer, port) })
  }
  await compare(peers, 'upload', ({ figure, cpu: us }) => [
    [figure, 'MB/s'],
    [us / (UPLOAD_BYTES >> 20), 'us of CPU per MiB']
  ])
  await compare(peers, 'echo', ({ figure, cpu: us }) => [
    [figure, 'us'],
    [us / ECHOES, 'us of CPU each']
  ])
  for (const { server, client } of peers) for (const { child } of [server, client]) child.kill()
}

/** Measures both kinds in turn, and prints a line for each. */
async function compare(peers, work, figuresOf) {
  const rounds = new Map(peers.map(({ kind }) => [kind, []]))
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const { kind, server, client } of round % 2 === 0 ? peers : peers.toReversed()) {
      const before = await ask(server)
      const { figure, cpu } = await ask(client, work)
      const figures = figuresOf({ figure, cpu: cpu + (await ask(server)) - before })
      if (round > 0) rounds.get(kind).push(figures)
    }
  }
  for (const [kind, all] of rounds) {
    const medians = all[0].map(
      ([, unit], at) => `${median(all.map((it) => it[at][0])).toFixed(1)} ${unit}`
    )
    console.log(`${work}, ${kind}: ${medians.join(', ')}`)
  }
}

await run({ server: serve, client: dial }, main)
