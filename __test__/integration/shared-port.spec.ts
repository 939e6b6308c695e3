import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import test from 'ava'
import { InvalidParametersError, ListenError } from '../../ts/errors.ts'
import type { ListenOptions } from '../../ts/swarm/network.ts'
import { createNode } from '../support/pair.ts'
import { ENVIRONMENT, programUrl } from '../support/program.ts'

const ANY = '/ip4/127.0.0.1/tcp/0'
const UNLIMITED = { limits: 'unlimited' } as const

/** Dials at which two listeners are both met, but once in 2^127. */
const DIALS_MAX = 128

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('two processes share a port, and both accept', async (t) => {
  const here = await createNode(t, UNLIMITED)
  await here.listen(ANY, { reusePort: true })
  const address = String(here.getListenAddrs()[0])
  const child = spawn(process.execPath, [programUrl('shared-port').pathname, address], {
    env: ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'inherit']
  })
  t.teardown(() => child.stdin.end())
  const { value: there } = await createInterface(child.stdout)[Symbol.asyncIterator]().next()
  const dialer = await createNode(t, UNLIMITED)
  const met = new Set<string>()
  for (let dials = 0; dials < DIALS_MAX && met.size < 2; dials += 1) {
    const connection = await dialer.dialAddr(address, { force: true })
    met.add(String(connection.remotePeer))
    await connection.close()
  }
  t.deepEqual([...met].sort(), [String(here.peerId), String(there)].sort())
})

onLinux('a port is shared only if both listeners ask for it', async (t) => {
  const [own, shared, second] = await Promise.all([createNode(t), createNode(t), createNode(t)])
  await own.listen(ANY)
  await shared.listen(ANY, { reusePort: true })
  const conflicts: [address: string, options: ListenOptions][] = [
    [String(own.getListenAddrs()[0]), {}],
    [String(own.getListenAddrs()[0]), { reusePort: true }],
    [String(shared.getListenAddrs()[0]), { reusePort: false }]
  ]
  for (const [address, options] of conflicts) {
    const error = await t.throwsAsync(second.listen(address, options), { instanceOf: ListenError })
    t.is(error?.attempts[0]?.cause.code, 'ERR_ADDRESS_IN_USE')
  }
})

test('options of listen are checked at once', async (t) => {
  const swarm = await createNode(t)
  const wrong = [
    () => swarm.listen(ANY, { reusePorts: true } as never),
    () => swarm.listen(ANY, { reusePort: 'yes' } as never),
    () => swarm.listen({ reusePort: false } as never, ANY)
  ]
  for (const call of wrong) t.throws(call, { instanceOf: InvalidParametersError })
  t.deepEqual(swarm.getListenAddrs(), [])
})
