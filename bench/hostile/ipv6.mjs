// Connections of IPv6 subnets to a node, in a network namespace where fd00::/16 is local. Prints the result.

import { connect } from 'node:net'
import { times } from '../../__test__/support/bad-input.ts'
import { line, MULTISTREAM, RawPeer } from '../../__test__/support/raw-peer.ts'
import { startVictim } from '../../__test__/support/victim.ts'
import { REAL } from './contest.mjs'

/** Subnets of 56 bits within one of 48, and addresses of each, one connection each. */
const [SUBNETS, ADDRESSES] = [9, 8]

const victim = await startVictim(REAL, { host: '::' })
// Each address is in a /64 of its own.
const small = times(9, (index) => address(0, index))
const large = times(SUBNETS * ADDRESSES, (index) => {
  return address(1, ((index % SUBNETS) << 8) | Math.floor(index / SUBNETS))
})
const counts = []
for (const addresses of [small, large, [address(2, 0)]]) {
  let served = 0
  for (const localAddress of addresses) served += (await isServed(localAddress)) ? 1 : 0
  counts.push(`${served} of ${addresses.length}`)
}
await victim.echo()
const text = counts.join(', ')
console.log(JSON.stringify({ isKept: text === '8 of 9, 64 of 72, 1 of 1', text }))
process.exit()

function address(site, subnet) {
  return `fd00:0:${site}:${subnet.toString(16)}::1`
}

/** Opens a connection that is held; resolves to whether its first line is answered. */
async function isServed(localAddress) {
  const peer = new RawPeer(connect({ port: victim.port, host: address(3, 0), localAddress }))
  peer.send(line(MULTISTREAM))
  return peer.line().then(
    (answer) => answer === MULTISTREAM,
    () => false
  )
}
