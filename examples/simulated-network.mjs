// A test of an application without sockets and without waiting: a node that keeps its connection to another one, across
// a partition and a crash.
//
//     node examples/simulated-network.mjs

import assert from 'node:assert/strict'
import { simulate } from 'ferroswarm/testing'

const GREETING = '/greeting/1.0.0'

/** The application: connects to `address`, and does so again 5 s after it has lost the connection. */
function keepConnected(swarm, address) {
  const { clock } = swarm.options
  const dial = async () => {
    try {
      const connection = await swarm.dialAddr(address, { force: true, timeout: 3_000 })
      connection.addEventListener('close', again)
    } catch {
      again()
    }
  }
  const again = () => clock.setTimer(() => void dial(), 5_000)
  void dial()
}

const serve = (swarm) =>
  swarm.handle(GREETING, async (stream) => {
    await stream.write(Buffer.from('hello'))
    await stream.close()
  })

await using net = simulate({ seed: 7, latency: 40, jitter: 10 })
const seconds = () => `${(net.elapsed / 1_000).toFixed(1)} s`
const client = await net.node('client')
serve(await net.node('server'))
const isConnected = () => client.getTotalConnections() === 1

keepConnected(client, net.address('server'))
await net.until(isConnected)
const stream = await net.run(client.getConnections()[0].newStream(GREETING))
console.log(`the server says ${Buffer.from(await net.run(stream.read()))}`)

net.partition(['client'], ['server'])
await net.until(() => !isConnected())
console.log(`lost the server after ${seconds()}`)
net.heal()
await net.until(isConnected)
console.log(`found it again after ${seconds()}`)

await net.crash('server')
await net.until(() => !isConnected())
await net.advance(60_000)
assert.equal(isConnected(), false)
serve(await net.restart('server'))
await net.until(isConnected)
console.log(`survived a crash of a minute, after ${seconds()}`)
