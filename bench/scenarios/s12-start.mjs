// S12: size of an installation, and time until a process listens.

import { residentKiB, startServer } from '../peer-process.mjs'
import { ownAtMost } from '../runner/floors.mjs'
import { installed } from '../runner/installed.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE } from '../runner/workloads.mjs'

scenario({
  id: 'S12',
  name: 'start',
  title: 'Install and start',
  withoutStack: true,
  series: [
    {
      run: start,
      figures: [
        {
          id: 'cold-start',
          title: 'process start to listening',
          unit: 'ms',
          better: 'less',
          value: ({ ms }) => ms,
          floors: { any: [ownAtMost(150, 80)] }
        },
        {
          id: 'start-memory',
          title: 'resident memory when listening',
          unit: 'MiB',
          better: 'less',
          value: ({ rss_kb }) => rss_kb / 1_024
        }
      ]
    },
    {
      run: async ({ peer, command }) => installed(peer, command),
      // The others are compiled binaries.
      peers: ['ours', 'js'],
      roundsMax: 1,
      figures: [
        installFigure(
          'install-size',
          'installed size with dependencies',
          'MB',
          ({ bytes }) => bytes / 1e6
        ),
        installFigure('install-files', 'installed files', '', ({ files }) => files),
        installFigure('install-packages', 'installed packages', '', ({ packages }) => packages)
      ]
    }
  ]
})

async function start({ command, stack }) {
  const startMs = performance.now()
  const server = await startServer(command, stack ?? NOISE)
  const ms = performance.now() - startMs
  const rss_kb = residentKiB(server.pid)
  await server.stop()
  return { ms, rss_kb }
}

function installFigure(id, title, unit, value) {
  return { id, title, unit, better: 'less', value }
}
