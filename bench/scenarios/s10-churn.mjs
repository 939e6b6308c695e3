// S10: connections and streams are opened and closed for the duration of a round; the server must not grow.

import { readdirSync } from 'node:fs'
import { residentKiB, runClient, startServer } from '../peer-process.mjs'
import { median } from '../report/statistics.mjs'
import { ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, TLS } from '../runner/workloads.mjs'

const MIB = 1024 * 1024

/** The workloads of one cycle, which takes a few seconds. */
const CYCLE = [
  { workload: 'rr-100', n: 20_000, bytes: 1_024 },
  { workload: 'handshake-16', n: 1_000 },
  { workload: 'upload', bytes: 128 * MIB },
  { workload: 'download', bytes: 128 * MIB }
]
/** Minimum number of cycles for detecting growth. */
const CYCLES_MIN = 4

// The two quarters are half a soak apart: in ten minutes, a hundred cycles of 21,000 streams and connections. A leak of
// eight bytes per stream or connection exceeds the limit.
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
          title: 'server growth, last quarter vs. second',
          unit: 'MiB',
          better: 'less',
          value: ({ residents }) => growthMiB(residents),
          floors: { [NOISE]: flat, [TLS]: flat }
        },
        {
          id: 'churn-descriptors',
          title: 'increase in file descriptors',
          unit: '',
          better: 'less',
          value: ({ descriptors }) => descriptors.at(-1) - descriptors[0],
          floors: { [NOISE]: closed, [TLS]: closed }
        },
        {
          id: 'churn-turns',
          title: 'cycles of 20,000 streams, 1,000 connections and 256 MiB',
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
    while (performance.now() < endMs || residents.length < CYCLES_MIN) {
      for (const args of CYCLE) await runClient(command, stack, server.addr, args)
      residents.push(residentKiB(server.pid))
      descriptors.push(readdirSync(`/proc/${server.pid}/fd`).length)
      console.error(`${peer}, cycle ${residents.length}: ${residents.at(-1)} KiB resident`)
    }
  } finally {
    await server.stop()
  }
  return { residents, descriptors }
}

/** Compares quarters, without the first, in which the server reaches its working size. */
function growthMiB(residents) {
  const quarter = (which) => {
    const from = Math.floor((residents.length * which) / 4)
    return median(residents.slice(from, Math.floor((residents.length * (which + 1)) / 4)))
  }
  return (quarter(3) - quarter(1)) / 1_024
}
