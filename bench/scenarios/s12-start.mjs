// S12: what there is to install, and how soon a process listens.

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
          title: 'start of a process until it listens',
          unit: 'ms',
          better: 'less',
          value: ({ ms }) => ms,
          floors: { any: [ownAtMost(150, 80)] }
        },
        {
          id: 'start-memory',
          title: 'resident when it listens',
          unit: 'MiB',
          better: 'less',
          value: ({ rss_kb }) => rss_kb / 1_024
        }
      ]
    },
    {
      run: async ({ peer, command }) => installed(peer, command),
      // The others are binaries that a compiler leaves.
      peers: ['ours', 'js'],
      roundsMax: 1,
      figures: [
        installFigure(
          'install-size',
          'installed with its dependencies',
          'MB',
          ({ bytes }) => bytes / 1e6
        ),
        installFigure('install-files', 'files of it', '', ({ files }) => files),
        installFigure('install-packages', 'packages of it', '', ({ packages }) => packages)
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
