/**
 * Echoes 32 bytes so many times, one after the other, with a listener that it is told of. Prints the counters.
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
const question = new Uint8Array(32)
for (let round = 0; round < Number(rounds); round += 1) {
  await stream.write(question)
  await stream.read(question.length)
}
await stream.close()
console.log(JSON.stringify(swarm.counters()))
