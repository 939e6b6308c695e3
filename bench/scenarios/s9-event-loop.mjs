// S9: the event loop of a process that receives or sends, and the effect of one peer's load on another.

import { runClient, startClient } from '../peer-process.mjs'
import { ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { runWorkload } from '../runner/servers.mjs'
import { NOISE, operations, P50, P99 } from '../runner/workloads.mjs'

/** Bytes received per second: 1 Gbit/s. */
const PACE = 125_000_000
/** Bytes that a server sends before its rate is known. */
const FIRST_BYTES = 32 * 1024 * 1024
/** A rate above that of any peer. */
const FLOOD = 100 * PACE
/** Upper bound; the flood ends with the measurement. */
const FLOOD_SECONDS = 3_600

const percent = ownAtMost(12, 4)
const delay = ownAtMost(5, 1)
const sendingDelay = ownAtMost(6, 3)

scenario({
  id: 'S9',
  name: 'event-loop',
  title: 'Event loop under load',
  inFull: [NOISE],
  series: [
    {
      workload: 'paced',
      run: paced,
      // The others have no event loop.
      peers: ['ours', 'js', 'net'],
      figures: [
        {
          id: 'loop-utilisation',
          title: 'event loop utilisation, receiving 125 MB/s',
          unit: '%',
          better: 'less',
          value: ({ loop }) => 100 * loop.utilization,
          floors: { [NOISE]: [percent] }
        },
        {
          id: 'loop-delay',
          title: 'event loop delay p99, receiving 125 MB/s',
          unit: 'ms',
          better: 'less',
          value: ({ loop }) => loop.p99_us / 1_000,
          floors: { [NOISE]: [delay] }
        },
        {
          id: 'paced-rate',
          title: 'received of 125 MB/s',
          unit: 'MB/s',
          better: 'more',
          value: (line) => line.MBps
        }
      ]
    },
    {
      workload: 'download',
      flag: 'bytes',
      first: FIRST_BYTES,
      run: sending,
      peers: ['ours', 'js', 'net'],
      figures: [
        {
          id: 'sending-loop-delay',
          title: 'event loop delay p99, sending at full rate',
          unit: 'ms',
          better: 'less',
          value: ({ loop }) => loop.p99_us / 1_000,
          floors: { [NOISE]: [sendingDelay] }
        },
        {
          id: 'sending-rate',
          title: 'send rate meanwhile',
          unit: 'MB/s',
          better: 'more',
          value: (line) => line.MBps
        }
      ]
    },
    {
      ...operations('ping', 200),
      workload: 'paced',
      run: besideFlood,
      figures: [
        { ...P50, id: 'loaded-p50', title: 'echo p50 while another peer sends at full rate' },
        { ...P99, id: 'loaded-p99', title: 'echo p99 while another peer sends at full rate' }
      ]
    }
  ]
})

/** Measures the server's event loop during the transfer only. */
async function paced(target, _size, { servers, plan }) {
  const server = await servers.of(target)
  const client = await readyToSend(target, server, PACE, plan.secondsPerRound)
  try {
    await server.command('watch')
    client.send('')
    const line = await client.line()
    const { loop } = await server.command('stats')
    return { ...line, loop }
  } finally {
    await client.kill()
  }
}

/** Measures the event loop of a sending server, including the client's warm-up, which is the same work. */
async function sending(target, bytes, { servers }) {
  const { command, stack } = target
  const server = await servers.of(target)
  await server.command('watch')
  const line = await runClient(command, stack, server.addr, { workload: 'download', bytes })
  const { loop } = await server.command('stats')
  return { ...line, loop }
}

async function besideFlood(target, size, { servers }) {
  const flood = await readyToSend(target, await servers.of(target), FLOOD, FLOOD_SECONDS)
  try {
    flood.send('')
    // By the time this client has started and connected, the other one sends at its full rate.
    return await runWorkload({ workload: 'ping', flag: 'n' }, target, size, { servers })
  } finally {
    await flood.kill()
  }
}

/** Returns a connected and warmed-up client, which sends after `send('')`. */
async function readyToSend({ command, stack }, { addr }, rate, seconds) {
  const client = startClient(command, stack, addr, { workload: 'paced', rate, seconds })
  try {
    await client.line()
    return client
  } catch (err) {
    await client.kill()
    throw err
  }
}
