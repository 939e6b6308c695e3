/**
 * Echoes 32 bytes over a listener, `rounds` times in sequence. Prints the counters.
 *
 *     node echo-rounds.ts <address> <rounds> [<busyPoll>]
 */
import { createSwarm } from '../../../ts/swarm.ts'

const [, , address = '', rounds = '', busyPoll] = process.argv
await using swarm = await createSwarm({
  ioThreads: 1,
  services: { ping: false, identify: false },
  ...(busyPoll === undefined ? {} : { busyPoll: Number(busyPoll) })
})
const connection = await swarm.dialAddr(address)
const stream = await connection.newStream('/test/echo')
const request = new Uint8Array(32)
for (let round = 0; round < Number(rounds); round += 1) {
  await stream.write(request)
  await stream.read(request.length)
}
await stream.close()
console.log(JSON.stringify(swarm.counters()))
