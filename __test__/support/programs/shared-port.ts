/** Listens on the address of its argument with `reusePort`, prints its peer id, and ends with its input. */
import { createSwarm } from '../../../ts/swarm.ts'

const swarm = await createSwarm({ ioThreads: 1 })
await swarm.listen(process.argv[2] ?? '', { reusePort: true })
console.log(String(swarm.peerId))
process.stdin.on('end', () => void swarm.close()).resume()
