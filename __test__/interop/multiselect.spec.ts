/** Negotiation in TypeScript, and predicate handlers, against the negotiations of go, rust, js and py. */
import test from 'ava'
import { UnsupportedProtocolError } from '../../ts/errors.ts'
import type { StreamHandler } from '../../ts/negotiation/handler.ts'
import { Multiselect } from '../../ts/negotiation/multiselect.ts'
import { MultiselectClient } from '../../ts/negotiation/multiselect-client.ts'
import { MultiselectCommunicator } from '../../ts/negotiation/multiselect-communicator.ts'
import { CONTRACT, serveContract } from '../support/contract.ts'
import { createNode, pattern } from '../support/pair.ts'
import {
  declareMissing,
  type FoundPeer,
  findPeer,
  runClient,
  startServer
} from '../support/peer-program.ts'

const PEERS = ['go', 'rust', 'js', 'py'] as const

/** Its listener refuses `ls` like a protocol; py's list is flat, the others' are nested. */
const LISTS_NOTHING = 'go'

const STACK = 'tcp-noise-yamux'
const BYTES = 64 * 1024

// Before any test is declared, as ava requires all declarations at once.
const found = await Promise.all(PEERS.map(findPeer))

for (const [index, name] of PEERS.entries()) {
  const peer = found[index] as FoundPeer
  if ('missing' in peer) {
    declareMissing(name, peer.missing)
  } else {
    declareClient(name, peer.command)
    declareListener(name, peer.command)
  }
}

function declareClient(name: string, command: readonly string[]): void {
  // M1, M2, M4, go 164
  test(`MultiselectClient agrees with ${name} on a raw stream, is refused, and queries its list`, async (t) => {
    const server = await startServer(command, STACK)
    t.teardown(() => server.stop())
    const swarm = await createNode(t)
    const connection = await swarm.dialAddr(server.addr)
    const client = new MultiselectClient()
    const raw = async () => {
      const stream = await connection.newStream()
      return { stream, communicator: new MultiselectCommunicator(stream) }
    }

    const agreed = await raw()
    const proposed = ['/nobody/1', CONTRACT.echo, CONTRACT.reset]
    t.is(await client.selectOneOf(proposed, agreed.communicator), CONTRACT.echo)
    await agreed.stream.write(pattern(BYTES))
    await agreed.stream.closeWrite()
    t.is(Buffer.compare(await agreed.stream.read(), pattern(BYTES)), 0)

    const stepwise = await raw()
    await client.handshake(stepwise.communicator)
    await t.throwsAsync(client.trySelect(stepwise.communicator, '/nobody/2'), {
      instanceOf: UnsupportedProtocolError
    })
    t.is(await client.trySelect(stepwise.communicator, CONTRACT.reset), CONTRACT.reset)

    const refused = await raw()
    const error = await t.throwsAsync(client.selectOneOf(['/nobody/3'], refused.communicator), {
      instanceOf: UnsupportedProtocolError
    })
    t.deepEqual(error?.protocols, ['/nobody/3'])

    const asking = await raw()
    const listing = client.queryMultistreamCommand(asking.communicator, 'ls')
    if (name === LISTS_NOTHING) {
      await t.throwsAsync(listing, { instanceOf: UnsupportedProtocolError })
      return
    }
    const names = await listing
    for (const protocol of Object.values(CONTRACT)) t.true(names.includes(protocol), `${names}`)
    t.is(await client.trySelect(asking.communicator, CONTRACT.echo), CONTRACT.echo)
  })
}

function declareListener(name: string, command: readonly string[]): void {
  const dial = async (
    t: Parameters<typeof runClient>[0],
    addr: string,
    workload: 'echo' | 'rr-seq'
  ): Promise<void> => {
    const line = await runClient(t, command, { stack: STACK, addr, workload, n: 20, bytes: 1_024 })
    t.true((line.ops as number) >= 1, JSON.stringify(line))
  }

  // M1, go 164
  test(`Multiselect answers the ${name} client on raw streams`, async (t) => {
    const handlers = new Map<string, StreamHandler>()
    serveContract({
      handle: (protocol: string, handler: StreamHandler) => handlers.set(protocol, handler)
    })
    const table = new Multiselect(handlers)
    const swarm = await createNode(t)
    const served: string[] = []
    swarm.setStreamHandler(async (stream, connection, context) => {
      const [protocol, handler] = await table.negotiate(new MultiselectCommunicator(stream))
      served.push(protocol)
      await handler(stream, connection, context)
    })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    await dial(t, `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`, 'echo')
    t.true(served.includes(CONTRACT.echo))
  })

  // go 164
  test(`predicate handlers serve the ${name} client`, async (t) => {
    const handlers = new Map<string, StreamHandler>()
    serveContract({
      handle: (protocol: string, handler: StreamHandler) => handlers.set(protocol, handler)
    })
    const swarm = await createNode(t)
    const proposals = new Set<string>()
    swarm.handle(
      (protocol) => {
        proposals.add(protocol)
        return handlers.has(protocol)
      },
      (stream, connection, context) =>
        handlers.get(stream.protocol ?? '')?.(stream, connection, context)
    )
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    const addr = `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`
    await dial(t, addr, 'echo')
    await dial(t, addr, 'rr-seq')
    t.true(proposals.has(CONTRACT.echo))
    t.true(proposals.has(CONTRACT.requests))
  })
}
