// S9: the event loop of a process that receives or sends, and what one peer's load does to another peer.

import { runClient, startClient } from '../peer-process.mjs'
import { ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { runWorkload } from '../runner/servers.mjs'
import { NOISE, operations, P50, P99 } from '../runner/workloads.mjs'

/** Bytes a second that come in: 1 Gbit/s. */
const PACE = 125_000_000
/** Bytes that a server sends in the first round, before its rate is known. */
const FIRST_BYTES = 32 * 1024 * 1024
/** More than any peer sends. */
const FLOOD = 100 * PACE
/** The flood is ended by who measures beside it. */
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
      // The others have none.
      peers: ['ours', 'js', 'net'],
      figures: [
        {
          id: 'loop-utilisation',
          title: 'event loop in use, 125 MB/s coming in',
          unit: '%',
          better: 'less',
          value: ({ loop }) => 100 * loop.utilization,
          floors: { [NOISE]: [percent] }
        },
        {
          id: 'loop-delay',
          title: 'event loop delay p99, 125 MB/s coming in',
          unit: 'ms',
          better: 'less',
          value: ({ loop }) => loop.p99_us / 1_000,
          floors: { [NOISE]: [delay] }
        },
        {
          id: 'paced-rate',
          title: 'of 125 MB/s that came in',
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
          title: 'event loop delay p99, sending all it can',
          unit: 'ms',
          better: 'less',
          value: ({ loop }) => loop.p99_us / 1_000,
          floors: { [NOISE]: [sendingDelay] }
        },
        {
          id: 'sending-rate',
          title: 'sent meanwhile',
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
        { ...P50, id: 'loaded-p50', title: 'echo p50 while another peer sends all it can' },
        { ...P99, id: 'loaded-p99', title: 'echo p99 while another peer sends all it can' }
      ]
    }
  ]
})

/** The server's loop is watched while the bytes are under way, and at no other time. */
async function paced(target, _size, { servers, plan }) {
  const server = await servers.of(target)
  const client = await readyToSend(target, server, PACE, plan.secondsPerRound)
  try {
    await server.ask('watch')
    client.tell('')
    const line = await client.line()
    const { loop } = await server.ask('stats')
    return { ...line, loop }
  } finally {
    await client.kill()
  }
}

/** The same of a server that sends, from the client's warm-up on: that is the same work. */
async function sending(target, bytes, { servers }) {
  const { command, stack } = target
  const server = await servers.of(target)
  await server.ask('watch')
  const line = await runClient(command, stack, server.addr, { workload: 'download', bytes })
  const { loop } = await server.ask('stats')
  return { ...line, loop }
}

async function besideFlood(target, size, { servers }) {
  const flood = await readyToSend(target, await servers.of(target), FLOOD, FLOOD_SECONDS)
  try {
    flood.tell('')
    // By the time that this client has started and connected, the other one sends at its full rate.
    return await runWorkload({ workload: 'ping', flag: 'n' }, target, size, { servers })
  } finally {
    await flood.kill()
  }
}

/** A client that is connected and warm, and sends when it is told. */
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
