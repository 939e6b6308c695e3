// An attacker in its own process. Takes `{ name, options, port }` over IPC and attacks until `stop`, which it answers.

import { ASSAULTS, Assault } from './assault.mjs'

let assault
let running

process.on('message', async (message) => {
  if (message !== 'stop') {
    const { name, options, port } = message
    assault = new Assault(port)
    running = ASSAULTS[name](assault, options)
    return
  }
  assault.stop()
  await running
  process.send('stopped')
})
process.once('disconnect', () => process.exit())
