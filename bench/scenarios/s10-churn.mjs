// S10: connections and streams come and go for as long as it was asked for, and the server stays the size it was.

import { readdirSync } from 'node:fs'
import { residentKiB, runClient, startServer } from '../peer-process.mjs'
import { median } from '../report/statistics.mjs'
import { ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, TLS } from '../runner/workloads.mjs'

const MIB = 1024 * 1024

/** What comes and goes in one turn, a few seconds of it. */
const TURN = [
  { workload: 'rr-100', n: 20_000, bytes: 1_024 },
  { workload: 'handshake-16', n: 1_000 },
  { workload: 'upload', bytes: 128 * MIB },
  { workload: 'download', bytes: 128 * MIB }
]
/** Fewer turns tell nothing of what grows. */
const TURNS_MIN = 4

// Two quarters are half a soak apart, which in ten minutes is a hundred turns of 21,000 streams and connections: eight
// bytes that each of them left behind would show.
const flat = [ownAtMost(16)]
const closed = [ownAtMost(0)]

scenario({
  id: 'S10',
  name: 'churn',
  title: 'Churn',
  series: [
    {
      run: churn,
      figures: [
        {
          id: 'churn-growth',
          title: 'growth of the server, last quarter against the second',
          unit: 'MiB',
          better: 'less',
          value: ({ residents }) => growthMiB(residents),
          floors: { [NOISE]: flat, [TLS]: flat }
        },
        {
          id: 'churn-descriptors',
          title: 'descriptors more than before',
          unit: '',
          better: 'less',
          value: ({ descriptors }) => descriptors.at(-1) - descriptors[0],
          floors: { [NOISE]: closed, [TLS]: closed }
        },
        {
          id: 'churn-turns',
          title: 'turns of 20,000 streams, 1,000 connections and 256 MiB',
          unit: '',
          better: 'more',
          value: ({ residents }) => residents.length
        }
      ]
    }
  ]
})

async function churn({ peer, command, stack }, _size, { plan }) {
  const server = await startServer(command, stack)
  const residents = []
  const descriptors = []
  try {
    const endMs = performance.now() + plan.secondsPerRound * 1_000
    while (performance.now() < endMs || residents.length < TURNS_MIN) {
      for (const args of TURN) await runClient(command, stack, server.addr, args)
      residents.push(residentKiB(server.pid))
      descriptors.push(readdirSync(`/proc/${server.pid}/fd`).length)
      console.error(`${peer}, turn ${residents.length}: ${residents.at(-1)} KiB resident`)
    }
  } finally {
    await server.stop()
  }
  return { residents, descriptors }
}

/** By quarters: what the first one fills is the size that a server has at work. */
function growthMiB(residents) {
  const quarter = (which) => {
    const from = Math.floor((residents.length * which) / 4)
    return median(residents.slice(from, Math.floor((residents.length * (which + 1)) / 4)))
  }
  return (quarter(3) - quarter(1)) / 1_024
}
